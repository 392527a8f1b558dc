/** What this run of the daemon is set to: flags beat variables, variables beat the file. */
import { InvalidArgumentError } from 'commander';
import { FerryError } from '../protocol/errors.ts';
import { escaped, shown } from '../protocol/paths.ts';
import { type ConfigFile, readConfigFile, usualFiles } from './config-file.ts';
import { readConfigured } from './configured-tokens.ts';
import { Fault, unknownKey, within } from './setting-kinds.ts';
import {
  defaultSettings,
  keyOf,
  type Setting,
  type Settings,
  settings,
  variableOf,
} from './settings.ts';
import type { StoredGrant } from './stored-grants.ts';
import { suggestion } from './suggestion.ts';

/** Where settings come from. */
export interface Sources {
  /** What flags say, by the setting's name. */
  readonly flags: Readonly<Record<string, readonly string[]>>;
  /** `--config`. */
  readonly config?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface DaemonOptions extends Settings {
  /** The tokens of the configuration file, read. */
  readonly grants: readonly StoredGrant[];
}

export interface Configuration {
  readonly options: DaemonOptions;
  /** The file that was read. */
  readonly file: string | undefined;
  /** Who said it, of settings that somebody said. */
  readonly origins: ReadonlyMap<keyof Settings, string>;
  /** What looks like a slip, as sentences. */
  readonly warnings: readonly string[];
}

/** What one source says of one setting. */
interface Said {
  readonly row: Setting;
  /** The file, or the words themselves. */
  readonly origin: string;
  readonly isInFile: boolean;
  readonly read: () => Settings[keyof Settings];
}

const configVariable = 'FERRYD_CONFIG';

/** Throws FerryError (`usage`), with a line for each fault that was found. */
export async function readOptions(sources: Sources): Promise<Configuration> {
  const { flags, env, config = env[configVariable] } = sources;
  const file = await readConfigFile(config, usualFiles(env));
  const faults: unknown[] = [...unknownKeys(file)];
  const said = new Map<keyof Settings, Said>();
  const values: Record<string, unknown> = { ...defaultSettings };
  for (const layer of [ofFile(file), ofEnvironment(env), ofFlags(flags)]) {
    faults.push(...takeLayer(layer, values, said));
  }
  const all = values as unknown as Settings;
  if (faults.length === 0) faults.push(...contradictions(all, said));
  const grants = await readConfigured(all.tokens).catch(
    (error: unknown) => void faults.push(error),
  );
  if (faults.length > 0) {
    throw new FerryError('usage', await explained(faults, file));
  }
  return {
    options: { ...all, grants: grants ?? [] },
    file: file?.file,
    origins: new Map([...said].map(([sets, { origin }]) => [sets, origin])),
    warnings: unknownVariables(env),
  };
}

/** Puts what one source says over what weaker ones said; gives what is wrong with it. */
function takeLayer(
  layer: readonly Said[],
  values: Record<string, unknown>,
  said: Map<keyof Settings, Said>,
): unknown[] {
  const faults: unknown[] = [];
  for (const one of layer) {
    const { row } = one;
    const { sets } = row;
    const other = said.get(sets);
    try {
      const value = one.read();
      if (other !== undefined && layer.includes(other) && row.merge === undefined) {
        faults.push(fault(one, `Give either ${other.row.name} or ${one.row.name}, not both.`));
      }
      values[sets] = row.merge?.(values[sets] as never, value) ?? value;
      said.set(sets, one);
    } catch (error) {
      if (error instanceof AggregateError) faults.push(...error.errors);
      else faults.push(error instanceof InvalidArgumentError ? fault(one, error.message) : error);
    }
  }
  return faults;
}

/** What is wrong with what somebody said: with its line in the file, or with its own words. */
function fault({ row, origin, isInFile }: Said, message: string): Error {
  return isInFile
    ? new Fault(message, [keyOf(row)])
    : new FerryError('usage', `${origin}: ${message}`);
}

/** All of them as text, those of the file by their lines: `ferryd.toml:12: listen: Write it as …`. */
async function explained(
  faults: readonly unknown[],
  file: ConfigFile | undefined,
): Promise<string> {
  const lines: { line: number; text: string }[] = [];
  for (const error of faults) {
    if (error instanceof Fault && file !== undefined) {
      const line = await file.lineOf(error.path);
      const key = error.path.filter((part) => typeof part === 'string').join('.');
      const text = `${escaped(file.file)}:${line}: ${escaped(key)}: ${error.message}`;
      lines.push({ line, text });
    } else if (error instanceof FerryError) lines.push({ line: 0, text: error.message });
    else throw error;
  }
  lines.sort((a, b) => a.line - b.line);
  return lines.map(({ text }) => text).join('\n');
}

/** Addresses of this machine itself. */
export const loopback: RegExp = /^(?:::ffff:)?(127\.\d+\.\d+\.\d+|::1|localhost)$/;

/** Settings that are right one by one and wrong together. */
function* contradictions(
  { plain, listen, allowPlainNetwork, tlsCert, tlsKey }: Settings,
  said: ReadonlyMap<keyof Settings, Said>,
): Iterable<Error> {
  const blame = (sets: keyof Settings, message: string): Error => {
    const by = said.get(sets);
    return by === undefined ? new FerryError('usage', message) : fault(by, message);
  };
  const { host } = listen;
  // Without TLS everybody on the way reads and changes what passes: it must be this machine.
  if (plain && !allowPlainNetwork && host !== undefined && !loopback.test(host)) {
    yield blame(
      'listen',
      `With plain, ferryd listens on loopback only, not on ${host}: what passes could be read and changed on its way. Leave plain out, or add allow-plain-network.`,
    );
  }
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    const there = tlsCert === undefined ? 'tlsKey' : 'tlsCert';
    yield blame(there, 'Give tls-cert and tls-key together.');
  }
}

const isOnlyInFile = ({ kind }: Setting): boolean => kind.fromTexts === undefined;

function ofFile(file: ConfigFile | undefined): Said[] {
  if (file === undefined) return [];
  return settings.flatMap((row) => {
    const key = keyOf(row);
    if (!Object.hasOwn(file.table, key)) return [];
    const place = { file: file.file, path: [key] };
    const read = (): Settings[keyof Settings] =>
      within([key], () => row.kind.fromToml(file.table[key], place));
    return [{ row, origin: file.file, isInFile: true, read }];
  });
}

function* unknownKeys(file: ConfigFile | undefined): Iterable<Fault> {
  const known = settings.map(keyOf);
  for (const key of Object.keys(file?.table ?? {})) {
    if (!known.includes(key)) yield unknownKey([key], known);
  }
}

function ofEnvironment(env: Sources['env']): Said[] {
  return settings.flatMap((row) => {
    const variable = variableOf(row);
    const text = env[variable];
    if (text === undefined || isOnlyInFile(row)) return [];
    const texts = row.kind.isRepeatable === true ? text.split(',') : [text];
    return [saidAs(row, texts, `${variable}=${shown(text)}`)];
  });
}

function ofFlags(flags: Sources['flags']): Said[] {
  return settings.flatMap((row) => {
    const texts = flags[row.name];
    if (texts === undefined) return [];
    const flag = row.argument?.startsWith('[') === true ? row.argument : `--${row.name}`;
    const value = row.kind.isSwitch === true ? '' : ` ${texts.map(escaped).join(', ')}`;
    return [saidAs(row, texts, `${flag}${value}`)];
  });
}

function saidAs(row: Setting, texts: readonly string[], origin: string): Said {
  return {
    row,
    origin,
    isInFile: false,
    read: () => row.kind.fromTexts?.(texts),
  };
}

function unknownVariables(env: Sources['env']): string[] {
  const known = [configVariable, ...settings.filter((row) => !isOnlyInFile(row)).map(variableOf)];
  const warnings: string[] = [];
  for (const name of Object.keys(env)) {
    if (!name.startsWith('FERRYD_') || known.includes(name)) continue;
    const hint = suggestion(name, known);
    // Others may have put it there (a cluster does, for a service of this name): no reason to stop.
    if (hint !== '') warnings.push(`${escaped(name)} sets nothing.${hint}`);
  }
  return warnings;
}
