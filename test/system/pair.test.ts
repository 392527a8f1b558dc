/** Pairing, and what it is good for, through the real programs. */
import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import test, { type ExecutionContext } from 'ava';
import { runFerryd } from './helpers/daemon.ts';
import { type FerryResult, runFerry } from './helpers/ferry.ts';
import { differences, type TempFolder, tempFolder, writeRandomFile } from './helpers/files.ts';
import { eachLine, parseObject, startProgram } from './helpers/processes.ts';

interface Paired {
  readonly folder: TempFolder;
  readonly link: string;
  readonly port: number;
  file: () => string;
  /** A ferry of a user who has nothing but what pairing left. */
  ferry(args: readonly string[], code: number, input?: string): Promise<FerryResult>;
}

async function setUp(t: ExecutionContext, args: readonly string[] = []): Promise<Paired> {
  const folder = await tempFolder();
  await mkdir(folder.at('served'));
  const state = ['--state', folder.at('state')];
  const words = ['--listen', '127.0.0.1:0', '--log-format', 'json', ...state, ...args];
  const { child, exit } = startProgram(
    'ferryd',
    [folder.at('served'), ...words],
    ['ignore', 'ignore', 'pipe'],
    {},
  );
  t.teardown(async () => {
    child.kill('SIGTERM');
    await exit;
    await folder.remove();
  });
  const port = await new Promise<number>((resolve) => {
    eachLine(child.stderr as NodeJS.ReadableStream, (line) => {
      const record = parseObject(line);
      if (record?.['event'] === 'listening') resolve(record['port'] as number);
    });
  });
  const { stdout } = await runFerryd(['link', ...state]);
  const link = stdout.trim();
  const token = (await readFile(folder.at('state', 'token'), 'utf8')).trim();
  const env = {
    FERRY_TOKEN: undefined,
    HOME: folder.path,
    XDG_CONFIG_HOME: folder.at('config'),
    XDG_STATE_HOME: folder.at('none'),
  };
  return {
    folder,
    link,
    port,
    file: () => folder.at('config', 'chunkferry', 'remotes.toml'),
    async ferry(command, code, input) {
      const result = await runFerry(command, { env, ...(input === undefined ? {} : { input }) });
      t.is(result.code, code, `${command.join(' ')}\n${result.stderr}`);
      for (const output of [result.stderr, result.stdout.toString()]) {
        t.false(output.includes(token), 'no token in what is shown');
      }
      return result;
    },
  };
}

for (const args of [[], ['--plain']]) {
  test(`ferry pair, then name:path wherever a remote does ${args.join('')}`, async (t) => {
    const { ferry, folder, link, file } = await setUp(t, args);
    t.regex(link, args.length === 0 ? /^ferry:\/\/127/ : /^ferry\+tcp:\/\/127/);
    const paired = await ferry(['pair', 'nas'], 0, `${link}\n`);
    t.regex(paired.stderr, /ferry ls nas:/);
    t.is((await stat(file())).mode & 0o777, 0o600);
    await writeRandomFile(folder.at('mine'), 100_000);
    await ferry(['mkdir', 'nas:/sub'], 0);
    await ferry(['upload', folder.at('mine'), 'nas:sub/'], 0);
    t.is((await ferry(['ls', '-R', 'nas:'], 0)).stdout.toString(), 'sub/\nsub/mine\n');
    await ferry(['verify', folder.at('mine'), 'nas:sub/mine'], 0);
    await ferry(['mv', 'nas:sub/mine', 'nas:other'], 0);
    await ferry(['stat', 'nas:other'], 0);
    await ferry(['download', 'nas:other', folder.at('back')], 0);
    t.deepEqual(await differences(folder.at('mine'), folder.at('back')), []);
    await ferry(['rm', 'nas:other'], 0);
    const listed = await ferry(['ls'], 0);
    t.regex(listed.stdout.toString(), /^nas: {2}ferry(\+tcp)?:\/\/127\.0\.0\.1:\d+\/\n$/);
    const events = await ferry(['ls', '--json'], 0);
    t.like(events.events[0], { type: 'entry', path: 'nas:', kind: 'remote' });
    await ferry(['unpair', 'nas'], 0);
    t.is((await ferry(['ls'], 0)).stdout.length, 0);
    await ferry(['unpair', 'nas'], 3);
    await ferry(['ls', 'nas:'], 2);
  });
}

test('a file with a colon in its name stays a local one', async (t) => {
  const { ferry, folder, link } = await setUp(t);
  await ferry(['pair', 'nas'], 0, link);
  await writeFile(folder.at('served', 'x'), 'x');
  await writeFile(folder.at('other:name'), 'y');
  await ferry(['upload', folder.at('other:name'), 'nas:'], 0);
  t.is((await ferry(['ls', 'nas:'], 0)).stdout.toString(), 'other:name\nx\n');
});

test('a name that another daemon has is kept, unless it shall be replaced', async (t) => {
  const [one, two] = [await setUp(t), await setUp(t)];
  await one.ferry(['pair', 'nas'], 0, one.link);
  const taken = await one.ferry(['pair', 'nas'], 2, two.link);
  t.regex(taken.stderr, /--replace/);
  await one.ferry(['pair', 'nas'], 0, one.link);
  await one.ferry(['pair', '--replace', 'nas'], 0, two.link);
  await one.ferry(['ls', 'nas:'], 0);
});

test('what is no link, a link among the arguments, a daemon that is not there', async (t) => {
  const { ferry, link, file } = await setUp(t);
  await ferry(['pair'], 2, 'junk\n');
  await ferry(['pair'], 2, '');
  const { code, stderr } = await runFerry(['pair', link]);
  t.is(code, 2);
  t.regex(stderr, /ps/);
  t.false(stderr.includes(link));
  await ferry(['pair', 'x y'], 2, link);
  const away = link.replace(/:\d+#/, ':1#');
  await ferry(['pair', 'gone'], 35, away);
  await t.throwsAsync(stat(file()), { code: 'ENOENT' });
  // Of several addresses the one that answers is kept.
  await ferry(['pair', 'nas'], 0, link.replace('127.0.0.1', '127.0.0.9,127.0.0.1'));
});

test('a list that others can read is refused; so is one that is damaged', async (t) => {
  const { ferry, link, file } = await setUp(t);
  await ferry(['pair', 'nas'], 0, link);
  await chmod(file(), 0o644);
  t.regex((await ferry(['ls', 'nas:'], 4)).stderr, /chmod 600/);
  await chmod(file(), 0o600);
  await writeFile(file(), '[nas\naddress = 3');
  t.regex((await ferry(['ls', 'nas:'], 2)).stderr, /Cannot read/);
  await writeFile(file(), '[nas]\naddress = "ferry://nas/"\n');
  t.regex((await ferry(['ls', 'nas:'], 2)).stderr, /Pair again/);
});
