/** The version of this package, as package.json says it. */
import { readFileSync } from 'node:fs';

/** From dist/transfer/version.js the package is two folders up, from the sources one. */
function readVersion(): string {
  for (const up of ['../package.json', '../../package.json']) {
    try {
      const text = readFileSync(new URL(up, import.meta.url), 'utf8');
      return (JSON.parse(text) as { version: string }).version;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return 'unknown';
}

export const version: string = readVersion();
