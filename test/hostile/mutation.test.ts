/**
 * Live mutation: real sessions through a proxy that changes one thing, with valid proofs. Raw: a bit
 * flipped, a byte dropped, a cut, which the checks must find. Checked: the same with both checks
 * recomputed, so that what stands behind them is reached; no validator is left out.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import test, { type ExecutionContext } from 'ava';
import { connect, type Ferry } from '../../client/ferry.ts';
import { parseRemote } from '../../client/remote.ts';
import { defaultTransferOptions } from '../../client/transfer-options.ts';
import { testConnect } from '../helpers/token.ts';
import { randomOf, seed } from '../system/helpers/seed.ts';
import * as bodies from './helpers/bodies.ts';
import { Ground, pictureOf } from './helpers/ground.ts';
import {
  again,
  type Direction,
  type Mutant,
  MutantProxy,
  type Passing,
} from './helpers/mutants.ts';
import { hello } from './helpers/peer.ts';
import { isWhole } from './helpers/whole.ts';
import {
  cat,
  codes,
  critical,
  type FrameName,
  fields,
  nameOf,
  preambleBytes,
  text,
} from './helpers/wire.ts';

const content = Buffer.from('twenty bytes of text');
const timeoutMs = 3_000;
const workers = 32;
const positionStep = isWhole ? 1 : 23;

let ground: Ground;
test.before(async () => {
  ground = await Ground.start({ plain: true });
  await mkdir(ground.folder.at('local', 'tree'), { recursive: true });
  await writeFile(ground.folder.at('local', 'small'), content);
  await writeFile(ground.folder.at('local', 'tree', 'small'), content);
  await mkdir(ground.served('source'));
  await writeFile(ground.served('source', 'small'), content);
});
test.after.always(() => ground.end());

/** One session of the real client; `name` is where its result goes. */
interface Session {
  readonly what: string;
  run(ferry: Ferry, name: string): AsyncIterable<unknown>;
  /** What became of it. */
  result(name: string): string;
}

const alone = { ...defaultTransferOptions, checksum: true, retries: 0 };
const source = { path: 'source/small', isFolder: false };
const sessions: readonly Session[] = [
  {
    what: 'upload of a file',
    run: (ferry, name) =>
      ferry.upload(
        [{ localPath: ground.folder.at('local', 'small') }],
        { path: `mutated/${name}`, isFolder: false },
        alone,
      ),
    result: (name) => ground.served('mutated', name),
  },
  {
    what: 'upload of a page',
    run: (ferry, name) =>
      ferry.upload(
        [{ localPath: `${ground.folder.at('local', 'tree')}/` }],
        { path: `mutated/${name}`, isFolder: true },
        defaultTransferOptions,
      ),
    result: (name) => ground.served('mutated', name, 'small'),
  },
  {
    what: 'download of a file',
    run: (ferry, name) => ferry.download([source], ground.folder.at('local', name), alone),
    result: (name) => ground.folder.at('local', name),
  },
  {
    what: 'download of a folder',
    run: (ferry, name) =>
      ferry.download(
        [{ path: 'source', isFolder: true }],
        ground.folder.at('local', `${name}.d`),
        defaultTransferOptions,
      ),
    result: (name) => ground.folder.at('local', `${name}.d`, 'small'),
  },
];

interface Outcome {
  readonly code: number | undefined;
  readonly messages: readonly string[];
  readonly result: Buffer | undefined;
  readonly seen: Record<Direction, Passing[]>;
}

let runs = 0;

/** Runs a session with one change, and tells what became of it. */
async function outcomeOf(session: Session, mutant: Mutant | undefined): Promise<Outcome> {
  runs += 1;
  const name = `run-${runs}`;
  const proxy = await MutantProxy.start(ground.daemon.port);
  proxy.mutant = mutant;
  const messages: string[] = [];
  let code: number | undefined;
  try {
    const remote = parseRemote(`ferry+tcp://127.0.0.1:${proxy.port}/`);
    const ferry = await connect(remote, { ...testConnect, retries: 0, timeoutMs });
    try {
      for await (const event of session.run(ferry, name)) {
        const { message, exitCode } = event as { message?: string; exitCode?: number };
        if (message !== undefined) messages.push(message);
        code = exitCode ?? code;
      }
    } finally {
      await ferry.close();
    }
  } catch (error) {
    messages.push((error as Error).message);
    code = (error as { exitCode?: number }).exitCode;
  }
  await proxy.close();
  messages.push(...proxy.failures.map(({ message }) => message));
  const result = await readFile(session.result(name)).catch(() => undefined);
  await rm(session.result(name), { force: true });
  return { code, messages, result, seen: proxy.seen };
}

/** Runs all mutants of a session; calls `judge` with each outcome. */
async function runAll(
  t: ExecutionContext,
  session: Session,
  mutants: readonly Mutant[],
  judge: (mutant: Mutant, outcome: Outcome) => void,
): Promise<void> {
  const left = [...mutants];
  const worker = async (): Promise<void> => {
    for (let mutant = left.shift(); mutant !== undefined; mutant = left.shift()) {
      judge(mutant, await outcomeOf(session, mutant));
    }
  };
  const canary = await pictureOf(ground.folder.at('canary'));
  await ground.stands(
    t,
    async () => void (await Promise.all(Array.from({ length: workers }, worker))),
    {
      touches: session.what.startsWith('upload') ? 'everything but warm' : ['mutated', 'source'],
      connections: mutants.length,
    },
  );
  t.deepEqual(await pictureOf(ground.folder.at('canary')), canary);
}

/** How many cases reached each validator, by what either end said. */
const reached = new Map<string, number>();

function count(validators: Readonly<Record<string, RegExp>>, messages: readonly string[]): void {
  for (const [name, pattern] of Object.entries(validators)) {
    if (messages.some((message) => pattern.test(message))) {
      reached.set(name, (reached.get(name) ?? 0) + 1);
    }
  }
}

// ---- raw -------------------------------------------------------------------------------------------

const checks = {
  'preamble or version': /does not speak chunkferry|no version|version/i,
  'header check': /header arrived damaged/,
  'control checksum': /frame arrived damaged/,
  'loss of the connection': /connection was lost/i,
};

function rawMutants(seen: Record<Direction, Passing[]>): Mutant[] {
  const random = randomOf('raw');
  return (['up', 'down'] as const).flatMap((direction) => {
    const length = seen[direction].reduce((sum, { bytes }) => sum + bytes.length, preambleBytes);
    const start = Math.floor(random() * positionStep);
    const spread = Array.from(
      { length: Math.ceil(length / positionStep) },
      (_, i) => start + i * positionStep,
    );
    // The preamble has no check: each of its parts is met.
    const places = new Set([0, 8, 10, 14, ...spread]);
    return [...places].flatMap((place): Mutant[] => {
      const bit = 1 << Math.floor(random() * 8);
      const at = { direction, place, raw: true };
      return [
        { ...at, what: 'flip', change: (byte: unknown) => Buffer.of((byte as number) ^ bit) },
        { ...at, what: 'drop', change: () => Buffer.alloc(0) },
        { ...at, what: 'cut', change: () => undefined },
      ];
    });
  });
}

for (const session of isWhole ? sessions : sessions.slice(-1)) {
  test.serial(`raw bits flipped, bytes dropped, cuts: ${session.what}`, async (t) => {
    t.timeout(600_000);
    const { seen, code } = await outcomeOf(session, undefined);
    t.is(code, 0);
    const mutants = rawMutants(seen);
    t.log(`seed ${seed}, ${mutants.length} cases`);
    await runAll(
      t,
      session,
      mutants,
      ({ what, direction, place }, { code: exit, messages, result }) => {
        count(checks, messages);
        const is = `${what} at ${place} ${direction}: exit ${exit} ${messages.join()}`;
        t.true(result === undefined || result.equals(content), `whole or absent: ${is}`);
        if (exit === 0) t.deepEqual(result, content, is);
      },
    );
  });
}

test.serial('each check was reached', (t) => report(t, checks));

function report(t: ExecutionContext, validators: Readonly<Record<string, RegExp>>): void {
  for (const name of Object.keys(validators)) t.log(`${reached.get(name) ?? 0} ${name}`);
  t.deepEqual(
    Object.keys(validators).filter((name) => !reached.has(name)),
    [],
    'never reached',
  );
}

// ---- checked ---------------------------------------------------------------------------------------

const validators = {
  proof: /token/,
  'reserved bits': /reserved header field/,
  'chunk index': /chunk index is larger/,
  'unknown type': /Frame type .* is unknown/,
  flags: /header field is not 0|has flags/,
  'request id': /wrong request id|no request/,
  'no open request': /for no open request/,
  'length of a frame': /too long/,
  'middle of a field': /ends in the middle of a field/,
  'longer than its fields': /longer than its fields/,
  'length of a field': /field is longer than its limit/,
  'length of a list': /list is longer than its limit/,
  'yes or no': /neither 0 nor 1/,
  'numbers of 53 bits': /larger than 2\^53/,
  'UTF-8': /not valid UTF-8/,
  mode: /mode has unknown bits/,
  kind: /unknown kind/,
  answer: /answer is unknown/,
  outcome: /outcome is unknown/,
  policy: /policy is unknown/,
  'missing field': /Field \d+ is missing/,
  'critical field': /needs something this version lacks/,
  'size of chunks': /chunk size is out of its limits/,
  ranges: /Ranges are empty|past the end of the file/,
  'state of a request': /not allowed from the/,
  'state of the connection': /not allowed now/,
  rounds: /rounds of a request/,
  'an end too early': /round that was not asked for|Not everything that was wanted/,
  credit: /credit confirms/,
  'length of a chunk': /wrong length or lies past/,
  'place in a page': /does not fit its place|no such place/,
  'size at the end': /another size than was offered/,
  digest: /digest|Checksums or|differs|not what was sent/i,
  'what was asked for': /another file than was asked|other files than were asked/,
  'entry by entry': /entry by entry/,
  'names in a listing': /daemon lists/,
};

/** Every type in every state is said by conversation.test.ts; these stand for their kinds. */
const someTypes = [codes.done, codes.chunk, codes.want, codes.end, codes.error, codes.cancel];

const anotherHello = hello({ binding: 'none' });
const helloAgain = { type: codes.hello, request: 0, index: 0n, payload: anotherHello };
const unknownField = fields([
  [1, text('x')],
  [99 | critical, Buffer.of(1)],
]);

/** Bodies that are whole, and say what must not be said. */
const bodiesOf: Partial<Record<FrameName, (payload: Buffer) => readonly Buffer[]>> = {
  hello: (payload) => [Buffer.from(payload.map((byte, i) => (i === 40 ? byte ^ 1 : byte)))],
  proof: (payload) => [Buffer.from(payload.map((byte) => byte ^ 1))],
  offer: () => [
    bodies.offer({ path: 'source/small', size: 20, mode: 0o17777 }),
    bodies.offer({ path: 'source/small', size: 20, policy: bodies.policy({ overwrite: 9 }) }),
    bodies.offer({ path: 'source/small', size: 20, chunkBytes: 1023 }),
    bodies.offer({ path: 'other', size: 20 }),
    unknownField,
  ],
  want: () => [bodies.want(1, [[1, 1]]), bodies.want(1, [[5, 6]]), bodies.want(7, [])],
  end: (payload) => [bodies.end(payload.readUInt32LE(), 21, 1n), bodies.end(9, 20, 1n)],
  entries: () => [
    bodies.entriesPage([{ path: '../x', size: 20 }]),
    bodies.entriesPage([{ path: 'x', kind: 9 }]),
  ],
  answers: () => [bodies.answers([]), bodies.answers([0, 0]), bodies.answers([9])],
  complete: () => [bodies.complete(0), bodies.complete(0, 1n), bodies.complete(9)],
};

function bodyMutants(direction: Direction, place: number, { type, payload }: Passing): Mutant[] {
  const name = nameOf(type);
  const all = (name && bodiesOf[name]?.(payload)) ?? [];
  return all.map((body) => ({
    what: `another ${name}`,
    direction,
    place,
    raw: false,
    change: ((passing: Passing) => again(passing, { payload: body })) as Mutant['change'],
  }));
}

/** What is changed in a frame by its header, whatever is in it. */
function headerMutants(direction: Direction, place: number): Mutant[] {
  const of = (what: string, change: (passing: Passing) => Buffer): Mutant => ({
    what,
    direction,
    place,
    change,
    raw: false,
  });
  return [
    ...someTypes.map((type) => of(`as ${nameOf(type)}`, (passing) => again(passing, { type }))),
    of('of type 255', (passing) => again(passing, { type: 255 })),
    of('flags', (passing) => again(passing, {}, { flags: 1 })),
    of('reserved', (passing) => again(passing, {}, { reserved: 1 })),
    of('no request', (passing) => again(passing, { request: passing.request === 0 ? 1 : 0 })),
    of('another request', (passing) => again(passing, { request: passing.request + 1 })),
    of('an index', (passing) => again(passing, { index: passing.index + 1n })),
    of('a huge index', (passing) => again(passing, { index: 2n ** 63n })),
    of('too long', (passing) => again(passing, {}, { length: 2 ** 31 })),
    of('twice', ({ bytes }) => cat(bytes, bytes)),
    of('empty', (passing) => again(passing, { payload: Buffer.alloc(0) })),
    of('a byte more', (passing) => again(passing, { payload: cat(passing.payload, Buffer.of(0)) })),
    of('a byte less', (passing) => again(passing, { payload: passing.payload.subarray(0, -1) })),
    of('gone', () => Buffer.alloc(0)),
    of('a hello', (passing) => again(passing, helloAgain)),
  ];
}

/** Each byte of a payload as something else. */
function payloadMutants(direction: Direction, place: number, { payload }: Passing): Mutant[] {
  const values = [0xff, 0x2f, 0];
  const first = Math.floor(randomOf(`${direction} ${place}`)() * positionStep);
  // The first fields of a frame are the ones that others depend on.
  const isTaken = (at: number): boolean => at < 4 || at % positionStep === first;
  return [...payload.keys()].filter(isTaken).map((at) => ({
    what: `byte ${at}`,
    direction,
    place,
    raw: false,
    change: ((passing: Passing) => {
      const changed = Buffer.from(passing.payload);
      changed[at] = values[at % values.length] as number;
      return again(passing, { payload: changed });
    }) as Mutant['change'],
  }));
}

/** Frames behind the greeting, which the proofs protect. */
const isOpen = ({ type }: Passing): boolean => type !== codes.hello && type !== codes.proof;

for (const session of sessions) {
  test.serial(`changed with right checks: ${session.what}`, async (t) => {
    t.timeout(600_000);
    const { seen } = await outcomeOf(session, undefined);
    const mutants = (['up', 'down'] as const).flatMap((direction) =>
      seen[direction].flatMap((passing, place) =>
        isOpen(passing)
          ? [
              ...headerMutants(direction, place),
              ...payloadMutants(direction, place, passing),
              ...bodyMutants(direction, place, passing),
            ]
          : bodyMutants(direction, place, passing),
      ),
    );
    const frames = (['up', 'down'] as const).map((direction) =>
      seen[direction].map(({ type }) => nameOf(type)),
    );
    t.log(`${mutants.length} cases; ${frames.map((names) => names.join(' ')).join(' | ')}`);
    await runAll(t, session, mutants, (_, { messages }) => count(validators, messages));
  });
}

test.serial('no validator was left out', (t) => report(t, validators));
