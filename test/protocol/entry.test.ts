import test from 'ava';
import { Writer } from '../../protocol/bytes.ts';
import { type Entry, encodeEntry, entryBytes } from '../../protocol/entry.ts';

const entry: Entry = {
  path: 'a/b',
  kind: 'file',
  size: 1,
  mtimeNs: -1n,
  mode: 0o644,
  contentType: 'text/plain',
};

test('entryBytes is never less than what an entry takes', (t) => {
  for (const path of ['', 'a', 'ä', '日本', '😀', 'x'.repeat(1000)]) {
    const writer = new Writer();
    encodeEntry(writer, { ...entry, path });
    t.true(entryBytes({ ...entry, path }) >= writer.length, path);
  }
});
