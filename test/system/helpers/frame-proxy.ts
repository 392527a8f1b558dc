/**
 * A TCP proxy on loopback that sees frames: a test may change one, drop it, or cut the connection in
 * its place. Its framing is its own, not the one under test.
 */
import net from 'node:net';
import type { Direction } from './proxy.ts';

export const frameTypes = {
  done: 0x1a,
  complete: 0x28,
  chunk: 0x2f,
  results: 0x33,
} as const;

export interface WireFrame {
  readonly direction: Direction;
  readonly type: number;
  /** Number of the connection, from 0. */
  readonly connection: number;
  /** Of a chunk. */
  readonly index: bigint;
  /** What may be changed before it passes. */
  readonly payload: Buffer;
}

/** `cut` drops the frame and resets both sides; `hold` lets nothing pass any more in its direction. */
export type Verdict = 'pass' | 'cut' | 'hold';

const preambleBytes = 16;
const headerBytes = 32;

export class FrameProxy {
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  #connections = 0;

  private constructor(port: number, judge: (frame: WireFrame) => Verdict) {
    this.#server = net.createServer({ noDelay: true }, (client) => {
      const daemon = net.connect({ host: '127.0.0.1', port, noDelay: true });
      const connection = this.#connections;
      this.#connections += 1;
      const cut = (): void => {
        client.resetAndDestroy();
        daemon.resetAndDestroy();
      };
      this.#pump(client, daemon, cut, (frame) => judge({ ...frame, direction: 'up', connection }));
      this.#pump(daemon, client, cut, (frame) =>
        judge({ ...frame, direction: 'down', connection }),
      );
    });
  }

  static async start(
    port: number,
    judge: (frame: WireFrame) => Verdict = () => 'pass',
  ): Promise<FrameProxy> {
    const proxy = new FrameProxy(port, judge);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject);
      proxy.#server.listen(0, '127.0.0.1', resolve);
    });
    return proxy;
  }

  url(path = ''): string {
    const { port } = this.#server.address() as net.AddressInfo;
    return `ferry+tcp://127.0.0.1:${port}/${path}`;
  }

  /** Connections so far. */
  get connections(): number {
    return this.#connections;
  }

  #pump(
    from: net.Socket,
    to: net.Socket,
    cut: () => void,
    judge: (frame: Omit<WireFrame, 'direction' | 'connection'>) => Verdict,
  ): void {
    this.#sockets.add(from);
    let rest: Buffer = Buffer.alloc(0);
    let greeted = false;
    from.on('data', (bytes: Buffer) => {
      rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
      let used = 0;
      if (!greeted && rest.length >= preambleBytes) {
        greeted = true;
        used = preambleBytes;
      }
      while (greeted && rest.length - used >= headerBytes) {
        const end = used + headerBytes + rest.readUInt32LE(used + 4);
        if (end > rest.length) break;
        const type = rest.readUInt8(used);
        const index = rest.readBigUInt64LE(used + 16);
        const verdict = judge({ type, index, payload: rest.subarray(used + headerBytes, end) });
        if (verdict !== 'pass') {
          to.write(rest.subarray(0, used), () => verdict === 'cut' && cut());
          // It is still read, so that its end is noticed.
          from.removeAllListeners('data').resume();
          return;
        }
        used = end;
      }
      if (used > 0 && !to.destroyed && !to.write(rest.subarray(0, used))) from.pause();
      rest = rest.subarray(used);
    });
    to.on('drain', () => from.resume());
    from.on('end', () => to.end());
    from.on('error', () => to.destroy());
    from.on('close', () => {
      this.#sockets.delete(from);
      to.destroySoon();
    });
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.resetAndDestroy();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
  }
}
