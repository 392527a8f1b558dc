import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import fc from 'fast-check';
import { barText, createProgress, lineText } from '../../client/progress.ts';
import { Memory, progressEvent } from './helpers/outputs.ts';

test('the bar shows its parts where there is room', (t) => {
  t.is(
    barText(progressEvent, 140),
    '[=========------------------------------]  25 %  10.0 MiB/s  0:15 left  50.0 MiB of 200.0 MiB' +
      '  3 of 12 files  avg 8.0 MiB/s  10.0 MiB reused',
  );
  t.is(barText(progressEvent, 50), '[====---------------]  25 %  10.0 MiB/s  0:15 left');
  t.is(barText(progressEvent, 20), '[===---------]  25 %');
  t.is(barText(progressEvent, 10), ' 25 %');
  t.is(barText(undefined, 80), '');
});

test('a stream has no share, silent work has a name, an unknown end is left out', (t) => {
  const stream = { ...progressEvent, totalBytes: null, totalFiles: 1, secondsLeft: null };
  t.is(barText(stream, 60), '50.0 MiB  10.0 MiB/s  avg 8.0 MiB/s  10.0 MiB reused');
  t.regex(barText({ ...progressEvent, phase: 'verifying' }, 80), / {2}verifying {2}/);
});

test('100 % is said only when all is done, and empty files count by number', (t) => {
  const almost = { ...progressEvent, bytes: 199_999, totalBytes: 200_000 };
  t.regex(barText(almost, 80), /-\] +99 %/);
  t.regex(barText({ ...almost, bytes: 200_000 }, 80), /=\] 100 %/);
  const empty = { ...progressEvent, bytes: 0, totalBytes: 0, files: 6, totalFiles: 12 };
  t.regex(barText(empty, 80), /50 %/);
  t.notRegex(barText({ ...empty, totalFiles: 0 }, 80), /%/);
});

test('the bar is never wider than the terminal', (t) => {
  const number = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
  const columns = fc.integer({ min: 0, max: 250 });
  fc.assert(
    fc.property(columns, number, number, number, (columns, bytes, totalBytes, rate) => {
      const event = { ...progressEvent, bytes, totalBytes, bytesPerSecond: rate };
      t.true(barText({ ...event, phase: 'comparing' }, columns).length <= columns);
    }),
  );
});

test('on a terminal there is one line, redrawn, and nothing to restore', async (t) => {
  const output = new Memory(80);
  const progress = await createProgress(output, 'bar');
  progress.update(progressEvent);
  progress.above(() => void output.write('ferry: a warning\n'));
  progress.update({ ...progressEvent, bytes: 100 * 1024 ** 2 });
  await sleep(250);
  progress.stop();
  progress.stop();
  t.regex(output.text, /25 %/);
  t.regex(output.text, /\r\u001b\[Kferry: a warning\n\r\[=+-+\]/);
  t.regex(output.text, /50 %/);
  // The line is cleared at the end; the cursor was not hidden, wrapping not switched off.
  t.true(output.text.endsWith('\r\u001b[K'));
  t.deepEqual(new Set(output.text.match(/\u001b[^\n]{2}/g)), new Set(['\u001b[K']));
  const { length } = output.text;
  await sleep(250);
  t.is(output.text.length, length, 'nothing draws after the end');
});

test('off a terminal there is a line each 30 s at most, each second when asked for', async (t) => {
  for (const [mode, gapMs] of [
    ['few-lines', 30_000],
    ['many-lines', 1_000],
  ] as const) {
    const output = new Memory();
    let nowMs = 0;
    const progress = await createProgress(output, mode, () => nowMs);
    for (; nowMs <= 95_000; nowMs += 100) progress.update(progressEvent);
    progress.stop();
    t.is(output.lines.length, Math.floor(95_000 / gapMs));
    t.is(output.lines[0], `ferry: ${lineText(progressEvent)}`);
    t.notRegex(output.text, /[\r\u001b]/);
  }
  t.is(
    lineText(progressEvent),
    '25 %, 10.0 MiB/s, 0:15 left, 50.0 MiB of 200.0 MiB, 3 of 12 files, avg 8.0 MiB/s, 10.0 MiB reused',
  );
});
