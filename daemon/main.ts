#!/usr/bin/env node
/**
 * ferryd: loads the program, where the process may do what that takes. Node fails in its midst with a stack,
 * where too few files may be opened or too little memory may be used.
 */
import { openFilesLimit } from '../transfer/local/open-files.ts';
import { leastFiles } from './descriptors.ts';

/** As any limit that is reached: docs/cli.md, "Exit codes". */
const limitExitCode = 8;

const files = openFilesLimit();
if (files !== undefined && files < leastFiles) {
  process.stderr.write(
    `ferryd: This process may open ${files} files, and takes at least ${leastFiles}: allow it more (ulimit -n, LimitNOFILE=).\n`,
  );
  process.exit(limitExitCode);
}
await import('./program.ts').catch((error: unknown) => {
  // The program tells its own failures: what comes here was met before it began.
  if (!(error instanceof RangeError) || !error.message.includes('emory')) throw error;
  process.stderr.write(
    'ferryd: This process may use too little memory to start: allow it more (ulimit -v, LimitAS=).\n',
  );
  process.exit(1);
});
