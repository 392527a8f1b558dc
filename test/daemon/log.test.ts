/** What may stand in the log, whatever peers say. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { createLog, type Logger } from '../../daemon/log.ts';
import { newToken, tokenText } from '../../transfer/authentication.ts';
import { root } from '../helpers/root.ts';

function logging(format: 'json' | 'pretty' = 'json'): { log: Logger; lines: string[] } {
  const lines: string[] = [];
  return { log: createLog('debug', format, (line) => void lines.push(line)), lines };
}

const only = (lines: string[]): string => {
  if (lines.length !== 1) throw new Error(`${lines.length} lines`);
  return lines[0] ?? '';
};

/** ESC, a C1 control, a bidirectional override, a line separator, a newline. */
const hostile = 'a\u001b[2Jb\u009bc\u202ed\u2028e\nf\r\u007fg';
const misleading = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e\u2028]/;

test('a line of JSON holds what was said, and no character that misleads', (t) => {
  const { log, lines } = logging();
  log.info({ event: 'offer', path: hostile }, hostile);
  const line = only(lines);
  t.notRegex(line, misleading);
  t.is(line.indexOf('\n'), line.length - 1);
  const record = JSON.parse(line) as Record<string, unknown>;
  t.is(record['path'], hostile);
  t.is(record['msg'], hostile);
});

test('a pretty line is one line, escaped', (t) => {
  const { log, lines } = logging('pretty');
  log.warn({ event: 'offer', path: hostile }, 'offer');
  const line = only(lines);
  t.notRegex(line, misleading);
  t.is(line.indexOf('\n'), line.length - 1);
  t.true(line.includes('path="a\\u{1b}[2Jb'), line);
});

test('long texts are cut', (t) => {
  for (const format of ['json', 'pretty'] as const) {
    const { log, lines } = logging(format);
    log.info({ event: 'failed', reason: 'x'.repeat(1_000_000) }, 'failed');
    const line = only(lines);
    t.true(line.length < 1_500, `${line.length}`);
    t.true(line.includes('x…'));
  }
});

test('an error is shown with its causes, without what was hung on it, and cut', (t) => {
  const { log, lines } = logging();
  const cause = Object.assign(new Error(`deep ${'y'.repeat(10_000)}`), { code: 'EIO' });
  const error = Object.assign(new Error('outer', { cause }), { secret: 'hidden', key: [1, 2] });
  log.error({ event: 'failed', err: error }, 'failed');
  const line = only(lines);
  t.false(line.includes('hidden'));
  t.true(line.length < 12_000);
  const { err } = JSON.parse(line) as { err: Record<string, unknown> };
  t.like(err, { type: 'Error', message: 'outer' });
  t.regex(String(err['stack']), /log\.test/);
  t.like(err['cause'], { code: 'EIO' });
  const looped = new Error('looped');
  looped.cause = looped;
  log.error({ err: looped }, 'failed');
  log.error({ err: 'a text' }, 'failed');
  t.is(lines.length, 3);
});

test('a token never gets through, wherever it stands', (t) => {
  const token = tokenText(newToken());
  for (const format of ['json', 'pretty'] as const) {
    const { log, lines } = logging(format);
    const error = new Error(`about ${token}`, { cause: new Error(token) });
    log.error({ event: 'x', path: `dir/${token}`, err: error, deep: { token } }, `it is ${token}`);
    const line = only(lines);
    t.false(line.includes(token));
    t.false(line.includes(token.slice(6)));
    t.true(line.includes('ferry_…'));
  }
});

test('docs/operations.md knows every event of the log, and every metric', async (t) => {
  const page = await readFile(join(root, 'docs', 'operations.md'), 'utf8');
  const files = (await readdir(join(root, 'daemon'))).filter((name) => name.endsWith('.ts'));
  const sources = await Promise.all(
    files.map((name) => readFile(join(root, 'daemon', name), 'utf8')),
  );
  const said = sources.flatMap((text) => [...text.matchAll(/\bevent: '([\w-]+)'/g)]);
  const counted = sources.flatMap((text) => [...text.matchAll(/'(chunkferry_\w+)'/g)]);
  t.true(said.length > 10 && counted.length > 5);
  for (const [, name] of [...said, ...counted]) t.true(page.includes(`\`${name}\``), name);
});
