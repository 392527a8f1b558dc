/**
 * Loaded into every ferryd of the tests: when it has stopped in good order, nothing may still be at work in
 * it. What is gets told on stderr, which then holds more than a log.
 */
import { writeSync } from 'node:fs';

/** Its own output and the signals it listens to. */
const usual: ReadonlySet<string> = new Set(['PipeWrap', 'TTYWrap', 'SignalWrap']);
const stderr = 2;

process.on('exit', (code) => {
  const left = process.getActiveResourcesInfo().filter((type) => !usual.has(type));
  if (code === 0 && left.length > 0) writeSync(stderr, `left over: ${left.join(', ')}\n`);
});
