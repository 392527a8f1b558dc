import test from 'ava';
import type { FrameOf } from '../../protocol/frames.ts';
import { limits } from '../../protocol/limits.ts';
import type { Range } from '../../protocol/ranges.ts';
import { chunkChecksums, Ledger } from '../../protocol/segments.ts';
import { MemoryStorage } from '../../transfer/memory-storage.ts';
import type { Request } from '../../transfer/request.ts';
import { join, TestDaemon } from '../transfer/helpers/ends.ts';
import { answerOf, contentOf, download, store } from '../transfer/helpers/files.ts';
import { failureOf, until } from '../transfer/helpers/outcome.ts';
import { WrappedSource, WrappedStorage } from '../transfer/helpers/wrapped-storage.ts';

test('the offer of a download names what was asked for, and nothing of an upload', async (t) => {
  const daemon = new TestDaemon();
  await store(daemon.storage, 'd/file', contentOf(10));
  const { client } = join(daemon);
  const request = client.open({ type: 'download', request: 0, path: 'd/file', sha256: true });
  const offer = await answerOf(request, 'offer');
  t.is(offer.path, 'd/file');
  t.deepEqual([offer.size, offer.rewindable, offer.sha256], [10, true, true]);
  t.deepEqual(
    [offer.operation, offer.policy, offer.connections],
    [undefined, undefined, undefined],
  );
  request.cancel();
  client.close();
});

test('what is no file, or not there, or badly named, is told by its own failure', async (t) => {
  const daemon = new TestDaemon();
  await daemon.storage.mkdir('folder', false);
  const { client } = join(daemon);
  const here = new MemoryStorage();
  t.is(await failureOf(download(client, here, { path: 'folder' })), 'wrong-kind');
  t.is(await failureOf(download(client, here, { path: 'nothing' })), 'not-found');
  t.is(await failureOf(download(client, here, { path: '../etc/passwd' })), 'bad-path');
  client.close();
});

test('over several connections, a file is read once for its content and its digest', async (t) => {
  const storage = new WrappedStorage();
  let readBytes = 0;
  storage.wrapSource = (source) =>
    new (class extends WrappedSource {
      override async read(buffer: Uint8Array, positionBytes: number): Promise<number> {
        const bytes = await super.read(buffer, positionBytes);
        readBytes += bytes;
        return bytes;
      }
    })(source);
  const content = contentOf(20 * limits.fileChunkBytes + 5);
  await store(storage.inner, 'file', content);
  const daemon = new TestDaemon(storage);
  const asked = async (): Promise<Request> => {
    const { client } = join(daemon);
    const request = client.open({ type: 'download', request: 0, path: 'file', sha256: false });
    await answerOf(request, 'offer');
    return request;
  };
  const [first, second] = await Promise.all([asked(), asked()]);
  const want = async (
    request: Request,
    round: number,
    ranges: readonly Range[],
    last: boolean,
  ): Promise<FrameOf<'end'>> => {
    const end = answerOf(request, 'end');
    const transfer = new Uint8Array(16);
    request.say({ type: 'want', request: request.id, round, transfer, epoch: 0, last, ranges });
    return await end;
  };
  await want(first, 1, [{ start: 0, end: 9 }], false);
  await want(second, 1, [{ start: 9, end: 21 }], false);
  const { digest } = await want(first, 2, [], true);
  const ledger = new Ledger();
  for (const [i, sum] of chunkChecksums(content, limits.fileChunkBytes).entries()) {
    ledger.add(i, sum);
  }
  t.is(digest, ledger.digest(content.length, limits.fileChunkBytes));
  t.is(readBytes, content.length);
  first.cancel();
  second.cancel();
});

test('a source is closed in the end, however the download ends', async (t) => {
  const storage = new WrappedStorage();
  let open = 0;
  storage.wrapSource = (source) => {
    open += 1;
    return new (class extends WrappedSource {
      override async close(): Promise<void> {
        open -= 1;
        await super.close();
      }
    })(source);
  };
  await store(storage.inner, 'file', contentOf(3_000_000));
  const daemon = new TestDaemon(storage);
  for (const way of ['whole', 'cancelled', 'cut'] as const) {
    const { client, link } = join(daemon, way === 'cut' ? { toClient: { cutAt: 500_000 } } : {});
    if (way === 'cancelled') {
      const request = client.open({ type: 'download', request: 0, path: 'file', sha256: false });
      await answerOf(request, 'offer');
      request.cancel();
    } else {
      t.is(
        await failureOf(download(client, new MemoryStorage())),
        way === 'cut' ? 'connection-lost' : undefined,
      );
    }
    await until(() => open === 0, `the source closed after ${way}`);
    client.close();
    link.cut();
    await daemon.service.settled();
  }
  t.is(open, 0);
});
