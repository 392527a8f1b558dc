import { randomBytes } from 'node:crypto';
import net from 'node:net';
import tls from 'node:tls';
import test from 'ava';
import fc from 'fast-check';
import { generate } from 'selfsigned';
import { InputBuffer } from '../../transfer/input-buffer.ts';
import { transferLimits } from '../../transfer/limits.ts';
import { onreadInto, readInto } from '../../transfer/read-into.ts';

/** A server that echoes what `readInto` reads, of sockets that `prepare` may change first. */
async function echoServer(
  prepare: (accepted: net.Socket) => void = () => undefined,
): Promise<{ server: net.Server; port: number }> {
  const server = net.createServer({ pauseOnConnect: true }, (accepted) => {
    prepare(accepted);
    echoOn(accepted);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, port: (server.address() as net.AddressInfo).port };
}

function echoOn(socket: net.Socket): void {
  const input = new InputBuffer();
  input.parse = (block) => {
    socket.write(Buffer.from(block.bytes.subarray(block.start, block.end)));
    block.start = block.end;
    return 1;
  };
  readInto(input, socket);
  socket.on('error', () => socket.destroy());
}

/** Sends it in pieces of these lengths, the rest at once, and gives what comes back. */
async function echo(port: number, sent: Buffer, cuts: readonly number[] = []): Promise<Buffer> {
  const socket = net.connect(port, '127.0.0.1');
  socket.setNoDelay();
  const parts: Buffer[] = [];
  let bytes = 0;
  let at = 0;
  for (const length of cuts) {
    socket.write(sent.subarray(at, at + length));
    at += length;
  }
  socket.write(sent.subarray(at));
  for await (const part of socket) {
    parts.push(part as Buffer);
    bytes += (part as Buffer).length;
    if (bytes >= sent.length) break;
  }
  socket.destroy();
  return Buffer.concat(parts);
}

const connections = (server: net.Server): Promise<number> =>
  new Promise((resolve, reject) => {
    server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
  });

test('reads everything that arrives, however large', async (t) => {
  const { server, port } = await echoServer();
  const sent = Buffer.alloc(5_000_000, 'chunkferry');
  t.true(sent.equals(await echo(port, sent)));
  server.close();
});

test('the server counts the sockets until they close: many in turn, then none, and it can close', async (t) => {
  const { server, port } = await echoServer();
  server.maxConnections = 4;
  for (let i = 0; i < 10 * server.maxConnections; i += 1) {
    t.is((await echo(port, Buffer.from('hello'))).toString(), 'hello');
  }
  while ((await connections(server)) > 0) await new Promise((resolve) => setImmediate(resolve));
  await new Promise<void>((resolve, reject) => {
    server.close((error) => (error ? reject(error) : resolve()));
  });
  t.pass();
});

/** As in a Node version that differs. */
function takeParts(accepted: net.Socket): void {
  const { _handle: handle } = accepted as unknown as { _handle: object };
  Object.defineProperty(handle, 'useUserBuffer', { value: undefined });
}

test('a socket without the parts is read all the same', async (t) => {
  const [straight, copied] = [await echoServer(), await echoServer(takeParts)];
  const content = randomBytes(2_000_000);
  const anyCut = fc.integer({ min: 1, max: 300_000 });
  await fc.assert(
    fc.asyncProperty(fc.nat(content.length - 1), fc.array(anyCut), async (start, cuts) => {
      const sent = content.subarray(start);
      for (const { port } of [straight, copied]) {
        t.true(sent.equals(await echo(port, sent, cuts)));
      }
    }),
    { numRuns: 20 },
  );
  straight.server.close();
  copied.server.close();
});

test('the records of TLS are parsed together, at both ends', async (t) => {
  const made = await generate([{ name: 'commonName', value: 'localhost' }], { keyType: 'ec' });
  let parsed = 0;
  let receivedBytes = 0;
  const server = tls.createServer({ key: made.private, cert: made.cert }, (socket) => {
    const input = new InputBuffer();
    input.parse = (block) => {
      parsed += 1;
      receivedBytes += block.end - block.start;
      socket.write(Buffer.from(block.bytes.subarray(block.start, block.end)));
      block.start = block.end;
      return 1;
    };
    readInto(input, socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  const sent = randomBytes(5_000_000);
  const input = new InputBuffer();
  const onread = { onread: onreadInto(input, true) };
  const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...onread });
  input.onResume = () => socket.resume();
  const got: Buffer[] = [];
  let gotBytes = 0;
  await new Promise<void>((resolve, reject) => {
    socket.on('error', reject);
    input.parse = (block) => {
      got.push(Buffer.from(block.bytes.subarray(block.start, block.end)));
      gotBytes += block.end - block.start;
      block.start = block.end;
      if (gotBytes >= sent.length) resolve();
      return 1;
    };
    socket.write(sent);
  });
  t.true(sent.equals(Buffer.concat(got)));
  t.is(receivedBytes, sent.length);
  const records = Math.ceil(sent.length / transferLimits.recordBytes);
  t.true(parsed < records / 1.5, `${records} records were parsed in ${parsed} parts`);
  socket.destroy();
  server.close();
});
