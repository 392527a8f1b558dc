/**
 * Loaded into every ferryd of the tests: when it has stopped in good order, nothing may still be at work in
 * it. What is gets told on stderr, which then holds more than a log.
 */
import { writeSync } from 'node:fs';

/**
 * Its own output and the signals it listens to. An immediate lasts for one turn, whoever set it: Node lets
 * go of the session of a TLS socket in one, right after it told that the socket is closed.
 */
const usual: ReadonlySet<string> = new Set(['PipeWrap', 'TTYWrap', 'SignalWrap', 'Immediate']);
const stderr = 2;

process.on('exit', (code) => {
  const left = process.getActiveResourcesInfo().filter((type) => !usual.has(type));
  if (code === 0 && left.length > 0) writeSync(stderr, `left over: ${left.join(', ')}\n`);
});
