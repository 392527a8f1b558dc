import test from 'ava';
import { checksum } from '../../protocol/checksum.ts';
import { hashedMemory } from '../../transfer/hashed-memory.ts';

test('the package has the module that we know', (t) => {
  const memory = hashedMemory(1_000_000);
  t.true(memory !== undefined && memory.byteLength >= 1_000_000);
});

const faults: Record<string, () => Uint8Array> = {
  'a file that is missing': () => {
    throw new Error('ENOENT');
  },
  'what is no module': () => new Uint8Array(100),
  // Magic and version alone (WebAssembly Core Specification, 5.5.16): no memory, no functions.
  'a module that is another': () => new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]),
};
for (const [what, read] of Object.entries(faults)) {
  test(`with ${what} content is hashed as before`, (t) => {
    t.is(hashedMemory(1000, read), undefined);
    t.is(checksum(new Uint8Array()), 0xef46_db37_51d8_e999n);
  });
}

test('more than there can be is refused', (t) => {
  t.is(hashedMemory(2 ** 40), undefined);
});
