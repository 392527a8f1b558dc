import test from 'ava';
import type { Grant, Scope } from '../../daemon/grant.ts';
import { Shares } from '../../daemon/shares.ts';
import type { ControlFrame } from '../../protocol/frames.ts';
import type { Connection } from '../../transfer/connection.ts';
import { MemoryStorage } from '../../transfer/memory-storage.ts';
import { join, newId, newSession, TestDaemon, testGrant } from '../transfer/helpers/ends.ts';
import {
  answerOf,
  contentOf,
  download,
  load,
  offerOf,
  smallFile,
  sourceOf,
  upload,
} from '../transfer/helpers/files.ts';
import { failureOf } from '../transfer/helpers/outcome.ts';
import { downloadPage, uploadPage } from '../transfer/helpers/pages.ts';

/** Two shares, and who comes in with which grant. */
async function house() {
  const [music, work] = [new MemoryStorage(), new MemoryStorage()];
  await music.putSmall('', [smallFile('a/song', 'la')]);
  await work.putSmall('', [smallFile('in/box/plan', 'do'), smallFile('in/secret', 'x')]);
  const shares = new Shares(
    new Map([
      ['music', music],
      ['work', work],
    ]),
  );
  const daemon = new TestDaemon(music, { shares });
  const as = (changes: Partial<Grant>, session = newSession()): Connection => {
    daemon.grant = { ...testGrant, ...changes };
    return join(daemon, { session }).client;
  };
  const only = (...some: Scope[]): Connection => as({ scopes: new Set(some) });
  return { daemon, music, work, as, only };
}

const asked = (client: Connection, frame: ControlFrame): Promise<string | undefined> =>
  failureOf(
    new Promise<void>((resolve, reject) => {
      const request = client.open(frame);
      request.listen({
        onFrame(heard, bulkBytes) {
          request.carrier.consumed(bulkBytes);
          if (heard.type !== 'working') resolve();
        },
        onFailed: reject,
      });
    }),
  );

const operation = (): { request: 0; operation: Uint8Array } => ({
  request: 0,
  operation: newId(),
});
const statOf = (path: string): ControlFrame => ({ type: 'stat', request: 0, path });
const listOf = (path: string, recursive = false): ControlFrame & { type: 'list' } => ({
  type: 'list',
  request: 0,
  path,
  recursive,
  contentTypes: false,
});
const sumsOf = (path: string): ControlFrame => ({
  type: 'checksums',
  request: 0,
  path,
  level: 'chunk',
  first: 0,
  count: 1,
});
const mkdirOf = (path: string): ControlFrame => ({
  type: 'mkdir',
  ...operation(),
  path,
  parents: true,
});
const removeOf = (path: string): ControlFrame => ({
  type: 'remove',
  ...operation(),
  path,
  recursive: true,
});
const renameOf = (from: string, to: string): ControlFrame => ({
  type: 'rename',
  ...operation(),
  from,
  to,
});
const fetchOf = (base: string, ...paths: string[]): ControlFrame => ({
  type: 'fetch',
  request: 0,
  base,
  paths,
});
const verifyOf = (base: string, ...paths: string[]): ControlFrame => ({
  type: 'verify',
  request: 0,
  base,
  paths,
});
const downloadOf = (path: string): ControlFrame => ({
  type: 'download',
  request: 0,
  path,
  sha256: false,
});

async function listed(client: Connection, path: string, recursive = false): Promise<string[]> {
  const request = client.open(listOf(path, recursive));
  const names: string[] = [];
  await new Promise<void>((resolve, reject) => {
    request.listen({
      onFrame(frame, bulkBytes) {
        request.carrier.consumed(bulkBytes);
        if (frame.type !== 'entries') return;
        names.push(...frame.entries.map((entry) => `${entry.path} ${entry.kind}`));
        if (frame.last) resolve();
      },
      onFailed: reject,
    });
  });
  return names;
}

test('each scope allows its requests and no other', async (t) => {
  const { only } = await house();
  const plan = 'work/in/box/plan';
  const offer: ControlFrame = { request: 0, ...offerOf(sourceOf(contentOf(9)), { path: plan }) };
  const cases: [string, ControlFrame, Scope[]][] = [
    ['stat', statOf(plan), ['read', 'write']],
    ['list', listOf('work'), ['read']],
    ['checksums', sumsOf(plan), ['read']],
    ['download', downloadOf(plan), ['read']],
    ['fetch', fetchOf('work', 'in/box/plan'), ['read']],
    ['verify', verifyOf('work', 'in/box/plan'), ['read']],
    ['offer', offer, ['write']],
    ['mkdir', mkdirOf('work/new'), ['write']],
    ['rename', renameOf('work/in/secret', 'work/in/moved'), ['write']],
    ['remove', removeOf('work/in/box'), ['delete']],
  ];
  for (const [name, frame, allowed] of cases) {
    for (const scope of ['read', 'write', 'delete', 'bench'] as const) {
      const client = only(scope);
      const failure = await asked(client, frame);
      t.is(failure, allowed.includes(scope) ? undefined : 'permission', `${name} with ${scope}`);
      client.close();
    }
  }
});

test('files go up with write and down with read, in pages and alone', async (t) => {
  const { only, work } = await house();
  const content = contentOf(300_000);
  const writer = only('write');
  await upload(writer, sourceOf(content), { path: 'work/big' });
  t.deepEqual((await uploadPage(writer, [smallFile('s', 'hi')], { base: 'work' })).failures, []);
  const here = new MemoryStorage();
  t.is(await failureOf(download(writer, here, { path: 'work/big' })), 'permission');
  const reader = only('read');
  await download(reader, here, { path: 'work/big' });
  t.is(Buffer.compare((await load(here, 'work/big')) as Uint8Array, content), 0);
  await downloadPage(reader, here, ['s'], { base: 'work' });
  const denied = failureOf(upload(reader, sourceOf(content), { path: 'work/other' }));
  t.is(await denied, 'permission');
  const page = failureOf(uploadPage(reader, [smallFile('s2', 'hi')], { base: 'work' }));
  t.is(await page, 'permission');
  t.is(await load(work, 'other'), undefined);
  t.is(await load(work, 's2'), undefined);
  writer.close();
  reader.close();
});

test('comparing content by an upload takes the right to read', async (t) => {
  const { only } = await house();
  const client = only('write');
  for (const policy of [{ checksum: true }, { delta: true }]) {
    const path = 'work/in/secret';
    const alone = upload(client, sourceOf(contentOf(1)), { path, policy });
    t.is(await failureOf(alone), 'permission');
    const page = uploadPage(client, [smallFile('secret', 'y')], { base: 'work/in', policy });
    t.is(await failureOf(page), 'permission');
  }
  client.close();
});

test('a step outside of the prefix is refused, whether something is there or not', async (t) => {
  const { as, work, music } = await house();
  const client = as({ prefix: 'work/in/box' });
  const source = sourceOf(contentOf(10));
  for (const path of ['work/in/secret', 'work/in/none', 'work/in/boxes', 'music/a/song', 'none']) {
    const offer: ControlFrame = { request: 0, ...offerOf(source, { path }) };
    const frames = [statOf(path), listOf(path), sumsOf(path), downloadOf(path), offer];
    frames.push(
      mkdirOf(path),
      removeOf(path),
      fetchOf('', path),
      fetchOf('work/in/box', 'p', '../b'),
      verifyOf('', path),
      verifyOf('work/in/box', 'p', '../b'),
    );
    frames.push(renameOf(path, 'work/in/box/x'), renameOf('work/in/box/plan', path));
    for (const frame of frames) {
      const failure = await asked(client, frame);
      t.true(failure === 'permission' || failure === 'bad-path', `${frame.type} ${path}`);
    }
  }
  t.is(
    await failureOf(uploadPage(client, [smallFile('x', 'y')], { base: 'work/in' })),
    'permission',
  );
  const up = await uploadPage(client, [smallFile('../x', 'y')], { base: 'work/in/box' }).catch(
    () => undefined,
  );
  t.not(up?.failures.length, 0);
  t.is(Buffer.from((await load(work, 'in/secret')) ?? []).toString(), 'x');
  t.is(await load(work, 'in/x'), undefined);
  t.is(Buffer.from((await load(music, 'a/song')) ?? []).toString(), 'la');
  client.close();
});

test('the prefix itself can be read, made and filled, but not replaced', async (t) => {
  const { as } = await house();
  const client = as({ prefix: 'work/in/box' });
  const there = 'work/in/box';
  for (const frame of [statOf(there), listOf(there), mkdirOf(there), downloadOf(`${there}/plan`)]) {
    t.is(await asked(client, frame), undefined, frame.type);
  }
  for (const frame of [removeOf(there), renameOf(there, `${there}/x`)]) {
    t.is(await asked(client, frame), 'permission', frame.type);
  }
  const over = upload(client, sourceOf(contentOf(10)), { path: there });
  t.is(await failureOf(over), 'permission');
  await upload(client, sourceOf(contentOf(10)), { path: `${there}/new` });
  client.close();
});

test('what leads to the prefix is a folder that tells nothing, whether it is there or not', async (t) => {
  const { as } = await house();
  for (const prefix of ['work/in/box', 'work/none/of/this', 'nowhere/at/all']) {
    const client = as({ prefix });
    for (const path of ['', prefix.split('/')[0] as string]) {
      const { entry } = await answerOf(client.open(statOf(path)), 'entry');
      t.deepEqual([entry.kind, entry.size, entry.mtimeNs, entry.mode], ['directory', 0, 0n, 0o555]);
    }
    client.close();
  }
});

test('listings show only what the token reaches, and the way there', async (t) => {
  const { as } = await house();
  const boxed = as({ prefix: 'work/in/box' });
  t.deepEqual(await listed(boxed, ''), ['work directory']);
  t.deepEqual(await listed(boxed, 'work'), ['in directory']);
  t.deepEqual(await listed(boxed, 'work/in'), ['box directory']);
  t.deepEqual(await listed(boxed, 'work/in/box'), ['plan file']);
  t.deepEqual(await listed(boxed, '', true), [
    'work directory',
    'work/in directory',
    'work/in/box directory',
    'work/in/box/plan file',
  ]);
  boxed.close();
  const listener = as({ shares: ['music', 'not-served'] });
  t.deepEqual(await listed(listener, ''), ['music directory']);
  t.deepEqual(await listed(listener, '', true), [
    'music directory',
    'music/a directory',
    'music/a/song file',
  ]);
  t.is(await asked(listener, listOf('work')), 'permission');
  const here = new MemoryStorage();
  await downloadPage(listener, here, ['music/a/song'], { base: '' });
  t.is(await asked(listener, fetchOf('', 'music/a/song', 'work/in/secret')), 'permission');
  t.is(await asked(listener, verifyOf('', 'music/a/song', 'work/in/secret')), 'permission');
  listener.close();
  const nowhere = as({ prefix: 'work/none' });
  t.deepEqual(await listed(nowhere, '', true), []);
  nowhere.close();
});

test('an upload can be joined and taken over by its own token alone', async (t) => {
  const { daemon, as } = await house();
  const session = newSession();
  const id = newId();
  const owner = as({}, session);
  const content = contentOf(200_000);
  const request = owner.open({
    request: 0,
    ...offerOf(sourceOf(content), { path: 'work/f', operation: id }),
  });
  const { transfer, epoch } = await answerOf(request, 'want');
  const other = as({ id: new Uint8Array(8).fill(9) }, session);
  const joining: ControlFrame = { type: 'join', request: 0, transfer, epoch };
  t.is(await asked(other, joining), 'unknown-transfer');
  t.is(await failureOf(upload(other, sourceOf(content), { path: 'work/f' })), 'busy');
  t.false(request.over);
  owner.close();
  other.close();
  await daemon.service.settled();
});

test('the result of an operation is told to its own token alone', async (t) => {
  const { as } = await house();
  const frame = mkdirOf('work/made');
  const again = { ...frame, parents: false } as ControlFrame;
  const one = as({});
  t.is(await asked(one, frame), undefined);
  t.is(await asked(one, again), undefined);
  const two = as({ id: new Uint8Array(8).fill(9) });
  t.is(await asked(two, again), 'exists');
  one.close();
  two.close();
});
