/** Folders compared in both ways: small files a page at a time, and each file by itself. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { newContext } from '../../client/context.ts';
import { Job } from '../../client/job.ts';
import { parseRemote } from '../../client/remote.ts';
import { Session } from '../../client/session.ts';
import { defaultTransferOptions } from '../../client/transfer-options.ts';
import { Verification } from '../../client/verify.ts';
import { FerryError } from '../../protocol/errors.ts';
import { limits } from '../../protocol/limits.ts';
import { pageDigestsFeature } from '../../transfer/page-digest.ts';
import { testConnect } from '../helpers/token.ts';
import { seed } from '../system/helpers/seed.ts';
import { type Served, serve } from './helpers/programs.ts';

/** What a name is on one side. */
type Content = 'folder' | Uint8Array | undefined;

interface Name {
  readonly path: string;
  readonly here: Content;
  readonly there: Content;
  /** What is to be told of it. */
  readonly difference: string | undefined;
}

const size = fc.oneof(
  fc.constantFrom(
    0,
    1,
    limits.fileChunkBytes - 1,
    limits.fileChunkBytes,
    limits.fileChunkBytes + 1,
  ),
  fc.nat(9_000),
);
const fates = ['same', 'damaged', 'longer', 'missing-here', 'missing-there', 'kind'] as const;

const anyName = fc
  .record({ size, fill: fc.nat(255), fate: fc.constantFrom(...fates), at: fc.nat() })
  .map(({ size: bytes, fill, fate, at }): Omit<Name, 'path'> => {
    const here = Buffer.alloc(bytes, fill);
    const damaged = Buffer.from(here);
    if (bytes > 0) damaged[at % bytes] = (damaged[at % bytes] as number) ^ 1;
    const sides: Record<typeof fate, Omit<Name, 'path'>> = {
      same: { here, there: here, difference: undefined },
      damaged: { here, there: damaged, difference: bytes > 0 ? 'content 0' : undefined },
      longer: { here, there: Buffer.alloc(bytes + 1, fill), difference: 'size' },
      'missing-here': { here: undefined, there: here, difference: 'missing-here' },
      'missing-there': { here, there: undefined, difference: 'missing-there' },
      kind: { here: 'folder', there: here, difference: 'kind' },
    };
    return sides[fate];
  });

/** Two folders in each; more files than one page holds only now and then. */
const trees = fc
  .array(anyName, { maxLength: 40 })
  .map((names) => names.map((name, i): Name => ({ ...name, path: `folder${i % 2}/${i}` })));

async function make(path: string, content: Content): Promise<void> {
  if (content === undefined) return;
  await mkdir(content === 'folder' ? path : dirname(path), { recursive: true });
  if (content !== 'folder') await writeFile(path, content);
}

/** The session as one with a daemon that doesn't know the feature. */
function withoutPages(session: Session): Session {
  return new Proxy(session, {
    get(target, name) {
      if (name === 'agreed') return { ...target.agreed, features: [] };
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

interface Outcome {
  readonly exitCode: number;
  readonly differences: readonly string[];
  readonly counts: readonly (number | null)[];
}

async function verified(session: Session, local: string, remote: string): Promise<Outcome> {
  const job = new Job();
  const verification = new Verification(newContext(session, defaultTransferOptions, job));
  let exitCode = 0;
  try {
    await verification.run(local, remote);
  } catch (error) {
    if (!(error instanceof FerryError)) throw error;
    exitCode = error.exitCode;
  }
  job.end(false);
  const differences: string[] = [];
  for await (const events of job.events()) {
    for (const event of events) {
      if (event.type !== 'difference') continue;
      const { path, reason, segments } = event;
      differences.push(`${path} ${reason} ${segments?.join() ?? ''}`.trim());
    }
  }
  const counts = [job.files, job.totalFiles, job.bytes, job.totalBytes, job.directories];
  return { exitCode, differences: differences.sort(), counts };
}

async function connected(t: ExecutionContext): Promise<{ daemon: Served; session: Session }> {
  const daemon = await serve();
  t.teardown(() => daemon.stop());
  const session = new Session(parseRemote(daemon.remote), testConnect);
  t.teardown(() => session.close());
  await session.connection();
  return { daemon, session };
}

test('the same is found a page at a time and file by file', async (t) => {
  const { daemon, session } = await connected(t);
  t.true(session.agreed.features.includes(pageDigestsFeature));
  await fc.assert(
    fc.asyncProperty(trees, async (names) => {
      const here = await mkdtemp(join(daemon.local, 'tree-'));
      const there = await mkdtemp(join(daemon.folder, 'tree-'));
      for (const { path, ...side } of names) {
        await make(join(here, path), side.here);
        await make(join(there, path), side.there);
      }
      // So that the folders themselves are on both sides.
      for (const folder of ['folder0', 'folder1']) {
        await mkdir(join(here, folder), { recursive: true });
        await mkdir(join(there, folder), { recursive: true });
      }
      const remote = there.slice(daemon.folder.length + 1);
      const paged = await verified(session, here, remote);
      t.deepEqual(await verified(withoutPages(session), here, remote), paged);
      const right = names
        .filter(({ difference }) => difference !== undefined)
        .map(({ path, difference }) => `${path} ${difference}`);
      t.deepEqual(paged.differences, right.sort());
      t.is(paged.exitCode, right.length > 0 ? 6 : 0);
      await rm(here, { recursive: true });
      await rm(there, { recursive: true });
    }),
    { numRuns: 20, seed },
  );
});

test('more small files than fit into some pages, by number and by bytes', async (t) => {
  const { daemon, session } = await connected(t);
  const content = Buffer.alloc(limits.fileChunkBytes, 3);
  const [many, large] = [2 * limits.pageFiles + 1, limits.pageContentBytes / content.length + 1];
  for (const side of [daemon.local, daemon.folder]) {
    await mkdir(join(side, 'tree'));
    for (let i = 0; i < many; i += 1) await writeFile(join(side, 'tree', `small${i}`), `${i}`);
    for (let i = 0; i < large; i += 1) await writeFile(join(side, 'tree', `large${i}`), content);
  }
  const last = `small${many - 1}`;
  await writeFile(join(daemon.folder, 'tree', last), 'x'.repeat(`${many - 1}`.length));
  const { exitCode, differences, counts } = await verified(
    session,
    join(daemon.local, 'tree'),
    'tree',
  );
  t.is(exitCode, 6);
  t.deepEqual(differences, [`${last} content 0`]);
  t.deepEqual(counts.slice(0, 2), [many + large - 1, many + large]);
});
