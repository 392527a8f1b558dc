import test from 'ava';
import { type FerryError, ProtocolError, TransferError } from '../../protocol/errors.ts';
import type { ControlFrame } from '../../protocol/frames.ts';
import { Block } from '../../transfer/input-buffer.ts';
import { type Carrier, type Listener, Request } from '../../transfer/request.ts';
import { contentOf, offerOf, sourceOf } from './helpers/files.ts';

/** A carrier that only writes down what it is told. */
class Notes implements Carrier {
  readonly peerSession = new Uint8Array(16);
  readonly features = [];
  readonly heardAtMs = 0;
  readonly openRequests = 1;
  readonly sending = { windowMs: 0, socketMs: 0, confirmedBytes: 0 };
  readonly traffic = { receivedBytes: 0, sentBytes: 0 };
  readonly said: string[] = [];
  consumedBytes = 0;
  closedBy: FerryError | undefined;

  say(frame: ControlFrame): void {
    this.said.push(frame.type);
  }

  takeLong(): void {
    this.said.push('takeLong');
  }

  verify(): void {
    this.said.push('verify');
  }

  async sayBulk(frame: ControlFrame): Promise<void> {
    this.said.push(frame.type);
  }

  async sayBatch(): Promise<void> {
    this.said.push('chunk');
  }

  async sayChunks(): Promise<void> {
    this.said.push('chunk');
  }

  moved(): void {
    // Nobody waits here.
  }

  consumed(bytes: number): void {
    this.consumedBytes += bytes;
  }

  pin(): Block {
    return new Block(new Uint8Array(1));
  }

  unpin(): void {
    // Nothing is read here.
  }

  close(reason: FerryError): void {
    this.closedBy = reason;
  }
}

class Ears implements Listener {
  readonly frames: string[] = [];
  readonly failures: string[] = [];

  onFrame(frame: ControlFrame): void {
    this.frames.push(frame.type);
  }

  onFailed(error: FerryError): void {
    this.failures.push(error.failure);
  }
}

const want: ControlFrame = {
  type: 'want',
  request: 1,
  round: 1,
  transfer: new Uint8Array(16),
  epoch: 1,
  last: true,
  ranges: [{ start: 0, end: 9 }],
};
const payload = new Uint8Array(5);
const chunk = {
  type: 'chunk',
  request: 1,
  index: 0,
  payload,
  checksum: 0n,
  intact: true,
  zero: false,
} as const;

/** An upload as its receiver sees it, in the middle. */
function moving() {
  const carrier = new Notes();
  const ears = new Ears();
  const request = new Request(1, 'receiver', carrier);
  request.listen(ears);
  request.hear({ request: 1, ...offerOf(sourceOf(contentOf(1))) }, 0);
  request.say(want);
  return { carrier, ears, request };
}

test('an error of ours is our last word; what was on its way is counted and dropped', (t) => {
  const { carrier, ears, request } = moving();
  request.fail(new TransferError('no-space', 'Full.'));
  t.deepEqual(ears.failures, ['no-space']);
  t.true(request.over && !request.closed);
  request.say(want);
  request.cancel();
  t.deepEqual(carrier.said, ['want', 'error']);
  request.hearChunks({ first: chunk, payloads: [payload], checksums: [0n], payloadBytes: 5 });
  request.hear({ type: 'working', request: 1, phase: 'hashing', done: 0, total: 0 }, 0);
  t.is(carrier.consumedBytes, 5);
  t.deepEqual(ears.frames, ['offer']);
  request.hear({ type: 'cancelled', request: 1 }, 0);
  t.true(request.closed);
  t.deepEqual(ears.failures, ['no-space'], 'told once');
});

test('a last word of the peer is answered `cancelled` at once, and closes the request', (t) => {
  for (const [frame, failure] of [
    [{ type: 'cancel', request: 1 }, 'cancelled'],
    [{ type: 'error', request: 1, failure: 'source-changed', message: '' }, 'source-changed'],
  ] as const) {
    const { carrier, ears, request } = moving();
    request.hear(frame, 0);
    t.deepEqual(carrier.said, ['want', 'cancelled']);
    t.true(request.closed);
    t.deepEqual(ears.failures, [failure]);
  }
});

test('two last words that cross close the request, and neither is answered', (t) => {
  const { carrier, request } = moving();
  request.fail(new TransferError('io', 'Broken.'));
  request.hear({ type: 'cancel', request: 1 }, 0);
  t.deepEqual(carrier.said, ['want', 'error']);
  t.true(request.closed);
});

test('broken rules end the whole connection', (t) => {
  const { carrier, ears, request } = moving();
  request.fail(new ProtocolError('protocol', 'No.'));
  t.is(carrier.closedBy?.failure, 'protocol');
  t.deepEqual(ears.failures, ['protocol']);
  t.deepEqual(carrier.said, ['want']);
});

test('who listens after the end hears of it at once', (t) => {
  const { request } = moving();
  request.lost(new TransferError('connection-lost', 'Gone.'));
  const late = new Ears();
  request.listen(late);
  t.deepEqual(late.failures, ['connection-lost']);
});

test('who only asked says `cancel` instead of an error', (t) => {
  const carrier = new Notes();
  const request = new Request(1, 'receiver', carrier);
  request.listen(new Ears());
  request.say({ type: 'stat', request: 1, path: '' });
  request.fail(new TransferError('timeout', 'Nothing moved.'));
  t.deepEqual(carrier.said, ['stat', 'cancel']);
});

test('frames that the conversation does not allow are a breach', (t) => {
  const { request } = moving();
  t.throws(() => request.hear({ type: 'done', request: 1 }, 0), { instanceOf: ProtocolError });
  t.throws(() => request.say({ type: 'done', request: 1 }), { instanceOf: ProtocolError });
});

test('only work that gets on counts as progress', (t) => {
  const { request } = moving();
  const working = (done: number, phase: 'hashing' | 'verifying' = 'hashing') =>
    ({ type: 'working', request: 1, phase, done, total: 9 }) as const;
  const progresses = (frame: ReturnType<typeof working>): boolean => {
    request.progressAtMs = -1;
    request.hear(frame, 0);
    return request.progressAtMs !== -1;
  };
  t.true(progresses(working(1)));
  t.false(progresses(working(1)));
  t.true(progresses(working(2)));
  t.true(progresses(working(2, 'verifying')));
  t.false(progresses(working(2, 'verifying')));
});

test('what the peer only says of itself counts for a while; what moves counts always', (t) => {
  const { request } = moving();
  const patience = { progressMs: 60_000, progressName: '--timeout', workingMs: 100_000 };
  request.provenAtMs = request.progressAtMs = -1;
  request.hear({ type: 'working', request: 1, phase: 'hashing', done: 1, total: 9 }, 0);
  t.is(request.provenAtMs, -1);
  const heardAtMs = request.progressAtMs;
  t.is(request.overdue(heardAtMs, 0, { ...patience, workingMs: heardAtMs + 2 }), undefined);
  t.regex(request.overdue(heardAtMs, 0, { ...patience, workingMs: 0 }) ?? '', /\(workingMs\)/);
  t.regex(request.overdue(heardAtMs + 60_001, 0, patience) ?? '', /60 s \(--timeout\)/);
  request.progressed();
  const provedAtMs = request.provenAtMs;
  t.is(request.overdue(provedAtMs + 60_000, 0, patience), undefined);
  request.cancel();
  t.is(request.overdue(provedAtMs + 1e9, 0, patience), undefined, 'it is over');
});

test('it is a page as long as small files move in it', (t) => {
  const carrier = new Notes();
  const page = new Request(1, 'receiver', carrier);
  page.listen(new Ears());
  t.false(page.isPage);
  page.say({ type: 'fetch', request: 1, base: '', paths: [] });
  t.true(page.isPage);
  page.cancel();
  t.false(page.isPage);
  t.false(moving().request.isPage);
});
