/** Must be loaded before anything of the storage: it finds no names of descriptors then, as on macOS. */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { useLibc } from '../../../../transfer/local/libc.ts';

const { existsSync } = fs;
fs.existsSync = (path) => path !== '/proc/self/fd' && existsSync(path);
syncBuiltinESMExports();
// No more than Linux has the calls below a folder.
useLibc(undefined);
