/**
 * THREATS, resume and crash: power loss. The share is an ext4 image that is shut down in the middle of
 * uploads, as when the power goes: what its journal has not committed is lost.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, defaultTransferOptions, parseRemote } from '../../client/index.ts';
import { testConnect } from '../helpers/token.ts';
import { type DaemonProcess, startDaemon } from './helpers/daemon.ts';
import { randomBytes, tempFolder } from './helpers/files.ts';
import { randomOf, seed } from './helpers/seed.ts';
import { runTool, testAsRoot } from './helpers/trace.ts';

const rounds = 20;
const imageBytes = 32 * 1024 * 1024;
/** The power goes within so long after the first upload began. */
const mostMs = 300;
/** Each upload is one of these: pages of small files, and one of its own that is not. */
const sizes = [0, 700, 9000, 200_001];

/** EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH: nothing more reaches the disk. */
const shutdown = `
  open(my $folder, '<', $ARGV[0]) or die "open: $!";
  my $how = pack('L', 2);
  ioctl($folder, 0x8004587d, $how) or die "ioctl: $!";`;

class Disk {
  readonly #image: string;
  readonly mounted: string;

  constructor(folder: string) {
    this.#image = `${folder}/image`;
    this.mounted = `${folder}/mounted`;
  }

  async format(): Promise<void> {
    await mkdir(this.mounted, { recursive: true });
    runTool('truncate', '-s', `${imageBytes}`, this.#image);
    runTool('mkfs.ext4', '-q', '-F', this.#image);
    this.mount();
  }

  mount(): void {
    runTool('mount', '-o', 'loop', this.#image, this.mounted);
  }

  losePower(): void {
    runTool('perl', '-e', shutdown, this.mounted);
  }

  unmount(): void {
    runTool('umount', this.mounted);
  }
}

/** From when on the time to the loss is counted. */
type Moment = 'begun' | 'acknowledged';

/** What became of a name: versions begun, in order, and how many of them were acknowledged. */
interface Fate {
  begun: number;
  acknowledged: number;
}

const contentOf = (name: string, version: number, size: number): Buffer =>
  randomBytes(`${seed} ${name} ${version}`, size);

/** Uploads version after version of a small tree until the daemon is gone; says how far it is. */
async function uploadOn(
  daemon: DaemonProcess,
  folder: string,
  fates: Map<string, Fate>,
  onMoment: (moment: Moment) => void,
): Promise<void> {
  await mkdir(`${folder}/tree/sub`, { recursive: true });
  const remote = parseRemote(daemon.url());
  const ferry = await connect(remote, { ...testConnect, retries: 0 });
  onMoment('begun');
  for (let version = 1; ; version += 1) {
    for (const [i, size] of sizes.entries()) {
      const name = i % 2 === 0 ? `${i}` : `sub/${i}`;
      const fate = fates.get(name) ?? { begun: 0, acknowledged: 0 };
      fates.set(name, { ...fate, begun: version });
      await writeFile(`${folder}/tree/${name}`, contentOf(name, version, size + version));
    }
    const sources = [{ localPath: `${folder}/tree` }];
    let isOver = false;
    for await (const event of ferry.upload(
      sources,
      { path: '', isFolder: true },
      defaultTransferOptions,
    )) {
      if (event.type === 'summary') isOver = event.exitCode !== 0;
      if (event.type !== 'file' || event.outcome !== 'stored') continue;
      const name = event.path.replace(/^tree\//, '');
      const fate = fates.get(name);
      if (fate === undefined) throw new Error(`Nobody uploaded ${name}.`);
      fate.acknowledged = version;
      onMoment('acknowledged');
    }
    if (isOver) break;
  }
  await ferry.close();
}

/** What is wrong with what is there after the loss. */
async function problemsOf(served: string, fates: ReadonlyMap<string, Fate>): Promise<string[]> {
  const problems: string[] = [];
  for (const [name, { begun, acknowledged }] of fates) {
    const size = sizes[Number(name.slice(-1))] as number;
    const shown = await readFile(`${served}/tree/${name}`).catch(() => undefined);
    const version = shown === undefined ? 0 : shown.length - size;
    if (shown !== undefined && !shown.equals(contentOf(name, version, shown.length))) {
      problems.push(`${name} is torn: ${shown.length} bytes`);
    } else if (version < acknowledged || version > begun) {
      problems.push(
        `${name} shows version ${version}; ${acknowledged} of ${begun} was acknowledged`,
      );
    }
  }
  return problems;
}

interface Loss {
  readonly problems: readonly string[];
  readonly acknowledged: number;
}

interface Settings {
  readonly after: Moment;
  readonly waitMs: number;
  readonly args?: readonly string[];
  /** Whether the same command is run again. */
  readonly goesOn: boolean;
}

async function losePower({ after, waitMs, args = [], goesOn }: Settings): Promise<Loss> {
  const folder = await tempFolder();
  const disk = new Disk(folder.path);
  await disk.format();
  try {
    const served = `${disk.mounted}/served`;
    await mkdir(served);
    runTool('sync', '-f', served);
    const settings = { folder: served, state: folder.at('state') };
    const daemon = await startDaemon({ ...settings, args });
    const fates = new Map<string, Fate>();
    let uploading: Promise<void> = Promise.resolve();
    await new Promise<void>((resolve) => {
      const onMoment = (moment: Moment): void => {
        if (moment === after) resolve();
      };
      uploading = uploadOn(daemon, folder.path, fates, onMoment).catch(() => resolve());
    });
    await sleep(waitMs);
    disk.losePower();
    await daemon.kill9();
    await uploading;
    disk.unmount();
    disk.mount();
    const problems = await problemsOf(served, fates);

    if (goesOn) {
      const again = await startDaemon(settings);
      const last = await againTo(again, folder.path);
      await again.stop();
      if (last !== 0) problems.push(`again it exits ${last}`);
      const staged = await readdir(`${served}/.chunkferry`);
      if (staged.length > 0) problems.push(`staging keeps ${staged.join()}`);
    }
    const acknowledged = [...fates.values()].reduce((sum, fate) => sum + fate.acknowledged, 0);
    return { problems, acknowledged };
  } finally {
    disk.unmount();
    await folder.remove();
  }
}

/** The same command once more, on what the loss left. */
async function againTo(daemon: DaemonProcess, folder: string): Promise<number | undefined> {
  const ferry = await connect(parseRemote(daemon.url()), testConnect);
  const sources = [{ localPath: `${folder}/tree` }];
  let code: number | undefined;
  for await (const event of ferry.upload(
    sources,
    { path: '', isFolder: true },
    defaultTransferOptions,
  )) {
    if (event.type === 'summary') code = event.exitCode;
  }
  await ferry.close();
  return code;
}

testAsRoot(`promises 1 and 2: power loss, ${rounds} times`, async (t) => {
  t.timeout(170_000);
  const random = randomOf('power');
  let acknowledged = 0;
  for (let round = 0; round < rounds; round += 1) {
    const loss = await losePower({
      after: round % 2 === 0 ? 'begun' : 'acknowledged',
      waitMs: random() * mostMs,
      goesOn: round % 4 < 2 && round < rounds / 2,
    });
    t.deepEqual(loss.problems, [], `round ${round}`);
    acknowledged += loss.acknowledged;
  }
  t.log(`${acknowledged} files were acknowledged (FERRY_TEST_SEED=${seed})`);
  t.true(acknowledged >= rounds / 2);
});

testAsRoot('the control: without syncs, power loss takes what was acknowledged', async (t) => {
  const { problems, acknowledged } = await losePower({
    after: 'acknowledged',
    waitMs: 0,
    args: ['--durability', 'none'],
    goesOn: false,
  });
  t.true(acknowledged > 0);
  t.true(problems.length > 0);
});

testAsRoot('a daemon whose disk is gone says so when it is stopped, and stops', async (t) => {
  const folder = await tempFolder();
  const disk = new Disk(folder.path);
  await disk.format();
  t.teardown(async () => {
    disk.unmount();
    await folder.remove();
  });
  const daemon = await startDaemon({ folder: disk.mounted, state: folder.at('state') });
  disk.losePower();
  t.deepEqual(await daemon.stop(), { code: 0, signal: null });
  t.deepEqual(daemon.stray, []);
  const told = daemon.logs.find(({ msg }) => msg === 'it could not be tidied up');
  t.like(told, { event: 'share', share: '/', reason: 'EIO' });
  t.is(daemon.logs.at(-1)?.['msg'], 'stopped');
});
