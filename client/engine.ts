/** How V8 is set for the client once it is at work. */
import { setFlagsFromString } from 'node:v8';
import { keepNewSpaceSmall } from '../transfer/local/new-space.ts';

/**
 * Bytes of a function's code that run before it is a candidate for being optimised, by default 66 KiB.
 * Most commands are over before what is optimised brings in what that took.
 */
const interruptBudgetBytes = 1_500_000;

/** Sets it for `command`, the first word of the line. */
export function setEngine(command: string | undefined): void {
  keepNewSpaceSmall();
  // A bench does the same for seconds: there optimising pays.
  if (command === 'bench') return;
  setFlagsFromString(`--interrupt-budget=${interruptBudgetBytes}`);
}
