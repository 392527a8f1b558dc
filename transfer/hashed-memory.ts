/**
 * Memory for content that is hashed where it lies. xxhash-wasm copies what it hashes into memory of its own,
 * which it does not hand out; an instance of its module that we make does.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { hashInPlace, type Xxhash } from '../protocol/checksum.ts';

/** What is used of it: Node's types leave it to those of browsers. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
};

/** The module, as a file of the package. */
function moduleFile(): Uint8Array {
  const main = createRequire(import.meta.url).resolve('xxhash-wasm');
  return readFileSync(join(main, '../../workerd/xxhash.wasm'));
}

/** At least `bytes`; undefined where the package is not as we know it: then content is copied to be hashed. */
export function hashedMemory(
  bytes: number,
  read: () => Uint8Array = moduleFile,
): ArrayBuffer | undefined {
  try {
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(read()));
    return hashInPlace(exports as Xxhash, bytes);
  } catch {
    return undefined;
  }
}
