import test from 'ava';
import type { Answer } from '../../protocol/frames/pages.ts';
import type { ControlFrame } from '../../protocol/frames.ts';
import { type RawPeer, rawDaemon } from './helpers/ends.ts';
import { Counts, contentOf, smallFile } from './helpers/files.ts';
import { failureOf, turns, until } from './helpers/outcome.ts';
import { type PageOptions, uploadPage } from './helpers/pages.ts';

const files = [
  smallFile('a', contentOf(100, 1)),
  smallFile('b', contentOf(200, 2)),
  smallFile('empty'),
  smallFile('c', contentOf(300, 3)),
];

async function handReceiver(options: PageOptions = {}, sent = files, told = {}) {
  const { peer, connection } = rawDaemon();
  peer.greet(told);
  await connection.ready;
  const counts = new Counts();
  const done = uploadPage(connection, sent, options, counts);
  done.catch(() => undefined);
  await peer.next('offers');
  return { peer, connection, counts, done };
}

const answers = (...given: Answer[]): ControlFrame => ({
  type: 'answers',
  request: 1,
  answers: given,
});
const results: ControlFrame = { type: 'results', request: 1, failures: [] };

function want(round: number, ...places: number[]): ControlFrame {
  const ranges = places.map((start) => ({ start, end: start + 1 }));
  const transfer = new Uint8Array(16);
  return { type: 'want', request: 1, round, transfer, epoch: 0, last: false, ranges };
}

/** Places of the chunks that came, up to the next end. */
async function placesUntilEnd(peer: RawPeer): Promise<number[]> {
  await until(() => peer.heard.some(({ type }) => type === 'end'), 'an end');
  const places: number[] = [];
  for (;;) {
    const frame = peer.heard.shift();
    if (frame?.type === 'chunk') places.push(frame.index);
    if (frame?.type === 'end') return places;
    if (frame === undefined) throw new Error('No end came.');
  }
}

test('what is wanted is sent after the answers, and nothing before them', async (t) => {
  const { peer, done, counts, connection } = await handReceiver();
  await turns();
  t.deepEqual(peer.heard, []);
  peer.say(answers('want', 'unchanged', 'want', 'want'));
  t.deepEqual(await placesUntilEnd(peer), [0, 3]);
  peer.say(results);
  const outcome = await done;
  t.deepEqual(outcome.answers, ['want', 'unchanged', 'want', 'want']);
  t.is(counts.bytes, 400);
  connection.close();
});

test('an eager page is sent at once, and ends only after the answers', async (t) => {
  const { peer, done, connection } = await handReceiver({ eager: true });
  await until(() => peer.heard.length === 3, 'three chunks');
  await turns();
  t.deepEqual(
    peer.heard.map(({ type }) => type),
    ['chunk', 'chunk', 'chunk'],
  );
  peer.say(answers('want', 'want', 'want', 'skipped'));
  t.deepEqual(await placesUntilEnd(peer), [0, 1, 3]);
  peer.say(results);
  t.deepEqual((await done).failures, []);
  connection.close();
});

test('after the answers an eager page sends no more of what is not wanted', async (t) => {
  const many = Array.from({ length: 256 }, (_, i) => smallFile(`f${i}`, contentOf(1000, i)));
  const { peer, connection } = await handReceiver({ eager: true }, many, { inFlightBytes: 70_000 });
  await until(() => peer.heard.length === 64, 'the first run');
  peer.say(answers(...many.map((): Answer => 'unchanged')));
  await turns();
  peer.say({ type: 'credit', request: 0, consumed: 64_000 });
  const places = await placesUntilEnd(peer);
  t.true(places.length <= 128, 'one run more was under way at most');
  connection.close();
});

test('what can not be read any more, or has another size by now, is left out', async (t) => {
  const contents = [undefined, contentOf(201), undefined, files[3]?.content];
  const { peer, done, connection } = await handReceiver({ contentOf: (place) => contents[place] });
  peer.say(answers('want', 'want', 'want', 'want'));
  t.deepEqual(await placesUntilEnd(peer), [3]);
  peer.say({
    type: 'results',
    request: 1,
    failures: [{ index: 0, failure: 'source-changed', message: '' }],
  });
  t.is((await done).failures.length, 1);
  connection.close();
});

test('a place that is wanted again is sent again, counted, with an end of its round', async (t) => {
  const { peer, done, counts, connection } = await handReceiver();
  peer.say(answers('want', 'want', 'want', 'want'));
  await placesUntilEnd(peer);
  peer.say(want(1, 0, 3));
  t.deepEqual(await placesUntilEnd(peer), [0, 3]);
  peer.say(want(2, 3));
  t.deepEqual(await placesUntilEnd(peer), [3]);
  peer.say(results);
  await done;
  t.is(counts.repeated, 3);
  connection.close();
});

test('places wanted again and again before they can leave are sent once', async (t) => {
  const { peer, counts, connection } = await handReceiver({}, files, { inFlightBytes: 600 });
  peer.say(answers('want', 'want', 'want', 'want'));
  await placesUntilEnd(peer);
  for (let round = 1; round <= 500; round += 1) peer.say(want(round, 0, 1, 3));
  await turns(30);
  peer.say({ type: 'credit', request: 0, consumed: 600 });
  await turns(30);
  peer.say({ type: 'credit', request: 0, consumed: 1200 });
  await turns(30);
  t.true(counts.repeated <= 6, `${counts.repeated}`);
  connection.close();
});

test('answers that do not fit the page, and places that are not in it, are a breach', async (t) => {
  for (const frames of [
    [answers('want')],
    [answers('want', 'want', 'want', 'want', 'want')],
    [answers('want', 'want', 'want', 'want'), want(1, 4)],
  ]) {
    const { peer, done, connection } = await handReceiver();
    peer.say(...frames);
    t.is(await failureOf(done), 'protocol');
    t.is((await connection.closed)?.failure, 'protocol');
  }
});

test('an error of the receiver ends the page, and the connection goes on', async (t) => {
  const { peer, done, connection } = await handReceiver({ eager: true });
  peer.say({ type: 'error', request: 1, failure: 'permission', message: 'Read-only.' });
  t.is(await failureOf(done), 'permission');
  t.true(connection.isOpen);
  connection.close();
});
