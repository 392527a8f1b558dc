/** The package as a stranger gets it: packed, installed beside nothing but its dependencies, typed. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { root } from '../helpers/root.ts';
import { testToken } from '../helpers/token.ts';
import { setScene } from './helpers/scene.ts';

const run = promisify(execFile);
const modules = path.join(root, 'node_modules');

/** The example of README.md, as it stands there. */
function example(): string {
  const [, code] =
    /```ts\n(.*?)```/s.exec(readFileSync(path.join(root, 'README.md'), 'utf8')) ?? [];
  if (code === undefined) throw new Error('README.md has no example in TypeScript.');
  return code;
}

test('the packed library has its types, and the example of the README uploads', async (t) => {
  const scene = await setScene(t);
  const [project, photos] = [scene.at('project'), scene.at('photos')];
  const installed = path.join(project, 'node_modules');
  await mkdir(path.join(installed, 'chunkferry'), { recursive: true });
  await mkdir(photos);
  await writeFile(path.join(photos, 'one'), 'content');

  const pack = ['pack', '--ignore-scripts', '--silent', '--pack-destination', scene.folder.path];
  const { stdout: name } = await run('npm', pack, { cwd: root });
  const unpack = ['xzf', scene.at(name.trim()), '--strip-components=1'];
  await run('tar', [...unpack, '-C', path.join(installed, 'chunkferry')]);
  const { dependencies } = JSON.parse(
    await readFile(path.join(installed, 'chunkferry', 'package.json'), 'utf8'),
  ) as { dependencies: Record<string, string> };
  for (const each of [...Object.keys(dependencies), '@types']) {
    await symlink(path.join(modules, each), path.join(installed, each));
  }

  const code = example()
    .replace('ferry://nas.lan/backup/', scene.url('backup/'))
    .replace("'photos'", JSON.stringify(photos));
  await writeFile(path.join(project, 'package.json'), '{ "type": "module" }');
  await writeFile(path.join(project, 'use.ts'), code);
  const strict = ['--strict', '--module', 'nodenext', '--target', 'es2023', '--types', 'node'];
  const compiler = path.join(modules, 'typescript', 'bin', 'tsc');
  await run(process.execPath, [compiler, ...strict, 'use.ts'], { cwd: project });
  const env = { ...process.env, FERRY_TOKEN: testToken };
  const { stdout } = await run(process.execPath, ['use.js'], { cwd: project, env });

  t.regex(stdout, /^exit code 0$/m);
  t.is(await readFile(scene.there('backup', 'photos', 'one'), 'utf8'), 'content');
});
