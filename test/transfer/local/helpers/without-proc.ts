/** Must be loaded before anything of the storage: it finds no names of descriptors then, as on macOS. */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const { existsSync } = fs;
fs.existsSync = (path) => path !== '/proc/self/fd' && existsSync(path);
syncBuiltinESMExports();
