import test from 'ava';
import { limits } from '../../protocol/limits.ts';
import { MemoryStorage } from '../../transfer/memory-storage.ts';
import { join, newId, newSession, TestDaemon } from '../transfer/helpers/ends.ts';
import { answerOf, contentOf, load, offerOf, sourceOf, upload } from '../transfer/helpers/files.ts';
import { failureOf } from '../transfer/helpers/outcome.ts';

test('a join of what is not open, not ours or not this epoch is refused, each in its own words', async (t) => {
  const daemon = new TestDaemon();
  const session = newSession();
  const first = join(daemon, { session });
  await first.client.ready;
  const source = sourceOf(contentOf(100_000));
  const request = first.client.open({ request: 0, ...offerOf(source, { connections: 2 }) });
  const { transfer, epoch } = await answerOf(request, 'want');
  const tryToJoin = async (asSession: Uint8Array, id: Uint8Array, asEpoch: number) => {
    const { client } = join(daemon, { session: asSession });
    await client.ready;
    const joining = client.open({ type: 'join', request: 0, transfer: id, epoch: asEpoch });
    const failure = await failureOf(answerOf(joining, 'complete'));
    client.close();
    return failure;
  };
  t.is(await tryToJoin(newSession(), transfer, epoch), 'unknown-transfer');
  t.is(await tryToJoin(session, newId(), epoch), 'unknown-transfer');
  t.is(await tryToJoin(session, transfer, epoch + 1), 'fenced');
  first.client.close();
  await daemon.service.settled();
  t.is(await tryToJoin(session, transfer, epoch), 'unknown-transfer', 'it is over');
});

test('offers without data reserve nothing and leave nothing', async (t) => {
  const storage = new MemoryStorage();
  const daemon = new TestDaemon(storage);
  const session = newSession();
  const { client } = join(daemon, { session });
  await client.ready;
  const source = sourceOf(contentOf(10));
  for (let i = 0; i < 300; i += 1) {
    const offer = offerOf(source, { path: `f${i}`, offer: { size: 2 ** 40 } });
    const requests = [client.open({ request: 0, ...offer })];
    await answerOf(requests[0] as (typeof requests)[0], 'want');
    requests[0]?.cancel();
  }
  t.true(client.isOpen);
  client.close();
  await daemon.service.settled();
  t.is(await load(storage, 'f0'), undefined);
  t.is(storage.partialCount, 0);
});

test('a stop ends uploads under way, and what they have is kept for the next', async (t) => {
  const { TransferError } = await import('../../protocol/errors.ts');
  const daemon = new TestDaemon();
  const { client } = join(daemon);
  await client.ready;
  const source = sourceOf(contentOf(4 * limits.fileChunkBytes));
  const request = client.open({ request: 0, ...offerOf(source) });
  await answerOf(request, 'want');
  const failed = failureOf(answerOf(request, 'complete'));
  daemon.service.stop(new TransferError('stopping', 'The daemon is stopping.'));
  t.is(await failed, 'stopping');
  await daemon.service.settled();
  t.true(client.isOpen);
  client.close();
});

test('an upload that was done is not called busy because another client writes the name by now', async (t) => {
  const daemon = new TestDaemon();
  const { client } = join(daemon);
  const source = sourceOf(contentOf(300_000));
  const operation = newId();
  const { outcome, digest } = await upload(client, source, { operation });
  t.is(outcome, 'stored');
  const { client: other } = join(daemon);
  const writing = other.open({ request: 0, ...offerOf(sourceOf(contentOf(400_000))) });
  await answerOf(writing, 'want');
  // The answer was lost with its connection: the same operation is asked for again.
  const again = await upload(client, source, { operation });
  t.deepEqual([again.outcome, again.digest], ['stored', digest]);
  t.is(await failureOf(upload(client, source, { operation: newId() })), 'busy');
  client.close();
  other.close();
  await daemon.service.settled();
});
