/**
 * The configuration file: the one that is named, else the user's own, else the machine's. Only one is
 * read, and what is wrong with it is told with its line.
 */
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { FerryError } from '../protocol/errors.ts';
import { escaped, shown } from '../protocol/paths.ts';
import type { KeyPath } from './setting-kinds.ts';

export interface ConfigFile {
  readonly file: string;
  readonly table: Readonly<Record<string, unknown>>;
  /** The line, from 1, on which a key stands. */
  readonly lineOf: (key: KeyPath) => Promise<number>;
}

const machineFile = '/etc/chunkferry/ferryd.toml';
/** Thousands of tables; and finding a line in it stays quick. */
const configBytes = 256 * 1024;

/** The user's file comes first, or a service that is installed would decide how people's own start. */
export function usualFiles({ XDG_CONFIG_HOME = '', HOME = '' }: NodeJS.ProcessEnv): string[] {
  const base = path.isAbsolute(XDG_CONFIG_HOME) ? XDG_CONFIG_HOME : path.join(HOME, '.config');
  return [
    ...(path.isAbsolute(base) ? [path.join(base, 'chunkferry', 'ferryd.toml')] : []),
    machineFile,
  ];
}

/** `named` must be there, of `usual` the first that is. Throws FerryError (`usage`). */
export async function readConfigFile(
  named: string | undefined,
  usual: readonly string[],
): Promise<ConfigFile | undefined> {
  for (const file of named === undefined ? usual : [named]) {
    const text = await readText(file, named !== undefined);
    if (text !== undefined) return await parseConfig(text, file);
  }
  return undefined;
}

async function readText(file: string, mustExist: boolean): Promise<string | undefined> {
  try {
    const { size } = await stat(file);
    if (size > configBytes) throw new Error(`it is larger than ${configBytes} bytes`);
    return await readFile(file, 'utf8');
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' && !mustExist) return undefined;
    const reason = code === 'ENOENT' ? 'there is no such file' : message;
    throw new FerryError('usage', `Cannot read the configuration ${shown(file)}: ${reason}.`, {
      cause,
    });
  }
}

async function parseConfig(text: string, file: string): Promise<ConfigFile> {
  if (text.trim() === '') return { file, table: {}, lineOf: async () => 1 };
  const { parse, TomlError } = await import('smol-toml');
  try {
    const table = parse(text);
    const lineOf = async (key: KeyPath): Promise<number> => {
      const { lineOfKey } = await import('./toml-lines.ts');
      return lineOfKey(text, key, parse);
    };
    return { file, table, lineOf };
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // Its message goes on with lines of the file, which may hold what should not be shown.
    const reason = (error.message.split('\n')[0] ?? '').replace(/^Invalid TOML document: /, '');
    throw new FerryError('usage', `${escaped(file)}:${error.line}: ${reason}.`);
  }
}
