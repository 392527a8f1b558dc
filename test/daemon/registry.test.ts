import test from 'ava';
import { type Claim, holderMs, MemoryRegistry } from '../../daemon/registry.ts';
import { TransferError } from '../../protocol/errors.ts';
import { failureOf, turns } from '../transfer/helpers/outcome.ts';

const anna = new Uint8Array(16).fill(1);
const bert = new Uint8Array(16).fill(2);

/** Remembers whether it was fenced, and releases then, as an upload does. */
function holding(registry: MemoryRegistry, claim: Claim): { fenced: () => string | undefined } {
  let failure: string | undefined;
  claim.fence = (error) => {
    failure ??= error.failure;
    registry.release(claim);
  };
  claim.heardAtMs = () => performance.now();
  return { fenced: () => failure };
}

test('a free target is claimed at once, with an id of its own', async (t) => {
  const registry = new MemoryRegistry();
  const one = await registry.claim('a', anna);
  const two = await registry.claim('b', anna);
  t.deepEqual([one.epoch, two.epoch], [1, 1]);
  t.is(one.transfer.length, 16);
  t.not(Buffer.compare(one.transfer, two.transfer), 0);
});

test('another session is told `busy` while the holder is heard from', async (t) => {
  const registry = new MemoryRegistry();
  const held = holding(registry, await registry.claim('a', anna));
  const error = await t.throwsAsync<TransferError>(registry.claim('a', bert));
  t.is(error?.failure, 'busy');
  t.regex(error?.message ?? '', /"a"/);
  t.is(held.fenced(), undefined);
});

test('another session takes over from a holder that fell silent, one epoch later', async (t) => {
  const registry = new MemoryRegistry();
  const claim = await registry.claim('a', anna);
  const held = holding(registry, claim);
  claim.heardAtMs = () => performance.now() - holderMs + 1_000;
  t.is(await failureOf(registry.claim('a', bert)), 'busy');
  claim.heardAtMs = () => performance.now() - holderMs - 1;
  const next = await registry.claim('a', bert);
  t.is(held.fenced(), 'fenced');
  t.is(next.epoch, 2);
  t.not(Buffer.compare(next.transfer, claim.transfer), 0);
});

test('the same session takes over at once, after the older holder has let go', async (t) => {
  const registry = new MemoryRegistry();
  const claim = await registry.claim('a', anna);
  let fenced = 0;
  claim.fence = () => {
    fenced += 1;
  };
  let next: Claim | undefined;
  const claiming = registry.claim('a', anna).then((got) => {
    next = got;
  });
  await turns(3);
  t.is(fenced, 1);
  t.is(next, undefined, 'the older one still writes');
  registry.release(claim);
  await claiming;
  t.is(next?.epoch, 2);
});

test('nobody takes over from a holder that is committing: they wait', async (t) => {
  const registry = new MemoryRegistry();
  for (const session of [anna, bert]) {
    const claim = await registry.claim('a', anna);
    const held = holding(registry, claim);
    claim.committing = true;
    claim.heardAtMs = () => 0;
    let got = false;
    const claiming = registry.claim('a', session).then((next) => {
      got = true;
      return next;
    });
    await turns(3);
    t.false(got);
    t.is(held.fenced(), undefined);
    registry.release(claim);
    registry.release(await claiming);
  }
});

test('of several that wait in one session the last one wins', async (t) => {
  const registry = new MemoryRegistry();
  const first = await registry.claim('a', anna);
  const results: string[] = [];
  const take = async (name: string): Promise<void> => {
    const claim = await registry.claim('a', anna);
    const held = holding(registry, claim);
    await turns(2);
    results.push(`${name} ${held.fenced() ?? 'holds'}`);
  };
  const all = Promise.all([take('second'), take('third'), take('fourth')]);
  await turns(2);
  registry.release(first);
  await all;
  t.deepEqual(
    results.filter((result) => result.endsWith('holds')),
    ['fourth holds'],
  );
});

test('who is fenced before it said how is fenced as soon as it does', async (t) => {
  const registry = new MemoryRegistry();
  const claim = await registry.claim('a', anna);
  const claiming = registry.claim('a', anna);
  await turns(2);
  const held = holding(registry, claim);
  t.is(held.fenced(), 'fenced');
  t.is((await claiming).epoch, 2);
});

test('a transfer is found by its id, its epoch and its session alone', async (t) => {
  const registry = new MemoryRegistry();
  const claim = await registry.claim('a', anna);
  t.is(registry.find(claim.transfer, 1, anna), claim);
  const failure = (work: () => unknown): string | undefined =>
    t.throws<TransferError>(work, { instanceOf: TransferError })?.failure;
  t.is(
    failure(() => registry.find(claim.transfer, 2, anna)),
    'fenced',
  );
  t.is(
    failure(() => registry.find(claim.transfer, 1, bert)),
    'unknown-transfer',
  );
  t.is(
    failure(() => registry.find(new Uint8Array(16), 1, anna)),
    'unknown-transfer',
  );
  registry.release(claim);
  t.is(
    failure(() => registry.find(claim.transfer, 1, anna)),
    'unknown-transfer',
  );
});

test('letting go twice does not take the claim of another', async (t) => {
  const registry = new MemoryRegistry();
  const first = await registry.claim('a', anna);
  registry.release(first);
  const second = await registry.claim('a', bert);
  registry.release(first);
  t.is(registry.find(second.transfer, second.epoch, bert), second);
});
