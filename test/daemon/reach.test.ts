import test from 'ava';
import fc from 'fast-check';
import { Reach, waypoints } from '../../daemon/reach.ts';
import { TransferError } from '../../protocol/errors.ts';
import { joinPath } from '../../protocol/paths.ts';

const reach = (prefix: string, shares?: readonly string[], isSingle = false): Reach =>
  new Reach({ prefix, shares }, isSingle);

/** Few names, some of which begin like others, so that near misses are common. */
const name = fc.constantFrom('a', 'ab', 'A', 'a ', 'b', '…');
const path = fc.array(name, { maxLength: 4 }).map((names) => names.join('/'));

test('what begins like the prefix but is another name is outside', (t) => {
  const it = reach('in/box');
  for (const inside of ['in/box', 'in/box/a', 'in/box/a/b']) t.true(it.includes(inside));
  for (const outside of ['in/boxes', 'in/bo', 'in', '', 'in/box2/a', 'box', 'IN/box']) {
    t.false(it.includes(outside));
  }
  t.false(it.isInside('in/box'));
  t.true(it.isInside('in/box/a'));
  t.true(it.leadsTo('in'));
  t.true(it.leadsTo(''));
  t.false(it.leadsTo('in/box'));
  t.false(it.leadsTo('i'));
});

test('a path that is none is refused, not compared', (t) => {
  for (const bad of ['in/box/../x', 'in//box', '/in/box', 'in/box/', 'in/./box', 'in/box/a\0']) {
    t.throws(() => reach('in/box').includes(bad), { instanceOf: TransferError });
    t.throws(() => reach('').includes(bad), { instanceOf: TransferError });
  }
});

test('shares and prefix hold both', (t) => {
  t.deepEqual(reach('').roots, ['']);
  t.deepEqual(reach('', ['a', 'b', 'a']).roots, ['a', 'b']);
  t.deepEqual(reach('a/x', ['a', 'b']).roots, ['a/x']);
  t.deepEqual(reach('c', ['a', 'b']).roots, []);
  t.deepEqual(reach('', []).roots, []);
  t.deepEqual(reach('', ['']).roots, []);
});

test('where one folder is served, a token for named shares reaches nothing', (t) => {
  const it = reach('', ['a'], true);
  for (const any of ['', 'a', 'a/b']) t.false(it.includes(any) || it.leadsTo(any));
});

test('by whole components, whatever the prefix and path', (t) => {
  fc.assert(
    fc.property(path, path, (prefix, asked) => {
      const it = reach(prefix);
      // The slash at the end makes text compare by whole components.
      const isBelow = prefix === '' || `${asked}/`.startsWith(`${prefix}/`);
      const isAbove = asked !== prefix && (asked === '' || `${prefix}/`.startsWith(`${asked}/`));
      t.is(it.includes(asked), isBelow);
      t.is(it.isInside(asked), isBelow && (prefix === '' || asked !== prefix));
      t.is(it.leadsTo(asked), isAbove);
      t.true(it.includes(joinPath(prefix, asked)));
      for (const { root, way } of it.rootsBelow(asked)) {
        t.is(joinPath(asked, way.join('/')), root);
        t.is(waypoints(way).at(-1), way.join('/'));
      }
    }),
  );
});
