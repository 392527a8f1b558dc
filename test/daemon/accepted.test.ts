import net from 'node:net';
import test from 'ava';
import { readInto } from '../../daemon/accepted.ts';
import { InputBuffer } from '../../transfer/input-buffer.ts';

/** A server that echoes what `readInto` reads, and how to talk to it. */
async function echoServer(): Promise<{ server: net.Server; port: number }> {
  const server = net.createServer({ pauseOnConnect: true }, (accepted) => {
    const input = new InputBuffer();
    const socket = readInto(input, accepted);
    input.parse = (block) => {
      socket.write(Buffer.from(block.bytes.subarray(block.start, block.end)));
      block.start = block.end;
      return 1;
    };
    socket.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, port: (server.address() as net.AddressInfo).port };
}

async function echo(port: number, sent: Buffer): Promise<Buffer> {
  const socket = net.connect(port, '127.0.0.1');
  const parts: Buffer[] = [];
  let bytes = 0;
  socket.write(sent);
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

test('the server counts moved sockets until they close: many in turn, then none, and it can close', async (t) => {
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

test('a socket whose parts cannot be moved is read all the same', async (t) => {
  const server = net.createServer((accepted) => {
    // Without a server of its own a socket looks like one from a Node version that differs.
    Object.assign(accepted, { _server: undefined });
    const input = new InputBuffer();
    const socket = readInto(input, accepted);
    input.parse = (block) => {
      socket.write(Buffer.from(block.bytes.subarray(block.start, block.end)));
      block.start = block.end;
      return 1;
    };
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const sent = Buffer.alloc(300_000, 'plain');
  const { port } = server.address() as net.AddressInfo;
  t.true(sent.equals(await echo(port, sent)));
  server.close();
});
