#!/usr/bin/env node
/**
 * ferryd: loads the program, where it may open the files for that. Node opens many at once to load it, and
 * fails in their midst with a stack.
 */
import { leastFiles, openFilesLimit } from './descriptors.ts';

/** As any limit that is reached: docs/cli.md, "Exit codes". */
const limitExitCode = 8;

const files = await openFilesLimit();
if (files !== undefined && files < leastFiles) {
  process.stderr.write(
    `ferryd: This process may open ${files} files, and takes at least ${leastFiles}: allow it more (ulimit -n, LimitNOFILE=).\n`,
  );
  process.exit(limitExitCode);
}
await import('./program.ts');
