import test from 'ava';
import { type Guest, PageRoom } from '../../daemon/page-room.ts';

const guest = (token: string): Guest => ({ connection: {}, token });

test('a connection gets a quarter, a token three quarters; others pass those who have their part', (t) => {
  const room = new PageRoom({ pageBytes: 16 });
  const one = guest('a');
  const in1: string[] = [];
  const ask = (who: Guest, name: string, bytes = 2) =>
    room.ask(who, bytes, () => void in1.push(name));
  const first = ask(one, 'a1');
  ask(one, 'a1');
  ask(one, 'a1 waits');
  const other = guest('a');
  ask(other, 'a2');
  ask(other, 'a2');
  const third = guest('a');
  ask(third, 'a3');
  ask(third, 'a3');
  ask(guest('a'), 'a4 waits');
  ask(guest('b'), 'b');
  t.deepEqual(in1.splice(0), ['a1', 'a1', 'a2', 'a2', 'a3', 'a3', 'b']);
  t.is(room.usedBytes, 14);
  first.leave();
  first.leave();
  t.deepEqual(in1, ['a1 waits'], 'in the order of their coming');
});

test('no more than all of it is held, and who came first is not passed for want of room', (t) => {
  const room = new PageRoom({ pageBytes: 16 });
  const held = Array.from({ length: 7 }, (_, i) => room.ask(guest(`${i}`), 2, () => undefined));
  const entered: string[] = [];
  const large = room.ask(guest('large'), 5, () => void entered.push('large'));
  room.ask(guest('small'), 1, () => void entered.push('small'));
  t.deepEqual(entered, []);
  held[0]?.shrink(1);
  t.deepEqual(entered, []);
  held[1]?.leave();
  t.deepEqual(entered, ['large']);
  t.true(room.usedBytes <= 16);
  large.leave();
  t.deepEqual(entered, ['large', 'small']);
});

test('one page fits whatever the limit is; who waits no more gets nothing', async (t) => {
  const room = new PageRoom({ pageBytes: 1 });
  const place = await room.take(guest('a'), 100);
  const never = room.ask(guest('b'), 100, () => t.fail());
  never.leave();
  place.leave();
  t.is(room.usedBytes, 0);
});
