import net from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { pino } from 'pino';
import type { Keyring } from '../../daemon/doorkeeper.ts';
import { MemoryRegistry } from '../../daemon/registry.ts';
import { Service } from '../../daemon/serve.ts';
import { Server, type ServerOptions } from '../../daemon/server.ts';
import { Shares } from '../../daemon/shares.ts';
import { FerryError } from '../../protocol/errors.ts';
import { unbound } from '../../transfer/channel.ts';
import type { Connection } from '../../transfer/connection.ts';
import { newHello } from '../../transfer/greeting.ts';
import { MemoryStorage } from '../../transfer/memory-storage.ts';
import { connectionOf, newSession, RawPeer, testGrant } from '../transfer/helpers/ends.ts';
import {
  answerOf,
  contentOf,
  download,
  load,
  offerOf,
  sourceOf,
  upload,
} from '../transfer/helpers/files.ts';
import { failureOf, until } from '../transfer/helpers/outcome.ts';

interface Running {
  readonly server: Server;
  readonly service: Service;
  readonly storage: MemoryStorage;
  readonly port: number;
}

const keyring: Keyring = {
  current: () => Promise.resolve(),
  find: (id) => (Buffer.compare(id, testGrant.id) === 0 ? testGrant : undefined),
};

/** Whether a question is answered. */
async function stat(client: Connection): Promise<boolean> {
  const request = client.open({ type: 'stat', request: 0, path: '' });
  return (await failureOf(answerOf(request, 'entry'))) === undefined;
}

async function running(
  t: ExecutionContext,
  options: Partial<ServerOptions> = {},
): Promise<Running> {
  const storage = new MemoryStorage();
  const log = pino({ level: 'silent' });
  const service = new Service(new Shares(new Map([['', storage]])), new MemoryRegistry(), log);
  const server = new Server(
    service,
    keyring,
    { host: '127.0.0.1', port: 0, identity: undefined, ...options },
    log,
  );
  const { port } = await server.listen();
  t.teardown(() => server.stop());
  return { server, service, storage, port };
}

function dial(port: number): { client: Connection; socket: net.Socket } {
  const socket = net.connect(port, '127.0.0.1');
  const client = connectionOf(socket, {
    side: 'client',
    hello: newHello(newSession()),
    prover: { ...unbound, credential: testGrant },
  });
  return { client, socket };
}

const closed = (socket: net.Socket): Promise<void> =>
  socket.closed
    ? Promise.resolve()
    : new Promise((resolve) => void socket.once('close', () => resolve()));

test('files go up and down over TCP', async (t) => {
  const { port, storage } = await running(t);
  const { client } = dial(port);
  await client.ready;
  const content = contentOf(5_000_000);
  t.is((await upload(client, sourceOf(content))).outcome, 'stored');
  t.is(Buffer.compare((await load(storage, 'file')) as Uint8Array, content), 0);
  const here = new MemoryStorage();
  await download(client, here);
  t.is(Buffer.compare((await load(here, 'file')) as Uint8Array, content), 0);
  client.close();
});

test('one connection too many is told so and let go; when another ends there is room', async (t) => {
  const { port } = await running(t, { limits: { connections: 2 } });
  const [one, two] = [dial(port), dial(port)];
  await Promise.all([one.client.ready, two.client.ready]);
  for (let i = 0; i < 6; i += 1) {
    const { client, socket } = dial(port);
    await client.ready;
    t.is((await client.closed)?.failure, 'connections');
    await closed(socket);
  }
  one.client.close();
  await closed(one.socket);
  for (let tries = 0; ; tries += 1) {
    const { client } = dial(port);
    await client.ready;
    const isIn = await Promise.race([client.closed.then(() => false), stat(client)]);
    if (isIn) break;
    t.true(tries < 100);
  }
});

test('who was refused and stays is disconnected, and does not keep the daemon from stopping', async (t) => {
  const { port, server } = await running(t, { limits: { connections: 0 } });
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', () => undefined);
  // It talks on, reads its answer, and never ends its side.
  const peer = new RawPeer(socket);
  await peer.prove(testGrant);
  await peer.ended;
  t.deepEqual(
    peer.heard.map((frame) => (frame.type === 'error' ? frame.failure : frame.type)),
    ['connections'],
  );
  const stopped = performance.now();
  await server.stop();
  t.true(performance.now() - stopped < 2_500);
  socket.destroy();
});

test('who breaks the rules in the middle of a flood still hears why', async (t) => {
  const { port } = await running(t);
  for (let i = 0; i < 10; i += 1) {
    const socket = net.connect(port, '127.0.0.1');
    const peer = new RawPeer(socket);
    await peer.prove(testGrant);
    peer.say({ type: 'done', request: 1 });
    // All this is on its way when the daemon gives up.
    peer.say(Buffer.alloc(6_000_000));
    await peer.ended;
    const told = peer.heard.map((frame) => (frame.type === 'error' ? frame.failure : frame.type));
    t.deepEqual(told, ['protocol']);
  }
});

test('a daemon that stops says goodbye, ends what is left as `stopping`, and lets nobody in', async (t) => {
  const { port, server, service } = await running(t, { graceMs: 100 });
  const { client, socket } = dial(port);
  await client.ready;
  const source = sourceOf(contentOf(100_000));
  const request = client.open({ request: 0, ...offerOf(source) });
  const failed = failureOf(answerOf(request, 'complete'));
  await until(() => request.state === 'moving', 'a want');
  const stopping = server.stop();
  await until(() => !client.isOpen, 'the goodbye');
  t.is(await failed, 'stopping');
  t.true(new FerryError('stopping', '').retryable);
  await stopping;
  await service.settled();
  await closed(socket);
  const late = dial(port);
  t.is(await failureOf(late.client.ready), 'connection-lost');
});

test('a daemon that stops lets requests under way come to their end', async (t) => {
  const { port, server, storage } = await running(t, { graceMs: 60_000 });
  const { client } = dial(port);
  await client.ready;
  const content = contentOf(3_000_000);
  const done = upload(client, sourceOf(content));
  await until(() => storage.partialCount === 1, 'the upload');
  await server.stop();
  t.is((await done).outcome, 'stored');
  t.is(Buffer.compare((await load(storage, 'file')) as Uint8Array, content), 0);
});

test('a port that is taken, and an address that is not ours, are told in words', async (t) => {
  const { port } = await running(t);
  const log = pino({ level: 'silent' });
  const service = new Service(new Shares(new Map()), new MemoryRegistry(), log);
  for (const [host, at] of [
    ['127.0.0.1', port],
    ['203.0.113.1', 0],
  ] as const) {
    const server = new Server(service, keyring, { host, port: at, identity: undefined }, log);
    const error = await t.throwsAsync<FerryError>(server.listen());
    t.is(error?.failure, 'usage');
    t.regex(error?.message ?? '', /Cannot listen on/);
  }
});
