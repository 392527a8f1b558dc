import { createHash } from 'node:crypto';
import test from 'ava';
import { transferLimits } from '../../transfer/limits.ts';
import { sha256Of } from '../../transfer/sha256.ts';
import { contentOf, sourceOf } from './helpers/files.ts';
import { failureOf } from './helpers/outcome.ts';
import { WrappedSource } from './helpers/wrapped-storage.ts';

const content = contentOf(3 * transferLimits.sendBatchBytes + 7);
const nobody = (): void => undefined;

test('it is that of the content, whatever its length', async (t) => {
  for (const length of [0, 1, 65_536, 65_537, content.length]) {
    const part = content.subarray(0, length);
    const sha256 = await sha256Of(sourceOf(part), length, nobody, () => false);
    t.deepEqual(sha256 && Buffer.from(sha256), createHash('sha256').update(part).digest());
  }
});

test('a source that became shorter is noticed', async (t) => {
  const hashing = sha256Of(sourceOf(content), content.length + 1, nobody, () => false);
  t.is(await failureOf(hashing), 'source-changed');
});

test('what nobody waits for any more is not read', async (t) => {
  let reads = 0;
  const source = new (class extends WrappedSource {
    override async read(buffer: Uint8Array, position: number): Promise<number> {
      reads += 1;
      return await super.read(buffer, position);
    }
  })(sourceOf(content));
  t.is(await sha256Of(source, content.length, nobody, () => reads > 0), undefined);
  t.is(reads, 1);
});
