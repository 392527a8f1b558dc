/** Few lines, however many peers want some. */
import test from 'ava';
import { FloodGate } from '../../daemon/flood-gate.ts';
import { createLog } from '../../daemon/log.ts';

type Fields = Record<string, unknown>;

function gate(windowMs: number): { flood: FloodGate; lines: Fields[] } {
  const lines: Fields[] = [];
  const log = createLog('info', 'json', (line) => void lines.push(JSON.parse(line) as Fields));
  return { flood: new FloodGate(log, { windowMs }), lines };
}

const hour = 3_600_000;

test('the first lines come as they are, the others are counted and told', (t) => {
  const { flood, lines } = gate(hour);
  for (let i = 0; i < 500; i += 1) {
    const peer = i % 10 === 0 ? '10.0.0.2' : '10.0.0.1';
    flood.say('warn', 'denied', { event: 'denied', peer }, 'address not allowed');
  }
  t.is(lines.length, 20);
  t.like(lines[0], { event: 'denied', peer: '10.0.0.2', msg: 'address not allowed' });
  flood.close();
  t.is(lines.length, 21);
  t.like(lines[20], { event: 'denied', more: 480, peer: '10.0.0.1', level: 40 });
  t.is(lines[20]?.['msg'], 'and 480 more from 10.0.0.1 (432), 1 other addresses');
  flood.close();
  t.is(lines.length, 21);
});

test('each kind has a window of its own, and the next window begins anew', (t) => {
  const { flood, lines } = gate(hour);
  const line = { event: 'refused', peer: '10.0.0.1' };
  for (let i = 0; i < 30; i += 1) flood.say('warn', 'token', line, 'no valid token');
  flood.say('warn', 'connections', line, 'too many');
  t.is(lines.length, 21);
  flood.close();
  t.is(lines.at(-1)?.['msg'], 'and 10 more from 10.0.0.1');
  flood.say('warn', 'token', line, 'no valid token');
  t.is(lines.length, 23);
});

test('a window ends by itself', async (t) => {
  const { flood, lines } = gate(5);
  const line = { event: 'denied', peer: '10.0.0.1' };
  for (let i = 0; i < 21; i += 1) flood.say('info', 'denied', line, 'denied');
  while (lines.length < 21) await new Promise((resolve) => setTimeout(resolve, 1));
  t.like(lines[20], { more: 1 });
  flood.close();
});

test('addresses beyond those that are kept are counted, not remembered', (t) => {
  const { flood, lines } = gate(hour);
  for (let i = 0; i < 100_000; i += 1) {
    const peer = `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`;
    flood.say('warn', 'denied', { event: 'denied', peer }, 'denied');
  }
  flood.close();
  t.is(lines.length, 21);
  t.like(lines[20], { more: 99_980 });
  t.regex(String(lines[20]?.['msg']), /many other addresses$/);
});
