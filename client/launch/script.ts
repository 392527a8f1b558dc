/** Scripts of the bundled program, and the files beside them with what V8 made of them. */
import { readFileSync } from 'node:fs';
import { Script } from 'node:vm';

export const cacheOf = (file: string): string => `${file}.cache`;

/**
 * A script of CommonJS, as a function of `module`, `exports`, `require` and `__filename`. V8 takes
 * `cachedData` only from its own version with its own settings, and otherwise compiles the script.
 */
export function compileScript(file: string, cachedData?: Buffer): Script {
  const code = `(function (module, exports, require, __filename) {${readFileSync(file, 'utf8')}\n})`;
  return new Script(code, { filename: file, ...(cachedData === undefined ? {} : { cachedData }) });
}
