import { Writable } from 'node:stream';
import test from 'ava';
import type { FerryEvent, SummaryEvent } from '../../client/events.ts';
import { createRenderer, type View, write } from '../../client/render.ts';
import { escapeUnsafe, nameText } from '../../client/render-names.ts';
import { outputs, progressEvent, summaryEvent, view } from './helpers/outputs.ts';

async function rendered(
  events: readonly FerryEvent[],
  change: Partial<View> = {},
): Promise<{ out: string[]; err: string[] }> {
  const streams = outputs();
  const renderer = await createRenderer(streams, { ...view, ...change });
  for (const event of events) await renderer.show(event);
  renderer.close();
  return { out: streams.stdout.lines, err: streams.stderr.lines };
}

const agreed = { version: 1, features: [], limits: { requests: 64 }, software: 'chunkferry/1' };
const events: readonly FerryEvent[] = [
  { type: 'start', schema: 1, command: 'upload', settings: { agreed } },
  { type: 'file', path: 'a/new\nline', outcome: 'stored', bytes: 2048, digest: '00ff' },
  { type: 'file', path: 'a/b', outcome: 'failed', bytes: 1 },
  { type: 'retry', attempt: 2, delaySeconds: 3.4, reason: 'The connection was lost' },
  { type: 'warning', message: 'It is a link.', path: 'a/l' },
  {
    type: 'error',
    failure: 'not-found',
    message: '"a/b" does not exist.',
    exitCode: 3,
    path: 'a/b',
  },
  summaryEvent,
];

test('people see what matters, on stderr', async (t) => {
  const { out, err } = await rendered(events);
  t.deepEqual(out, []);
  t.deepEqual(err, [
    'ferry: The connection was lost. Trying again in 3 s (attempt 2).',
    'ferry: warning: a/l: It is a link.',
    'ferry: "a/b" does not exist.',
    'ferry: 3 files, 3.0 MiB; 2.0 MiB sent in 2.0 s (1.0 MiB/s); 1.0 MiB reused; 1 chunk repeated',
  ]);
});

test('--verbose adds what was agreed and each file', async (t) => {
  const { err } = await rendered(events, { verbose: true });
  t.is(err[0], 'ferry: connected to chunkferry/1, protocol 1; features: none; limits: requests 64');
  t.is(err[1], 'a/new\\nline: stored, 2.0 KiB, 00ff');
});

test('--quiet shows nothing but errors', async (t) => {
  const { out, err } = await rendered([...events, progressEvent], { quiet: true });
  t.deepEqual(out, []);
  t.deepEqual(err, ['ferry: "a/b" does not exist.']);
});

test('failures are named in the last lines, the first few', async (t) => {
  const failedNames = ['a', 'b\\n', 'c', 'd', 'e', 'f'];
  const failed: SummaryEvent = { ...summaryEvent, failed: 8, failedNames, exitCode: 23 };
  const { err } = await rendered([failed]);
  t.is(err[1], 'ferry: 8 files failed: a, b\\n, c, d, e, and 3 more');
});

test('where nothing began there is nothing to sum up', async (t) => {
  const nothing = { ...summaryEvent, files: 0, directories: 0, bytesSent: 0, exitCode: 35 };
  t.deepEqual((await rendered([nothing])).err, []);
});

test('results go to stdout: entries, differences, what a dry run would send', async (t) => {
  const { out } = await rendered([
    {
      type: 'entry',
      path: 'x',
      kind: 'file',
      size: 1,
      mtime: '2026-05-06T07:08:09.000000000Z',
      mode: 0o644,
      contentType: '',
    },
    { type: 'difference', path: 'y\u001b', reason: 'missing-there' },
    { type: 'file', path: 'z', outcome: 'planned', bytes: 1 },
  ]);
  t.deepEqual(out, ['x', 'y\\u{1b}: is missing there', 'z']);
});

test('verify sums up what it compared', async (t) => {
  const summary = 'verify' as const;
  t.deepEqual((await rendered([summaryEvent], { summary })).err, [
    'ferry: no difference; 3 files, 3.0 MiB in 2.0 s',
  ]);
});

test('JSON lines are exactly the events, and the end of all is also said to people', async (t) => {
  const ending: FerryEvent = {
    type: 'error',
    failure: 'never-connected',
    message: 'Nobody is there.',
    exitCode: 35,
  };
  const all = [...events.slice(0, -1), ending, summaryEvent];
  const { out, err } = await rendered(all, { json: true });
  t.deepEqual(
    out.map((line) => JSON.parse(line) as unknown),
    all,
  );
  t.deepEqual(err, ['ferry: Nobody is there.']);
});

test('JSON goes to stderr, alone, when content goes to stdout', async (t) => {
  const { out, err } = await rendered(events, { json: true, dataOnStdout: true, progress: true });
  t.deepEqual(out, []);
  t.deepEqual(
    err.map((line) => JSON.parse(line) as unknown),
    [...events],
  );
});

test('nothing but content goes to stdout when content does', async (t) => {
  const { out } = await rendered(events, { dataOnStdout: true, verbose: true });
  t.deepEqual(out, []);
});

test('at most ten progress events a second are written', async (t) => {
  const { JsonRenderer } = await import('../../client/render-json.ts');
  const streams = outputs();
  const idle = { update: () => undefined, above: () => undefined, stop: () => undefined };
  let nowMs = 0;
  const renderer = new JsonRenderer(streams, view, idle, () => nowMs);
  for (; nowMs < 5_000; nowMs += 7) await renderer.show(progressEvent);
  t.true(streams.stdout.lines.length <= 50);
  t.true(streams.stdout.lines.length >= 45);
});

test('--progress shows a bar beside JSON', async (t) => {
  for (const progress of [true, false]) {
    const streams = outputs(80);
    const renderer = await createRenderer(streams, { ...view, json: true, progress });
    await renderer.show(progressEvent);
    renderer.close();
    t.is(streams.stderr.text.includes('25 %'), progress);
    t.is(streams.stdout.lines.length, 1);
  }
});

test('a dumb terminal gets lines', async (t) => {
  const streams = { ...outputs(80), env: { TERM: 'dumb' } };
  const renderer = await createRenderer(streams, view);
  await renderer.show(progressEvent);
  await renderer.show(summaryEvent);
  renderer.close();
  t.notRegex(streams.stderr.text, /[\r\u001b]/);
});

test('no colour is used, so NO_COLOR holds', async (t) => {
  const streams = outputs(80);
  const renderer = await createRenderer(streams, { ...view, verbose: true });
  for (const event of [...events.slice(0, -1), progressEvent, summaryEvent]) {
    await renderer.show(event);
  }
  t.notRegex(streams.stderr.text, /\u001b\[[\d;]*m/);
});

test('what a daemon says is made safe and short, its own escapes are left', (t) => {
  t.is(escapeUnsafe('\u001b[2J\u202e"a\\nb"\r'), '\\u{1b}[2J\\u{202e}"a\\nb"\\u{d}');
  t.true(escapeUnsafe('x'.repeat(1e6)).length < 2_000);
  t.is(nameText(`a\\b/${'c'.repeat(1500)}/\u0007`), `a\\\\b/${'c'.repeat(1024)}…/\\u{7}`);
});

test('a full stream is waited for, a broken one is not', async (t) => {
  const writes: (() => void)[] = [];
  const slow = new Writable({
    highWaterMark: 1,
    write: (_piece, _encoding, done) => void writes.push(done),
  });
  slow.on('error', () => undefined);
  let settled = false;
  const full = write(slow, 'text')?.then(() => {
    settled = true;
  });
  await Promise.resolve();
  t.false(settled);
  writes[0]?.();
  await full;
  t.true(settled);
  const broken = write(slow, 'text');
  slow.destroy(new Error('gone'));
  await broken;
});
