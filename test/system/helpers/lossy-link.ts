/** A bad link between two network namespaces: what passes is lost at random, and late. Needs root. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { root } from '../../helpers/root.ts';
import { isLinux, isRoot } from './scene.ts';

const relay = path.join(root, 'test/system/helpers/lossy-link.py');

export const hasLinks: boolean = isLinux && isRoot && existsSync('/dev/net/tun');

export interface LinkSettings {
  /** Of the packets, each way. */
  readonly lossPercent: number;
  /** Added each way. */
  readonly delayMs: number;
  readonly seed: number;
}

export class LossyLink {
  /** Address of the far end. */
  readonly farHost = '10.77.0.2';
  /** What runs a program at the near end, and at the far one. */
  readonly near: readonly string[];
  readonly far: readonly string[];
  readonly #relay: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  #closing: Promise<string> | undefined;

  private constructor(relay: ChildProcess, lines: AsyncIterator<string>, ends: readonly string[]) {
    const [near, far] = ends.map((pid) => ['nsenter', `--net=/proc/${pid}/ns/net`]);
    this.near = near ?? [];
    this.far = far ?? [];
    this.#relay = relay;
    this.#lines = lines;
  }

  static async start({ lossPercent, delayMs, seed }: LinkSettings): Promise<LossyLink> {
    const words = [relay, lossPercent, delayMs, seed].map(String);
    const child = spawn('python3', words, { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const { value } = await lines.next();
    if (typeof value !== 'string') throw new Error('The link could not be made.');
    return new LossyLink(child, lines, value.split(' '));
  }

  /** Takes it down; says how many packets came to it, and how many of them were lost. */
  close(): Promise<string> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<string> {
    const gone = once(this.#relay, 'close');
    this.#relay.stdin?.end();
    const { value } = await this.#lines.next();
    await gone;
    return String(value);
  }
}
