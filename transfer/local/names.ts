/** The names in a folder as the disk gives them, a byte a character: they need not be UTF-8. */
import { closeSync, constants, type Dir, fstatSync, opendirSync, openSync } from 'node:fs';
import type { Directory } from './folder.ts';
import { type Libc, libc } from './libc.ts';

/** In their order on the disk, without `.` and `..`; reads on where it stopped, however long that is ago. */
export interface Names {
  /** The next one; undefined when all were given. Throws errno errors. */
  next(): string | undefined;
  close(): void;
}

/** Begins to read `directory`; throws errno errors. */
export function namesIn(directory: Directory): Names {
  const calls = libc();
  return calls === undefined ? nodeNames(directory) : new LibcNames(calls, directory);
}

function nodeNames({ base }: Directory): Names {
  // As text: a buffer for each takes longer to make.
  const dir: Dir = opendirSync(base, { encoding: 'latin1', bufferSize: 256 });
  return {
    next: () => dir.readSync()?.name,
    close: () => dir.closeSync(),
  };
}

class LibcNames implements Names {
  readonly #calls: Libc;
  /** Of its own: where reading has come to belongs to the descriptor. */
  readonly #fd: number;
  /** The last first. */
  #batch: string[] = [];

  constructor(calls: Libc, directory: Directory) {
    this.#calls = calls;
    // By a path through /proc: a folder may be read without permission to look up `.` in it.
    this.#fd = openSync(directory.base, constants.O_RDONLY | constants.O_DIRECTORY);
  }

  next(): string | undefined {
    if (this.#batch.length === 0) this.#batch = this.#read().reverse();
    return this.#batch.pop();
  }

  #read(): string[] {
    const names = this.#calls.namesOf(this.#fd);
    if (names !== undefined) return names;
    // A folder that was removed meanwhile has no names any more, and no others are told of it.
    if (fstatSync(this.#fd).nlink === 0) return [];
    const message = 'EIO: the names of a folder could not be read';
    throw Object.assign(new Error(message), { code: 'EIO', syscall: 'getdents64' });
  }

  close(): void {
    closeSync(this.#fd);
  }
}
