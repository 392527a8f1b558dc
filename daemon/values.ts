/** How the daemon's settings are written as text. Each parser throws what commander shows. */
import { InvalidArgumentError } from 'commander';
import { escaped, shown } from '../protocol/paths.ts';
import { type DaemonLimits, isLimitName, limitFault, limitNames, limitTable } from './limits.ts';
import { suggestion } from './suggestion.ts';
import { parseBytes } from './units.ts';

/** The port that ferryd and ferry use when none is named. */
export const defaultPort = 7873;
const highestPort = 65_535;

export interface ShareOption {
  /** First component of its paths; '' for the one folder that is served as `/`. */
  readonly name: string;
  readonly folder: string;
  readonly readOnly: boolean;
  /** Takes no names that Windows or macOS cannot hold. */
  readonly portableNames: boolean;
}

export interface Address {
  /** Undefined: not said. */
  readonly host: string | undefined;
  readonly port: number;
}

/** `name=folder`, with `:ro` or `:portable-names` behind it if need be. */
export function parseShare(text: string): ShareOption {
  const match = /^([^=]+)=(.+?)(:ro|:portable-names)?$/s.exec(text);
  const [, name, folder, option] = match ?? [];
  if (name === undefined || folder === undefined) {
    throw new InvalidArgumentError(
      'Write it as name=folder, or name=folder:ro for read-only, or name=folder:portable-names.',
    );
  }
  const readOnly = option === ':ro';
  return {
    name: parseShareName(name),
    folder,
    readOnly,
    portableNames: option === ':portable-names',
  };
}

/** One component of a path. */
export function parseShareName(name: string): string {
  if (name === '' || name === '.' || name === '..' || name.includes('/')) {
    throw new InvalidArgumentError(`The share name "${escaped(name)}" is not allowed.`);
  }
  return name;
}

/** `host:port`, `host`, `:port` or `[v6]:port`. */
export function parseAddress(text: string): Address {
  const match = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d{1,5}))?$/.exec(text);
  const port = Number(match?.[3] ?? defaultPort);
  if (match === null || port > highestPort) {
    throw new InvalidArgumentError('Write it as host:port, an IPv6 address in brackets.');
  }
  const host = match[1] ?? match[2] ?? '';
  return { host: host === '' ? undefined : host, port };
}

/** `host:port`, where nothing says which port it could be but the text. */
export function parseAddressWithPort(text: string): Address {
  if (!/:\d+$/.test(text)) throw new InvalidArgumentError('Write it as host:port, or as :port.');
  return parseAddress(text);
}

/** A whole number from `least` to `most`. */
export function parseCount(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most) {
      throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
    }
    return value;
  };
}

/** One of `choices`. */
export function parseChoice<T extends string>(choices: readonly T[]): (text: string) => T {
  return (text) => {
    const choice = choices.find((known) => known === text);
    if (choice === undefined) throw new InvalidArgumentError(`Choose from ${choices.join(', ')}.`);
    return choice;
  };
}

export function parseText(text: string): string {
  if (text === '') throw new InvalidArgumentError('It must not be empty.');
  return text;
}

/** `name=value`, bytes with a suffix if need be: `freeBytes=10G`. */
export function parseLimit(text: string): Partial<DaemonLimits> {
  const [, name, value] = /^([^=]*)=(.+)$/.exec(text) ?? [];
  if (name === undefined || value === undefined) {
    throw new InvalidArgumentError('Write it as name=value.');
  }
  return limitOf(name, value);
}

/** One limit, by its name. */
export function limitOf(name: string, value: string): Partial<DaemonLimits> {
  if (!isLimitName(name)) {
    const hint = suggestion(name, limitNames);
    throw new InvalidArgumentError(`There is no limit ${shown(name)}.${hint}`);
  }
  const isPlain = limitTable[name].unit !== 'bytes' || /^\d+$/.test(value);
  const number = isPlain ? Number(value) : parseBytes(value);
  const fault = limitFault(name, number);
  if (fault !== undefined) throw new InvalidArgumentError(fault);
  return { [name]: number };
}
