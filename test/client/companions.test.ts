import test from 'ava';
import fc from 'fast-check';
import { Companions } from '../../client/companions.ts';
import { TransferError } from '../../protocol/errors.ts';

const refused = (): TransferError =>
  new TransferError('limit', 'There are too many: the limit is 4 (transfers).');

/** A daemon that lets `most` be under way at once. */
class Slots {
  readonly #most: number;
  taken = 0;
  asked = 0;

  constructor(most: number) {
    this.#most = most;
  }

  async use(turns: number, fault?: Error): Promise<void> {
    this.asked += 1;
    await Promise.resolve();
    if (this.taken >= this.#most) throw refused();
    this.taken += 1;
    for (let i = 0; i < turns; i += 1) await new Promise((resolve) => setImmediate(resolve));
    this.taken -= 1;
    if (fault !== undefined) throw fault;
  }
}

test('what a limit refuses is thrown at once where nothing else is under way', async (t) => {
  const companions = new Companions();
  const slots = new Slots(0);
  await t.throwsAsync(
    companions.beside(() => slots.use(1)),
    { message: /too many/ },
  );
  t.is(slots.asked, 1);
});

test('whatever is begun together, all of it gets its turn, whatever of it fails', async (t) => {
  const works = fc.array(fc.record({ turns: fc.nat(5), fails: fc.boolean() }), { maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(works, fc.integer({ min: 1, max: 4 }), async (all, most) => {
      const companions = new Companions();
      const slots = new Slots(most);
      const ends = await Promise.allSettled(
        all.map(({ turns, fails }) =>
          companions.beside(() => slots.use(turns, fails ? new Error('its own') : undefined)),
        ),
      );
      t.deepEqual(
        ends.map((end) => (end.status === 'rejected' ? String(end.reason) : '')),
        all.map(({ fails }) => (fails ? 'Error: its own' : '')),
      );
    }),
  );
});

test('what ended before a refusal is heard leaves room at once', async (t) => {
  const companions = new Companions();
  let end = (): void => undefined;
  let refuse: (error: Error) => void = () => undefined;
  const other = companions.beside(() => new Promise<void>((resolve) => (end = resolve)));
  let tries = 0;
  const work = companions.beside(async () => {
    tries += 1;
    if (tries === 1) await new Promise((_, reject) => (refuse = reject));
    return 'done';
  });
  end();
  await other;
  refuse(refused());
  t.is(await work, 'done');
});

test('what the daemon has not let go of yet is waited for a moment', async (t) => {
  const companions = new Companions();
  await companions.beside(() => Promise.resolve());
  let tries = 0;
  const work = companions.beside(async () => {
    tries += 1;
    if (tries < 4) throw refused();
    return 'done';
  });
  t.is(await work, 'done');
});

test('a limit that nothing under way uses up does not wait for it', async (t) => {
  const companions = new Companions();
  let end = (): void => undefined;
  const other = companions.beside(() => new Promise<void>((resolve) => (end = resolve)));
  for (const message of ['It is too deep (pathDepth).', 'The quota is used up (quotaBytes).']) {
    const refusal = new TransferError('limit', message);
    await t.throwsAsync(
      companions.beside(() => Promise.reject(refusal)),
      { is: refusal },
    );
  }
  end();
  await other;
});

test('where all of it is refused, all of it fails, asked for a few times each', async (t) => {
  const companions = new Companions();
  const slots = new Slots(0);
  const count = 12;
  const ends = await Promise.allSettled(
    Array.from({ length: count }, () => companions.beside(() => slots.use(1))),
  );
  t.true(ends.every(({ status }) => status === 'rejected'));
  t.true(slots.asked <= count * count, `${slots.asked}`);
});
