import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { pino } from 'pino';
import { Allowances } from '../../daemon/allowances.ts';
import type { Grant } from '../../daemon/grant.ts';
import { daemonLimits } from '../../daemon/limits.ts';
import { PartialAccounts } from '../../daemon/partial-accounts.ts';
import { TransferSlots } from '../../daemon/transfer-slots.ts';
import { readUsage, Usage } from '../../daemon/usage.ts';
import { FerryError, TransferError } from '../../protocol/errors.ts';
import { atOnce } from '../../transfer/at-once.ts';
import type { Request } from '../../transfer/request.ts';
import { whilePassing } from '../../transfer/working.ts';
import { testGrant } from '../transfer/helpers/ends.ts';

function stateFolder(t: ExecutionContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'chunkferry-usage-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return folder;
}

const log = pino({ level: 'silent' });
const refused = { instanceOf: TransferError };

// ---- transfers ---------------------------------------------------------------------------------

test('slots are counted for each token and in all, and come back', (t) => {
  const slots = new TransferSlots({ transfers: 3, transfersPerToken: 2 });
  const [first, second] = [slots.take('a'), slots.take('a')];
  const error = t.throws(() => slots.take('a'), refused);
  t.is(error?.failure, 'limit');
  t.regex(error?.message ?? '', /limit is 2 \(transfersPerToken\)/);
  const third = slots.take('b');
  t.regex(t.throws(() => slots.take('c'), refused)?.message ?? '', /limit is 3 \(transfers\)/);
  first();
  t.notThrows(() => slots.take('c')());
  second();
  third();
  t.is(slots.count, 0);
});

// ---- partials ----------------------------------------------------------------------------------

const smallStaging = { stagingFilesPerToken: 2, stagingBytesPerToken: 100 };

test('partials count for their token, whoever carries one on takes it over', (t) => {
  const accounts = new PartialAccounts(smallStaging);
  accounts.check('a', 'x');
  accounts.open('a', 'x', 0, 50);
  accounts.add('x', 50);
  accounts.open('a', 'y', 10, 0);
  t.deepEqual(accounts.of('a'), { files: 2, bytes: 60 });
  const error = t.throws(() => accounts.check('a', 'z'), refused);
  t.regex(error?.message ?? '', /limit is 2 \(stagingFilesPerToken\)/);
  t.notThrows(() => accounts.check('a', 'x'), 'its own it may carry on');
  t.notThrows(() => accounts.check('b', 'z'), 'others have their own');
  accounts.open('b', 'x', 50, 0);
  t.deepEqual(accounts.of('a'), { files: 1, bytes: 10 });
  t.deepEqual(accounts.of('b'), { files: 1, bytes: 50 });
  accounts.remove('x');
  accounts.remove('y');
  accounts.remove('y');
  for (const token of ['a', 'b']) t.deepEqual(accounts.of(token), { files: 0, bytes: 0 });
});

test('what is clearly too much is refused at once, the rest when it comes', (t) => {
  const accounts = new PartialAccounts(smallStaging);
  const error = t.throws(() => accounts.open('a', 'x', 0, 101), refused);
  t.regex(error?.message ?? '', /limit is 100 bytes \(stagingBytesPerToken\)/);
  accounts.open('a', 'x', 0, 100);
  accounts.open('a', 'y', 0, 100);
  accounts.add('x', 60);
  t.throws(() => accounts.add('y', 41), refused);
  t.notThrows(() => accounts.add('y', 40));
  accounts.add('x', -20);
  t.deepEqual(accounts.of('a'), { files: 2, bytes: 80 });
});

test('whatever happens to partials, accounts hold what is there', (t) => {
  const step = fc.record({
    what: fc.constantFrom('open', 'add', 'remove'),
    token: fc.constantFrom('a', 'b'),
    path: fc.constantFrom('x', 'y', 'z'),
    bytes: fc.nat(60),
  });
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const accounts = new PartialAccounts({ stagingFilesPerToken: 9, stagingBytesPerToken: 100 });
      const model = new Map<string, { token: string; bytes: number }>();
      for (const { what, token, path: name, bytes } of steps) {
        const known = model.get(name);
        try {
          if (what === 'remove') accounts.remove(name);
          else if (what === 'add') accounts.add(name, bytes);
          else accounts.open(token, name, 0, bytes);
          if (what === 'add' && known !== undefined) known.bytes += bytes;
        } catch (error) {
          if (!(error instanceof TransferError)) throw error;
        }
        if (what === 'remove') model.delete(name);
        if (what === 'open') model.set(name, { token, bytes: 0 });
      }
      for (const token of ['a', 'b']) {
        const own = [...model.values()].filter((partial) => partial.token === token);
        const bytes = own.reduce((sum, partial) => sum + partial.bytes, 0);
        t.deepEqual(accounts.of(token), { files: own.length, bytes });
      }
    }),
  );
});

// ---- quota and rate ----------------------------------------------------------------------------

const withQuota = (quotaBytes: number): Grant => ({ ...testGrant, quotaBytes });

test('a quota counts what passes, and refuses what it has no room for', async (t) => {
  const allowances = new Allowances();
  const allowance = allowances.of(withQuota(100));
  await allowance.pass(60);
  t.is(allowance.leftBytes, 40);
  const error = await t.throwsAsync(allowance.pass(41), refused);
  t.is(
    error?.message,
    'The quota of this token does not suffice: 40 of 100 bytes are left (quotaBytes).',
  );
  t.is(allowance.leftBytes, 40, 'what was refused does not count');
  t.is(allowances.of(withQuota(100)).leftBytes, 40, 'one count for all its requests');
  t.is(allowances.of(withQuota(50)).leftBytes, 0, 'a quota that became smaller');
  t.is(allowances.of(testGrant).leftBytes, Infinity);
});

test('without a rate content passes at once; with one, and over the quota, it does not', async (t) => {
  const allowances = new Allowances();
  const requests = (): Request[] => [];
  const pass = (grant: Grant): Promise<void> =>
    whilePassing(requests, allowances.of(grant).pass(60));
  t.is(pass(testGrant), atOnce);
  t.is(pass(withQuota(100)), atOnce);
  const refusal = pass(withQuota(100));
  t.not(refusal, atOnce);
  await t.throwsAsync(refusal, refused);
  const paced = pass({ ...testGrant, bytesPerSecond: 1_000_000 });
  t.not(paced, atOnce);
  await paced;
});

test('all requests of a token share its rate', async (t) => {
  const allowances = new Allowances();
  const grant = { ...testGrant, bytesPerSecond: 1_000_000 };
  const startedAtMs = performance.now();
  await Promise.all([1, 2, 3].map(() => allowances.of(grant).pass(100_000)));
  // Unused allowance of a tenth of a second may be there at the start.
  t.true(performance.now() - startedAtMs > 190, 'a third of a second, less what was unused');
});

test('what a quota was used survives the end of the process', async (t) => {
  const folder = stateFolder(t);
  const usage = await Usage.open(folder, log);
  t.is(usage.of('ab'), 0);
  usage.add('ab', 5);
  usage.add('cd', 7);
  usage.add('ab', 6);
  await usage.save();
  t.deepEqual(
    await readUsage(folder),
    new Map([
      ['ab', 11],
      ['cd', 7],
    ]),
  );
  const again = await Usage.open(folder, log);
  again.add('ab', 1);
  t.is(again.of('ab'), 12);
  await again.save();
  t.is((await readUsage(folder)).get('ab'), 12);
});

test('it is written by itself a moment after it changed', async (t) => {
  const folder = stateFolder(t);
  const usage = await Usage.open(folder, log);
  usage.add('ab', 5);
  while ((await readUsage(folder)).get('ab') !== 5) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  t.regex(await readFile(path.join(folder, 'usage.json'), 'utf8'), /"version": 1/);
});

test('usage that cannot be read stops the daemon, instead of giving all quotas back', async (t) => {
  for (const text of [
    '',
    '{',
    'null',
    '{"version":2,"usedBytes":{}}',
    '{"version":1,"usedBytes":{"ab":-1}}',
    '{"version":1}',
  ]) {
    const folder = stateFolder(t);
    writeFileSync(path.join(folder, 'usage.json'), text, { mode: 0o600 });
    const error = await t.throwsAsync(Usage.open(folder, log), { instanceOf: FerryError });
    t.is(error?.failure, 'usage', text);
  }
});

test('the limits of the daemon are those of the allowances', (t) => {
  const allowance = new Allowances(daemonLimits({ transfersPerToken: 1 })).of(testGrant);
  const leave = allowance.begin();
  t.throws(() => allowance.begin(), refused);
  leave();
  t.notThrows(() => allowance.begin());
});
