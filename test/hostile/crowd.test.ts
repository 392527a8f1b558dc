/**
 * THREATS, authentication: silent TCP, half a ClientHello, one byte at a time, two hundred of each, from
 * many addresses and from the client's own: they are gone by the deadline, and who has a token comes
 * in meanwhile. The peers here know nothing of the project.
 */
import { mkdir } from 'node:fs/promises';
import net from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { startDaemon } from '../system/helpers/daemon.ts';
import { runFerry, startFerry } from '../system/helpers/ferry.ts';
import { differences, tempFolder, writeRandomFile } from '../system/helpers/files.ts';
import { isLinux } from '../system/helpers/scene.ts';

const each = 200;
const trickleMs = 100;
/** A record header that promises a ClientHello, and the beginning of one. */
const halfClientHello = Buffer.from('160301020001000001fc0303', 'hex');
const preamble = Buffer.from('894645525259 0d0a01000100 00000000'.replaceAll(' ', ''), 'hex');

/** Loopback has many addresses on Linux. */
const addresses = isLinux ? Array.from({ length: 8 }, (_, i) => `127.0.0.${i + 2}`) : ['127.0.0.1'];

interface Crowd {
  /** How many the daemon has sent away by now. */
  gone(): number;
  leave(): void;
}

function crowd(
  port: number,
  from: readonly string[],
  talk: (socket: net.Socket) => void,
  count = each,
): Crowd {
  let gone = 0;
  const sockets = Array.from({ length: count }, (_, i) => {
    const localAddress = from[i % from.length] as string;
    const socket = net.connect({ host: '127.0.0.1', port, localAddress });
    socket.on('error', () => undefined).resume();
    socket.on('close', () => (gone += 1));
    socket.on('connect', () => talk(socket));
    return socket;
  });
  return { gone: () => gone, leave: () => sockets.forEach((socket) => void socket.destroy()) };
}

function trickle(bytes: Buffer): (socket: net.Socket) => void {
  return (socket) => {
    let at = 0;
    const timer = setInterval(() => {
      socket.write(bytes.subarray(at, at + 1));
      at += 1;
      if (at === bytes.length) clearInterval(timer);
    }, trickleMs);
    socket.on('close', () => clearInterval(timer));
  };
}

async function stands(t: ExecutionContext, plain: boolean): Promise<void> {
  const folder = await tempFolder();
  t.teardown(() => folder.remove());
  await mkdir(folder.at('served'));
  const daemon = await startDaemon({ folder: folder.at('served'), plain });
  t.teardown(async () => void (await daemon.stop()));
  await writeRandomFile(folder.at('file'), 3_000_000);
  const crowds = [
    crowd(daemon.port, addresses, () => undefined),
    crowd(daemon.port, ['127.0.0.1'], () => undefined),
    crowd(daemon.port, addresses, trickle(plain ? preamble : halfClientHello)),
    crowd(daemon.port, ['127.0.0.1'], (socket) => void socket.write(halfClientHello)),
  ];
  t.teardown(() => crowds.forEach((one) => one.leave()));
  for (const name of ['one', 'two', 'three']) {
    // Three dials are allowed: the first and two more.
    const args = ['upload', '--retries', '2', folder.at('file'), daemon.url(name)];
    const { code, stderr } = await runFerry(args);
    t.is(code, 0, stderr);
    t.deepEqual(await differences(folder.at('file'), folder.at('served', name)), []);
  }
  const deadline = performance.now() + 25_000;
  while (crowds.some(({ gone }) => gone() < each) && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  t.deepEqual(
    crowds.map(({ gone }) => gone()),
    crowds.map(() => each),
    'all are sent away in the end',
  );
}

for (const plain of [false, true]) {
  test(`silent and trickling strangers do not keep a client out, ${plain ? 'plain' : 'TLS'}`, (t) => {
    t.timeout(120_000);
    return stands(t, plain);
  });
}

/** As a service manager does; the tests' own limit must be higher. */
const descriptors = 1024;
const idle = 5_000;

(isLinux ? test.serial : test.serial.skip)(
  'five thousand idle strangers under a descriptor limit of 1,024: transfers finish, clients come in',
  async (t) => {
    t.timeout(180_000);
    const folder = await tempFolder();
    t.teardown(() => folder.remove());
    await mkdir(folder.at('served'));
    const daemon = await startDaemon({
      folder: folder.at('served'),
      through: ['prlimit', `--nofile=${descriptors}:${descriptors}`],
    });
    t.teardown(async () => void (await daemon.stop()));
    await writeRandomFile(folder.at('file'), 3_000_000);
    const inFlight = startFerry(
      ['upload', '--json', '--bwlimit', '1M', folder.at('file'), daemon.url('before')],
      { onEvent: ({ type }) => type === 'progress' && began() },
    );
    let began = (): void => undefined;
    await new Promise<void>((resolve) => (began = resolve));
    const crowds = [
      crowd(daemon.port, addresses, () => undefined, idle / 2),
      crowd(daemon.port, ['127.0.0.1'], () => undefined, idle / 2),
    ];
    t.teardown(() => crowds.forEach((one) => one.leave()));
    for (const name of ['one', 'two']) {
      const args = ['upload', '--retries', '2', folder.at('file'), daemon.url(name)];
      const { code, stderr } = await runFerry(args);
      t.is(code, 0, stderr);
      t.deepEqual(await differences(folder.at('file'), folder.at('served', name)), []);
    }
    const { code, stderr } = await inFlight.result;
    t.is(code, 0, stderr);
    t.deepEqual(await differences(folder.at('file'), folder.at('served', 'before')), []);
    t.deepEqual(daemon.stray, []);
    crowds.forEach((one) => one.leave());
    const args = ['download', '--retries', '2', daemon.url('one'), folder.at('back')];
    t.is((await runFerry(args)).code, 0, 'the listener recovers');
  },
);
