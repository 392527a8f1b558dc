/** Where the work is done: folders, the files to move, and our own daemon. */
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { testToken } from '../test/helpers/token.ts';
import {
  type DaemonProcess,
  type DaemonSettings,
  startDaemon,
} from '../test/system/helpers/daemon.ts';
import {
  firstDifference,
  randomBytes,
  type TempFolder,
  tempFolder,
  writeRandomFile,
} from '../test/system/helpers/files.ts';
import { programPath } from '../test/system/helpers/processes.ts';
import { quickFolder } from '../test/system/helpers/wait.ts';
import type { Command } from './measure.ts';

export interface Sizes {
  readonly largeBytes: number;
  readonly treeFiles: number;
  /** Sizes of the sparse files that show how memory grows. */
  readonly sparseGiB: readonly number[];
}

const filesInFolder = 100;
const leastBytes = 100;
const mostBytes = 8_000;

/** A place for one row: everything in it goes when it is closed. */
export class Place {
  readonly folder: TempFolder;
  readonly sizes: Sizes;
  #putAside = 0;
  readonly #daemons: DaemonProcess[] = [];

  private constructor(folder: TempFolder, sizes: Sizes) {
    this.folder = folder;
    this.sizes = sizes;
  }

  /** On memory (tmpfs) where there is some, or on the disk that `where` lies on. */
  static async open(sizes: Sizes, where: string = quickFolder): Promise<Place> {
    const place = new Place(await tempFolder(where), sizes);
    for (const name of ['ours', 'theirs', 'state', 'peer']) await mkdir(place.at(name));
    return place;
  }

  at(...names: string[]): string {
    return this.folder.at(...names);
  }

  /** The large file, of content that nothing can compress. */
  async largeFile(): Promise<string> {
    const file = this.at('large');
    await writeRandomFile(file, this.sizes.largeBytes, 'bench');
    return file;
  }

  /** Files of 0.1 to 8 KB, a hundred in each folder. Gives the folder and its content in bytes. */
  async tree(files: number = this.sizes.treeFiles): Promise<{ folder: string; bytes: number }> {
    const folder = this.at('tree');
    const pool = randomBytes('tree', mostBytes * 16);
    let bytes = 0;
    for (let i = 0; i < files; i += 1) {
      const parent = `${folder}/${Math.floor(i / filesInFolder)}`;
      if (i % filesInFolder === 0) await mkdir(parent, { recursive: true });
      const size = leastBytes + ((i * 7919) % (mostBytes - leastBytes));
      const from = (i * 104_729) % (pool.length - size);
      await writeFile(`${parent}/${i % filesInFolder}`, pool.subarray(from, from + size));
      bytes += size;
    }
    return { folder, bytes };
  }

  /** Our daemon on the folder `ours`, as people start it: everything durable. */
  async daemon(settings: Pick<DaemonSettings, 'plain' | 'args'>): Promise<DaemonProcess> {
    const daemon = await startDaemon({
      folder: this.at('ours'),
      state: this.at('state'),
      ...settings,
    });
    this.#daemons.push(daemon);
    return daemon;
  }

  async remove(name: string): Promise<void> {
    await rm(this.at(name), { recursive: true, force: true });
  }

  /**
   * Takes a measured result out of the way. Deleting it would be measured, too: ext4 passes over each file
   * deleted in the last minutes before it gives a new one out, which makes 10,000 new ones take 5 to 9 s longer.
   */
  async putAside(name: string): Promise<void> {
    this.#putAside += 1;
    await rename(this.at(name), `${this.at(name)}-${this.#putAside}`);
  }

  async close(): Promise<void> {
    for (const daemon of this.#daemons) await daemon.stop();
    await this.folder.remove();
  }
}

/** Our client, started as people start it. */
export function ferry(...args: string[]): Command {
  return {
    file: process.execPath,
    args: [programPath('ferry'), ...args, '--quiet'],
    env: { FERRY_TOKEN: testToken },
  };
}

export async function checkSame(a: string, b: string): Promise<void> {
  const at = await firstDifference(a, b);
  if (at !== undefined)
    throw new Error(`${b} differs from byte ${at} on: the figure is worth nothing.`);
}
