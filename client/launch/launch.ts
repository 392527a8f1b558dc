#!/usr/bin/env node
/**
 * Starts the bundled program: loads its scripts as Node would, but compiled ahead. To compile them
 * takes longer than most of what the program does. Node loads this one: it shares no script with them.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheOf, compileScript } from './script.ts';

interface Module {
  exports: unknown;
}

type Run = (module: Module, exports: unknown, load: typeof loadModule, file: string) => void;

const own = fileURLToPath(import.meta.url);
const require = createRequire(own);
const modules = new Map<string, Module>();

/** What a script beside this one exports, or a module of Node's own. */
function loadModule(name: string): unknown {
  if (!name.startsWith('./')) return require(name);
  const file = join(dirname(own), name);
  const known = modules.get(file);
  if (known !== undefined) return known.exports;
  const module = { exports: {} };
  modules.set(file, module);
  const run = compileScript(file, readCache(file)).runInThisContext() as Run;
  run(module, module.exports, loadModule, file);
  return module.exports;
}

function readCache(file: string): Buffer | undefined {
  try {
    return readFileSync(cacheOf(file));
  } catch {
    return undefined; // Nothing is lost but time.
  }
}

loadModule('./main.js');
