/** What a running daemon tells of itself: metrics, and lines for what fails. */
import { mkdir, writeFile } from 'node:fs/promises';
import test from 'ava';
import { startDaemon } from './helpers/daemon.ts';
import { MiB, tempFolder, writeRandomFile } from './helpers/files.ts';
import { ferryExits, setScene } from './helpers/scene.ts';

/** The samples of a scrape, by name and labels. */
function samples(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const space = line.lastIndexOf(' ');
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}

test.serial('metrics follow what the daemon does', async (t) => {
  const scene = await setScene(t, { args: ['--metrics', ':0', '--allow', '127.0.0.1'] });
  const { host, port } = await scene.daemon.logged('metrics');
  t.is(host, '127.0.0.1');
  const scrape = async (): Promise<Map<string, number>> => {
    const answer = await fetch(`http://127.0.0.1:${port as number}/metrics`);
    t.is(answer.status, 200);
    return samples(await answer.text());
  };
  const before = await scrape();
  t.is(before.get('chunkferry_received_bytes_total'), 0);
  t.is((await fetch(`http://127.0.0.1:${port as number}/healthz`)).status, 200);
  await writeRandomFile(scene.at('big'), 3 * MiB);
  await mkdir(scene.at('small'));
  for (let i = 0; i < 10; i += 1) await writeFile(scene.at('small', `${i}`), 'x'.repeat(100));
  await scene.ferry(['upload', scene.at('big'), scene.url('big')]);
  await scene.ferry(['upload', scene.at('small'), scene.url()]);
  await scene.ferry(['download', scene.url('big'), scene.at('got')]);
  await scene.ferry(['download', scene.url('none'), scene.at('none')], 3);
  await scene.ferry(['stat', scene.url()], 4, { env: { FERRY_TOKEN: `ferry_${'A'.repeat(43)}` } });
  const after = await scrape();
  t.is(after.get('chunkferry_received_bytes_total'), 3 * MiB + 10 * 100);
  t.is(after.get('chunkferry_sent_bytes_total'), 3 * MiB);
  t.is(after.get('chunkferry_requests_total{request="offer",result="ok"}'), 1);
  t.true((after.get('chunkferry_requests_total{request="offers",result="ok"}') ?? 0) >= 1);
  t.true((after.get('chunkferry_commit_seconds_count') ?? 0) >= 2);
  t.true((after.get('chunkferry_commit_seconds_sum') ?? 0) > 0);
  t.true((after.get('chunkferry_connections_total') ?? 0) >= 4);
  t.is(after.get('chunkferry_refused_total{reason="token"}'), 1);
  t.is(after.get('chunkferry_open_requests'), 0);
  t.true((after.get('nodejs_eventloop_lag_p99_seconds') ?? 0) > 0);
  // However many names, tokens and addresses there are, the same lines.
  const grown = [...after.keys()].filter((name) => !before.has(name));
  const own = grown.filter((name) => name.startsWith('chunkferry_'));
  t.true(
    own.every((name) => name.startsWith('chunkferry_requests_total{request="')),
    own.join('\n'),
  );
  t.true(scene.daemon.logs.every((line) => !JSON.stringify(line).includes('A'.repeat(43))));
});

test.serial('a transfer that failed has its line, with what had come', async (t) => {
  const scene = await setScene(t);
  await ferryExits(t, ['mkdir', scene.url('a/b/c')], 3);
  t.like(await scene.daemon.logged('failed'), {
    peer: '127.0.0.1',
    token: 'first',
    request: 'mkdir',
    path: 'a/b/c',
    failure: 'not-found',
    bytes: 0,
  });
});

test.serial('what fails again and again is counted after a few lines', async (t) => {
  const scene = await setScene(t);
  const missing = Array.from({ length: 60 }, (_, i) => scene.url(`none-${i}/x`));
  await ferryExits(t, ['mkdir', ...missing], 23);
  await scene.daemon.stop();
  const failed = scene.daemon.logs.filter(({ event }) => event === 'failed');
  t.true(failed.length >= 21 && failed.length <= 43, `${failed.length} lines`);
  const told = failed.reduce((sum, { more }) => sum + ((more as number | undefined) ?? 1), 0);
  t.is(told, 60);
  await scene.restart();
});

/** Makes the process end when it loads one of these modules. */
function without(...modules: string[]): string[] {
  const hook = `export async function resolve(name, context, next) {
    if (${JSON.stringify(modules)}.includes(name)) throw new Error('it loads ' + name);
    return await next(name, context);
  }`;
  const asUrl = (code: string): string => `data:text/javascript,${encodeURIComponent(code)}`;
  const register = `import { register } from 'node:module'; register(${JSON.stringify(asUrl(hook))});`;
  return ['--import', asUrl(register)];
}

test.serial('neither TOML nor metrics are loaded where they are not used', async (t) => {
  const folder = await tempFolder();
  t.teardown(() => folder.remove());
  await mkdir(folder.at('served'));
  const nodeArguments = without('prom-client', 'smol-toml', 'selfsigned');
  const daemon = await startDaemon({ folder: folder.at('served'), nodeArguments });
  t.deepEqual(await daemon.stop(), { code: 0, signal: null });
  // The oracle sees: with metrics it ends.
  const args = ['--metrics', ':0'];
  await t.throwsAsync(startDaemon({ folder: folder.at('served'), args, nodeArguments }), {
    message: /it loads prom-client/,
  });
});
