/** Promise 1, as the kernel sees it. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import test, { type ExecutionContext } from 'ava';
import { startDaemon } from './helpers/daemon.ts';
import { runFerry } from './helpers/ferry.ts';
import { tempFolder, writeRandomFile } from './helpers/files.ts';
import { ferryExits, type Scene, setScene } from './helpers/scene.ts';
import { testWithStrace } from './helpers/trace.ts';

/** One system call: its name, and all of its text. */
interface Call {
  readonly name: string;
  readonly text: string;
}

async function tracedScene(
  t: ExecutionContext,
  args: string[] = [],
): Promise<{ scene: Scene; calls: () => Promise<Call[]> }> {
  const folder = await tempFolder();
  t.teardown(() => folder.remove());
  const trace = folder.at('trace');
  // `-D` leaves ferryd the process that was started; `-y` shows what descriptors stand for.
  const what =
    'trace=fsync,fdatasync,rename,renameat,renameat2,mkdir,mkdirat,write,writev,sendto,sendmsg,link,linkat';
  const strace = ['strace', '-D', '-f', '-y', '-s', '0', '-o', trace, '-e', what];
  const scene = await setScene(t, { through: strace, args });
  // What it did for its own folder before it listened is not looked at.
  const { length: before } = await readFile(trace, 'latin1');
  return {
    scene,
    calls: async () => parse((await readFile(trace, 'latin1')).slice(before)),
  };
}

/** Calls in the order in which they came to their end. */
function parse(text: string): Call[] {
  const begun = new Map<string, string>();
  const calls: Call[] = [];
  for (const line of text.split('\n')) {
    const [, pid = '', rest = ''] = /^(\d+)\s+(.*)$/.exec(line) ?? [];
    if (rest.endsWith('<unfinished ...>')) {
      begun.set(pid, rest);
      continue;
    }
    const resumed = /^<\.\.\. (\w+) resumed>/.exec(rest);
    const whole = resumed === null ? rest : `${begun.get(pid) ?? ''} ${rest}`;
    const name = resumed?.[1] ?? /^(\w+)\(/.exec(rest)?.[1];
    if (name !== undefined) calls.push({ name, text: whole });
  }
  return calls;
}

const isSync = ({ name }: Call): boolean => name === 'fsync' || name === 'fdatasync';
const isRename = ({ name }: Call): boolean => name.startsWith('rename');
const isReply = ({ name, text }: Call): boolean =>
  /^(write|writev|send)/.test(name) && /<(TCP|socket)/.test(text);

/** The first call from `from` on that fits; fails the test where there is none. */
function after(
  t: ExecutionContext,
  calls: readonly Call[],
  from: number,
  what: string,
  fits: (call: Call) => boolean,
): number {
  const found = calls.findIndex((call, i) => i >= from && fits(call));
  t.true(found >= 0, `${what} after call ${from}`);
  return found < 0 ? calls.length : found;
}

for (const size of [100, 300_000]) {
  testWithStrace(
    `promise 1: data, name, folder and each new parent are synced before the reply, ${size} bytes`,
    async (t) => {
      const { scene, calls } = await tracedScene(t);
      await mkdir(scene.there('there'));
      await writeRandomFile(scene.at('file'), size);
      await scene.ferry(['upload', scene.at('file'), scene.url('there/new/deep/file')]);
      const all = await calls();
      const folder = scene.served;
      const renamed = after(t, all, 0, 'the rename', (call) => isRename(call));
      const synced = all
        .slice(0, renamed)
        .findLastIndex((call) => isSync(call) && call.text.includes('/.chunkferry/'));
      t.true(synced >= 0, 'content is synced before it gets its name');
      const folders = ['there/new/deep', 'there/new', 'there'].map((name) =>
        after(
          t,
          all,
          renamed,
          `sync of ${name}`,
          (call) => isSync(call) && call.text.includes(`<${folder}/${name}>`),
        ),
      );
      const reply = all.findLastIndex((call) => isReply(call));
      t.true(reply > Math.max(...folders), 'the last reply comes after all of it');
      // No reply that could be `complete` between the rename and the syncs.
      const early = all.slice(renamed, Math.max(...folders)).filter((call) => isReply(call));
      t.deepEqual(early, []);
    },
  );
}

testWithStrace(
  'promise 1: pages of small files, folders, removals and renames are durable, too',
  async (t) => {
    const { scene, calls } = await tracedScene(t);
    await mkdir(scene.at('tree', 'sub'), { recursive: true });
    for (let i = 0; i < 20; i += 1) await writeFile(scene.at('tree', 'sub', `${i}`), `${i}`);
    await scene.ferry(['upload', scene.at('tree'), scene.url()]);
    const uploaded = await calls();
    const renames = uploaded.filter((call) => isRename(call));
    t.is(renames.length, 20);
    const lastRename = uploaded.findLastIndex((call) => isRename(call));
    const contents = uploaded.filter((call) => isSync(call) && call.text.includes('.tmp>'));
    t.is(contents.length, 20, 'each content is synced');
    for (const name of ['/tree/sub', '/tree', '']) {
      const synced = after(
        t,
        uploaded,
        lastRename,
        `sync of ${name}`,
        (call) => isSync(call) && call.text.includes(`<${scene.served}${name}>`),
      );
      after(t, uploaded, synced, 'the reply', (call) => isReply(call));
    }
    for (const [args, changed] of [
      [['mkdir', scene.url('made')], ''],
      [['mv', scene.url('tree/sub/0'), '/made/moved'], '/made'],
      [['rm', scene.url('made/moved')], '/made'],
      [['rm', '-r', scene.url('tree')], ''],
    ] as [string[], string][]) {
      const before = (await calls()).length;
      await scene.ferry(args);
      const all = await calls();
      const synced = after(
        t,
        all,
        before,
        args.join(' '),
        (call) => isSync(call) && call.text.includes(`<${scene.served}${changed}>`),
      );
      after(t, all, synced, 'the reply', (call) => isReply(call));
    }
  },
);

testWithStrace('promise 1: a folder that cannot be synced makes the outcome unknown', async (t) => {
  const folder = await tempFolder();
  t.teardown(() => folder.remove());
  const served = folder.at('served');
  await mkdir(served);
  // Only what concerns the served folder itself fails.
  const inject = ['-P', served, '-e', 'trace=fsync', '-e', 'inject=fsync:error=EIO'];
  const through = ['strace', '-D', '-f', '-o', folder.at('trace'), ...inject];
  const daemon = await startDaemon({ folder: served, through });
  t.teardown(() => daemon.stop());
  for (const [name, size] of [
    ['small', 10],
    ['large', 300_000],
  ] as const) {
    await writeRandomFile(folder.at(name), size);
    const { events } = await ferryExits(t, ['upload', folder.at(name), daemon.url()], 5);
    t.like(
      events.find(({ type }) => type === 'error'),
      { failure: 'not-durable' },
    );
    t.deepEqual(await readFile(folder.at('served', name)), await readFile(folder.at(name)), name);
  }
  await ferryExits(t, ['mkdir', daemon.url('made')], 5);
  // A move is undone while its file still has the old name.
  await ferryExits(t, ['mv', daemon.url('small'), '/moved'], 1);
  await ferryExits(t, ['rm', daemon.url('large')], 5);
  t.deepEqual((await readdir(served)).sort(), ['.chunkferry', 'made', 'small']);
});

testWithStrace('--durability none syncs nothing, and says so', async (t) => {
  const { scene, calls } = await tracedScene(t, ['--durability', 'none']);
  await mkdir(scene.at('tree'));
  await writeFile(scene.at('tree', 'small'), 'small');
  await writeRandomFile(scene.at('tree', 'large'), 300_000);
  await scene.ferry(['upload', scene.at('tree'), scene.url()]);
  await scene.ferry(['rm', '-r', scene.url('tree')]);
  t.deepEqual(
    (await calls()).filter((call) => isSync(call)),
    [],
  );
  t.like(await scene.daemon.logged('listening'), { durability: 'none' });
  t.like(await scene.daemon.logged('durability'), { msg: 'nothing is synced to disk' });
});

test.serial(
  'promise 2: a file that is replaced shows its old or its new content, whole',
  async (t) => {
    const scene = await setScene(t);
    const [old, young] = [Buffer.alloc(700_000, 'old'), Buffer.alloc(900_000, 'new')];
    await writeFile(scene.at('old'), old);
    await writeFile(scene.at('young'), young);
    await writeFile(scene.there('file'), old);
    let over = false;
    const seen = new Set<string>();
    const watching = (async () => {
      while (!over) {
        const content = await readFile(scene.there('file'));
        const which = content.equals(old) ? 'old' : content.equals(young) ? 'new' : 'torn';
        seen.add(which);
      }
    })();
    for (let i = 0; i < 6; i += 1) {
      const source = scene.at(i % 2 === 0 ? 'young' : 'old');
      t.is((await runFerry(['upload', source, scene.url('file')])).code, 0);
    }
    over = true;
    await watching;
    t.deepEqual([...seen].sort(), ['new', 'old']);
  },
);
