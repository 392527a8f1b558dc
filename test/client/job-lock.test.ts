import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { type JobOwner, lockJob } from '../../client/job-lock.ts';
import { FerryError } from '../../protocol/errors.ts';

const moduleUrl = new URL('../../client/job-lock.js', import.meta.url).href;

/** A process that holds the lock until it is killed; resolves when it has it. */
async function holder(parts: readonly string[], owner: JobOwner): Promise<ChildProcess> {
  const script = `
    const { lockJob } = await import(${JSON.stringify(moduleUrl)});
    await lockJob(${JSON.stringify(parts)}, ${JSON.stringify(owner)});
    console.log('held');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return child;
}

const runtimeFolder = await mkdtemp(join(tmpdir(), 'ferry-lock-'));
test.after.always(() => rm(runtimeFolder, { recursive: true }));
const uid = process.getuid?.();

const owners: readonly (readonly [string, JobOwner, boolean])[] = [
  ['an abstract socket', { uid, platform: 'linux', runtimeFolder }, process.platform === 'linux'],
  [
    'a socket in a folder',
    { uid, platform: 'darwin', runtimeFolder },
    process.platform !== 'win32',
  ],
];
for (const [kind, owner, works] of owners) {
  const run = works ? test : test.skip;
  run(`${kind}: a second run is refused, in this process and in another`, async (t) => {
    const parts = ['upload', kind, String(process.pid)];
    const child = await holder(parts, owner);
    t.teardown(() => void child.kill('SIGKILL'));
    const error = await t.throwsAsync(lockJob(parts, owner), { instanceOf: FerryError });
    t.is(error?.failure, 'lock-held');
    t.is(error?.exitCode, 11);
    const other = await lockJob([...parts, 'another job'], owner);
    await other.release();
  });

  run(`${kind}: the lock dies with its process`, async (t) => {
    const parts = ['upload', `${kind} killed`, String(process.pid)];
    const child = await holder(parts, owner);
    child.kill('SIGKILL');
    await once(child, 'exit');
    const lock = await lockJob(parts, owner);
    await lock.release();
    const again = await lockJob(parts, owner);
    await again.release();
    t.pass();
  });
}
