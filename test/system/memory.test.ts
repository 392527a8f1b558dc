/** What both ends keep in memory, by the kernel's own account of their peaks. */
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { Writable } from 'node:stream';
import test from 'ava';
import { connect, defaultTransferOptions, parseRemote } from '../../client/index.ts';
import { testConnect } from '../helpers/token.ts';
import { type FerryResult, type FerrySettings, startFerry } from './helpers/ferry.ts';
import { differences, MiB, randomBytes } from './helpers/files.ts';
import { forgetPeak, peakOf, writeSparse } from './helpers/memory.ts';
import { type Scene, setScene } from './helpers/scene.ts';

const hasProc = existsSync('/proc/self/status');
const testWithProc = hasProc ? test.serial : test.serial.skip;

/** MB as the promise has it. */
const peakBytes = 120_000_000;
const smallBytes = 256 * MiB;
const largeBytes = 2_048 * MiB;
/** What a garbage collector may do in one run and not in the other. */
const noiseBytes = 24 * MiB;

interface Measured {
  readonly result: FerryResult;
  readonly clientBytes: number;
  readonly daemonBytes: number;
}

async function measured(
  scene: Scene,
  args: readonly string[],
  settings: FerrySettings = {},
): Promise<Measured> {
  await forgetPeak(scene.daemon.pid);
  let clientBytes = 0;
  const ferry = startFerry(args, {
    ...settings,
    onEvent: () => {
      // The process may have ended by the time its last words are read.
      if (existsSync(`/proc/${ferry.pid}/status`)) {
        clientBytes = Math.max(clientBytes, peakOf(ferry.pid) || 0);
      }
    },
  });
  const result = await ferry.result;
  return { result, clientBytes, daemonBytes: peakOf(scene.daemon.pid) };
}

testWithProc('promise 6: bounded: memory of both ends does not grow with the file', async (t) => {
  const scene = await setScene(t);
  await writeSparse(scene.at('small'), smallBytes);
  await writeSparse(scene.at('large'), largeBytes);
  await writeSparse(scene.there('small'), smallBytes);
  await writeSparse(scene.there('large'), largeBytes);
  const sink = (): Writable => new Writable({ write: (_bytes, _encoding, done) => done() });
  const ways: [string, (name: string) => [string[], FerrySettings]][] = [
    ['up', (name) => [['upload', '--json', scene.at(name), scene.url(`${name}.up`)], {}]],
    ['down', (name) => [['download', '--json', scene.url(name), scene.at(`${name}.down`)], {}]],
    ['stdout', (name) => [['download', '--json', scene.url(name), '-'], { output: sink() }]],
  ];
  for (const [way, command] of ways) {
    const peaks: Measured[] = [];
    for (const [name, sizeBytes] of [
      ['small', smallBytes],
      ['large', largeBytes],
    ] as const) {
      const peak = await measured(scene, ...command(name));
      t.is(peak.result.code, 0, peak.result.stderr.slice(0, 1_000));
      t.is(peak.result.summary?.bytesSent, sizeBytes);
      const [client, daemon] = [peak.clientBytes, peak.daemonBytes].map((n) => Math.round(n / 1e6));
      t.log(`${way} ${sizeBytes / MiB} MiB: client ${client} MB, daemon ${daemon} MB`);
      t.true(peak.clientBytes > 0 && peak.clientBytes < peakBytes, `client ${peak.clientBytes}`);
      t.true(peak.daemonBytes > 0 && peak.daemonBytes < peakBytes, `daemon ${peak.daemonBytes}`);
      peaks.push(peak);
      await rm(scene.there(`${name}.up`), { force: true });
      await rm(scene.at(`${name}.down`), { force: true });
    }
    const [small, large] = peaks;
    t.true((large?.clientBytes ?? 0) - (small?.clientBytes ?? 0) < noiseBytes, `${way}: client`);
    t.true((large?.daemonBytes ?? 0) - (small?.daemonBytes ?? 0) < noiseBytes, `${way}: daemon`);
  }
});

testWithProc('promise 6: bounded: thousands of files of a chunk each', async (t) => {
  const scene = await setScene(t);
  const bytes = randomBytes(1, 60_000);
  await mkdir(scene.at('many'));
  for (let i = 0; i < 2_000; i += 1) {
    bytes.writeUInt32LE(i);
    await writeFile(scene.at('many', `${i}`), bytes);
  }
  for (const args of [
    ['upload', '--json', `${scene.at('many')}/`, scene.url('many')],
    ['download', '--json', scene.url('many'), scene.at('back')],
  ]) {
    const { result, clientBytes, daemonBytes } = await measured(scene, args);
    t.is(result.code, 0, result.stderr.slice(0, 1_000));
    t.is(result.summary?.bytesSent, 120_000_000, 'nothing is sent twice');
    t.log(`${args[0]}: client ${clientBytes / 1e6} MB, daemon ${daemonBytes / 1e6} MB`);
    t.true(clientBytes > 0 && clientBytes < peakBytes, `client ${clientBytes}`);
    t.true(daemonBytes > 0 && daemonBytes < peakBytes, `daemon ${daemonBytes}`);
  }
  t.deepEqual(await differences(scene.at('many'), scene.at('back', 'many')), []);
});

const clients = 64;
/** Enough for each to have all the blocks that it gets. */
const eachBytes = 12 * MiB;

for (const plain of [true, false]) {
  const how = plain ? 'plain' : 'under TLS';
  testWithProc(`promise 6: bounded: ${clients} uploads at once, ${how}`, async (t) => {
    t.timeout(170_000);
    const scene = await setScene(t, { plain });
    await writeSparse(scene.at('file'), eachBytes);
    const remote = parseRemote(scene.daemon.url());
    const names = Array.from({ length: clients }, (_, i) => `file-${i}`);
    const ferries = await Promise.all(names.map(() => connect(remote, testConnect)));
    const source = [{ localPath: scene.at('file') }];
    await Promise.all(
      ferries.map(async (ferry, i) => {
        const target = { path: names[i] as string, isFolder: false };
        for await (const event of ferry.upload(source, target, defaultTransferOptions)) {
          t.not(event.type, 'error', JSON.stringify(event));
        }
      }),
    );
    const daemonBytes = peakOf(scene.daemon.pid);
    t.log(`daemon ${Math.round(daemonBytes / 1e6)} MB`);
    t.true(daemonBytes < peakBytes, `daemon ${daemonBytes}`);
    await Promise.all(ferries.map((ferry) => ferry.close()));
  });
}
