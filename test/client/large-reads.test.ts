import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import test from 'ava';
import fc from 'fast-check';
import { generate } from 'selfsigned';
import { LargeReads } from '../../client/large-reads.ts';
import { bufferPool } from '../../transfer/buffer-pool.ts';
import { turns, until } from '../transfer/helpers/outcome.ts';

const host = '127.0.0.1';

const listening = async (server: net.Server): Promise<number> => {
  await once(server.listen(0, host), 'listening');
  return (server.address() as net.AddressInfo).port;
};

/** A TLS server that sends back what it gets. */
async function echoServer(): Promise<{ server: tls.Server; port: number }> {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
  });
  const server = tls.createServer({ key, cert }, (socket) => {
    socket.on('error', () => socket.destroy());
    socket.pipe(socket);
  });
  return { server, port: await listening(server) };
}

const secured = (port: number): tls.TLSSocket =>
  tls.connect({ socket: new LargeReads({ host, port }), rejectUnauthorized: false });

test.serial(
  'TLS gets the same through it as through a socket, whenever it stops reading',
  async (t) => {
    const { server, port } = await echoServer();
    t.teardown(() => server.close());
    const content = randomBytes(4_000_000);
    await fc.assert(
      fc.asyncProperty(
        fc.nat(content.length - 1),
        fc.infiniteStream(fc.nat(4)),
        async (start, stops) => {
          const sent = content.subarray(start);
          const socket = secured(port);
          socket.end(sent);
          const got: Buffer[] = [];
          for await (const part of socket) {
            got.push(part as Buffer);
            // What is not asked for stops the reading below.
            if (stops.next().value === 0) await turns(3);
          }
          t.true(sent.equals(Buffer.concat(got)));
        },
      ),
      { numRuns: 20 },
    );
  },
);

test.serial('what cannot be reached, or is cut off, is told as by a socket', async (t) => {
  const cutting = net.createServer((socket) => socket.destroy());
  const port = await listening(cutting);
  const codeOf = async (socket: net.Socket): Promise<string | undefined> => {
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
    await until(() => socket.destroyed);
    return error.code;
  };
  const plainly = (): net.Socket => tls.connect({ host, port, rejectUnauthorized: false });
  t.is(await codeOf(secured(port)), await codeOf(plainly()));
  cutting.close();
  await once(cutting, 'close');
  t.is(await codeOf(secured(port)), 'ECONNREFUSED');
});

test.serial('it gives its memory back, however it ends', async (t) => {
  const { server, port } = await echoServer();
  const given: Uint8Array[] = [];
  const taken: Uint8Array[] = [];
  const { take, give } = bufferPool;
  bufferPool.take = (bytes) => {
    const memory = take.call(bufferPool, bytes);
    if (memory !== undefined) taken.push(memory);
    return memory;
  };
  bufferPool.give = (memory) => {
    given.push(memory);
    give.call(bufferPool, memory);
  };
  t.teardown(() => Object.assign(bufferPool, { take, give }));
  const whole = secured(port);
  whole.end('all of it');
  t.is(String(await whole.toArray()), 'all of it');
  const destroyed = secured(port);
  await once(destroyed, 'secureConnect');
  destroyed.destroy();
  server.close();
  await once(server, 'close');
  const refused = secured(port);
  await once(refused, 'error');
  await until(() => given.length === 3, 'the memory');
  t.deepEqual(given, taken);
});
