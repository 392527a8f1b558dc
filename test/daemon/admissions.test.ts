import test from 'ava';
import { Admissions, type Place } from '../../daemon/admissions.ts';
import { daemonLimits } from '../../daemon/limits.ts';

/** A pool, and who knocks at it. */
class Door {
  readonly admissions: Admissions;
  /** Who gave way, in that order. */
  readonly gone: string[] = [];

  constructor(pendingConnections: number) {
    this.admissions = new Admissions(daemonLimits({ pendingConnections }));
  }

  knock(name: string, address: string): Place {
    return this.admissions.enter(address, () => this.gone.push(name));
  }
}

test('one address that floods gives way to itself, whatever the time others take', (t) => {
  const door = new Door(64);
  const slow = Array.from({ length: 4 }, () => door.knock('slow', '192.0.2.1'));
  for (let i = 0; i < 10_000; i += 1) door.knock(`${i}`, '192.0.2.2');
  t.is(door.admissions.pending, 64);
  t.deepEqual(door.gone.slice(0, 2), ['0', '1'], 'its oldest first');
  t.false(door.gone.includes('slow'));
  t.is(door.gone.length, 10_000 - 60);
  for (const place of slow) place.admit('token');
  t.is(door.admissions.admitted, 4);
});

test('who comes to a full pool takes a place of those who have most', (t) => {
  const door = new Door(5);
  door.knock('first', '192.0.2.1');
  for (let i = 0; i < 4; i += 1) door.knock(`flood ${i}`, '192.0.2.2');
  for (let i = 0; i < 2; i += 1) door.knock(`late ${i}`, '192.0.2.3');
  t.deepEqual(door.gone, ['flood 0', 'flood 1']);
});

test('of addresses that have equally many the oldest gives way', (t) => {
  const door = new Door(5);
  door.knock('alone', '192.0.2.1');
  for (const name of ['a', 'b']) for (const i of [2, 3]) door.knock(name + i, `192.0.2.${i}`);
  door.knock('newest', '192.0.2.4');
  t.deepEqual(door.gone, ['a2']);
  door.knock('newest', '192.0.2.4');
  t.deepEqual(door.gone, ['a2', 'a3']);
});

test('many addresses with one place each are served in the order of their arrival', (t) => {
  const door = new Door(3);
  for (let i = 0; i < 6; i += 1) door.knock(`${i}`, `192.0.2.${i}`);
  t.deepEqual(door.gone, ['0', '1', '2']);
});

test('a /64 is one of those who knock', (t) => {
  const door = new Door(8);
  door.knock('slow', '2001:db8::1');
  for (let i = 1; i < 100; i += 1) door.knock(`${i}`, `2001:db8:0:1:${i.toString(16)}::1`);
  t.is(door.gone.length, 92);
  t.false(door.gone.includes('slow'));
});

test('places that were left, admitted or lost count for nobody any more', (t) => {
  const door = new Door(4);
  for (let i = 0; i < 20; i += 1) {
    const places = Array.from({ length: 6 }, () => door.knock('lost', '192.0.2.1'));
    places.pop()?.admit('token');
    for (const place of places) place.leave();
  }
  t.is(door.admissions.pending, 0);
  door.gone.length = 0;
  door.knock('again', '192.0.2.1');
  for (const name of ['a', 'b', 'c', 'd']) door.knock(name, '192.0.2.2');
  t.deepEqual(door.gone, ['a']);
});

test('when a pool shrinks, the next who comes finds it so', (t) => {
  const limits = { ...daemonLimits({ pendingConnections: 6 }) };
  const admissions = new Admissions(limits);
  const gone: string[] = [];
  const knock = (name: string): Place => admissions.enter(name, () => gone.push(name));
  for (const name of ['a', 'b', 'b', 'b', 'c']) knock(name);
  Object.assign(limits, { pendingConnections: 2 });
  knock('d');
  t.deepEqual(gone, ['b', 'b', 'a', 'b']);
  admissions.close();
  t.deepEqual(gone.slice(4), ['c', 'd']);
  t.is(admissions.pending, 0);
});
