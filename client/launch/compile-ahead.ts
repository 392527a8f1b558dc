/** A step of the build: compiles a script of the bundled program for who starts it. */
import { writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { cacheOf, compileScript } from './script.ts';

/** Compiles all functions of the script, and keeps what V8 made of them. */
export function compileAhead(file: string): void {
  // Left to itself, V8 compiles a function when it is called.
  setFlagsFromString('--no-lazy');
  const script = compileScript(file);
  // What was made with other settings than a reader's would be refused.
  setFlagsFromString('--lazy');
  writeFileSync(cacheOf(file), script.createCachedData());
}
