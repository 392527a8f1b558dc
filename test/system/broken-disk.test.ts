/**
 * Promise 1 on disks that are broken: ext4 images whose allocation bitmaps are damaged, or whose journal can be
 * written no more. What was acknowledged is there, after the power went, too.
 */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  writeSync,
} from 'node:fs';
import { copyFile, mkdir, rm } from 'node:fs/promises';
import type { ExecutionContext } from 'ava';
import { loadLibc, useLibc } from '../../transfer/local/libc.ts';
import { openLocalStorage } from '../../transfer/local/local-storage.ts';
import type { SmallFile } from '../../transfer/storage.ts';
import { folder, smallFile } from '../transfer/helpers/files.ts';
import { tempFolder } from './helpers/files.ts';
import { runTool, testAsRoot } from './helpers/trace.ts';

const content = 'hello\n';
const blockBytes = 4096;

/** What a tool of the system prints. */
function toolOutput(tool: string, ...args: readonly string[]): string {
  return execFileSync(tool, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
}

/** An image in memory that has no more room than it takes, so that holes in it stay holes. */
class Disk {
  readonly #folder: string;
  readonly #mounts: string[] = [];

  constructor(folder: string) {
    this.#folder = folder;
  }

  get #image(): string {
    return `${this.#folder}/memory/image`;
  }

  at(name: string): string {
    return `${this.#folder}/${name}`;
  }

  async format(...options: readonly string[]): Promise<void> {
    await mkdir(this.at('memory'));
    this.#mount(this.at('memory'), '-t', 'tmpfs', '-o', 'size=64m', 'none');
    runTool('fallocate', '-l', '48M', this.#image);
    const later = 'lazy_itable_init=0,lazy_journal_init=0,nodiscard';
    const fixed = ['-q', '-F', '-b', String(blockBytes), '-J', 'size=4', '-E', later];
    runTool('mkfs.ext4', ...fixed, ...options, this.#image);
  }

  #mount(at: string, ...args: readonly string[]): void {
    runTool('mount', ...args, at);
    this.#mounts.push(at);
  }

  async mount(name: string, image = this.#image): Promise<string> {
    await mkdir(this.at(name), { recursive: true });
    this.#mount(this.at(name), '-o', 'loop,errors=continue,commit=300', image);
    return this.at(name);
  }

  unmount(name: string): void {
    runTool('umount', '--lazy', this.at(name));
    this.#mounts.splice(this.#mounts.indexOf(this.at(name)), 1);
  }

  /** No place is found any more: the checksums of the bitmaps are wrong. */
  damageBitmaps(): void {
    const fd = openSync(this.#image, 'r+');
    const byte = Buffer.alloc(1);
    for (const [, block] of toolOutput('dumpe2fs', this.#image).matchAll(
      /Block bitmap at (\d+)/g,
    )) {
      const position = Number(block) * blockBytes + 1500;
      readSync(fd, byte, 0, 1, position);
      byte.writeUInt8(byte.readUInt8() ^ 0xff);
      writeSync(fd, byte, 0, 1, position);
    }
    closeSync(fd);
  }

  /** Nothing can be committed any more: the journal, but for its first block, is a hole that cannot be filled. */
  breakJournal(): void {
    const extents = toolOutput('debugfs', '-R', 'ex <8>', this.#image);
    for (const [, first = '', start = '', length = ''] of extents.matchAll(
      /^\s*\d+\/\s*\d+\s+\d+\/\s*\d+\s+(\d+)\s*-\s*\d+\s+(\d+)\s*-\s*\d+\s+(\d+)/gm,
    )) {
      const kept = Number(first) === 0 ? 1 : 0;
      const [offset, bytes] = [Number(start) + kept, Number(length) - kept].map(
        (n) => n * blockBytes,
      );
      runTool('fallocate', '--punch-hole', '-o', String(offset), '-l', String(bytes), this.#image);
    }
    const fd = openSync(this.at('memory/rest'), 'w');
    try {
      for (const size of [65_536, 4096]) {
        try {
          for (;;) writeSync(fd, Buffer.alloc(size, 1));
        } catch {
          // It is full.
        }
      }
    } finally {
      closeSync(fd);
    }
  }

  /** What is on the disk by now, after the power went, mounted as `after`. */
  async losePower(name: string): Promise<string> {
    await rm(this.at('memory/rest'), { force: true });
    await copyFile(this.#image, this.at('copy'));
    this.unmount(name);
    return await this.mount('after', this.at('copy'));
  }

  async remove(): Promise<void> {
    for (const at of this.#mounts.toReversed()) runTool('umount', '--lazy', at);
  }
}

async function newDisk(t: ExecutionContext): Promise<Disk> {
  const temp = await tempFolder();
  const disk = new Disk(temp.path);
  t.teardown(async () => {
    useLibc(loadLibc());
    await disk.remove();
    await temp.remove();
  });
  return disk;
}

/** Stores a page durably; gives the paths that were acknowledged. */
async function acknowledged(root: string, page: readonly SmallFile[]): Promise<string[]> {
  const storage = await openLocalStorage({ root, lock: true });
  const failures = await storage.putSmall('', page);
  // A disk that is broken may leave no way to tidy up either.
  await storage.close().catch(() => undefined);
  return page.flatMap(({ entry }, i) => (failures[i] === undefined ? [entry.path] : []));
}

const numbers = Array.from({ length: 40 }, (_, i) => i);

for (const count of [10, 40]) {
  testAsRoot(`promise 1: ${count} files that found no place are not acknowledged`, async (t) => {
    useLibc(loadLibc());
    const disk = await newDisk(t);
    await disk.format('-O', 'metadata_csum,^flex_bg');
    await mkdir(`${await disk.mount('disk')}/.chunkferry`, { mode: 0o700 });
    disk.unmount('disk');
    disk.damageBitmaps();
    const root = await disk.mount('disk');
    const page = numbers.slice(0, count).map((i) => smallFile(`${i}`, content));
    const paths = await acknowledged(root, page);
    t.true(paths.length < count, 'the disk is broken');
    for (const path of paths) t.is(readFileSync(`${root}/${path}`, 'utf8'), content);
    const after = await disk.losePower('disk');
    for (const path of paths) t.is(readFileSync(`${after}/${path}`, 'utf8'), content);
  });
}

for (const [name, page] of Object.entries({
  'three folders': numbers.slice(0, 3).map((i) => folder(`${i}`)),
  'many folders': numbers.map((i) => folder(`${i}`)),
  'many files': numbers.map((i) => smallFile(`${i}`, content)),
  'many files in new folders': numbers.map((i) => smallFile(`${i}/file`, content)),
})) {
  for (const moment of ['before', 'between its contents and its names'] as const) {
    testAsRoot(
      `promise 1: ${name}, the journal broken ${moment}, are not acknowledged`,
      async (t) => {
        const disk = await newDisk(t);
        await disk.format();
        const root = await disk.mount('disk');
        const libc = loadLibc();
        useLibc(
          libc && {
            ...libc,
            async syncFileSystem(fd) {
              const isSynced = await libc.syncFileSystem(fd);
              if (moment !== 'before') disk.breakJournal();
              return isSynced;
            },
          },
        );
        t.deepEqual(await acknowledged(root, [folder('whole')]), ['whole']);
        runTool('sync', '-f', root);
        if (moment === 'before') disk.breakJournal();
        const paths = await acknowledged(root, page);
        const after = await disk.losePower('disk');
        for (const path of paths) t.notThrows(() => statSync(`${after}/${path}`), path);
        t.true(readdirSync(after).includes('whole'));
        if (moment === 'before') t.deepEqual(paths, [], 'the disk is broken');
      },
    );
  }
}
