/** `ferryd check`: what the settings mean, in words, after everything that a start would refuse. */
import { accessSync, constants, statSync } from 'node:fs';
import { FerryError } from '../protocol/errors.ts';
import { escaped, shown } from '../protocol/paths.ts';
import { identityOf, refuseOverlaps } from './daemon.ts';
import type { Configuration, DaemonOptions } from './options.ts';
import { describe } from './token-commands.ts';
import type { ShareOption } from './values.ts';

/** Lines for people. Changes nothing. Throws FerryError for what would stop a start. */
export async function report(
  { options, file, origins, warnings }: Configuration,
  state: string,
): Promise<string> {
  refuseOverlaps(options.shares);
  for (const share of options.shares) checkFolder(share);
  const { tlsCert } = options;
  if (!options.plain && tlsCert !== undefined) await identityOf(options, state);
  const from = new Set(origins.values());
  return [
    ...warnings.map((warning) => `Warning: ${warning}`),
    file === undefined ? 'No configuration file is read.' : `Reads ${escaped(file)}.`,
    ...[...from].filter((origin) => origin !== file).map((origin) => `Given: ${origin}`),
    listening(options),
    ...options.shares.map(serving),
    options.allow.length === 0
      ? 'Every address may connect.'
      : `Only these addresses may connect: ${options.allow.join(', ')}.`,
    ...options.grants.map((grant) => `Token ${grant.name}: ${describe(grant)}.`),
    `Its own files, and the tokens of ferryd token, are in ${escaped(state)}.`,
    ...Object.entries(options.limits).map(([name, value]) => `Limit ${name}: ${value}.`),
    ...(options.durability === 'none' ? ['Warning: nothing is synced to disk.'] : []),
    'All settings are right.',
  ]
    .map((line) => `${line}\n`)
    .join('');
}

function listening({ listen, plain, tlsCert, metrics }: DaemonOptions): string {
  const host = listen.host ?? (plain ? '127.0.0.1' : 'all addresses');
  const how = plain
    ? 'plain TCP'
    : `TLS, with ${tlsCert === undefined ? 'a certificate of its own' : `the certificate ${escaped(tlsCert)}`}`;
  const beside =
    metrics === undefined ? '' : ` Metrics on ${metrics.host ?? 'loopback'}, port ${metrics.port}.`;
  return `Would listen on ${host}, port ${listen.port}: ${how}.${beside}`;
}

function serving({ name, folder, readOnly, portableNames }: ShareOption): string {
  const how = `${readOnly ? ', read-only' : ''}${portableNames ? ', portable names only' : ''}`;
  return `Would serve ${escaped(folder)} as /${escaped(name)}${how}.`;
}

function checkFolder({ folder, readOnly }: ShareOption): void {
  try {
    if (!statSync(folder).isDirectory()) {
      throw new FerryError('usage', `${shown(folder)} is not a folder.`);
    }
    const { R_OK, W_OK, X_OK } = constants;
    accessSync(folder, readOnly ? R_OK | X_OK : R_OK | W_OK | X_OK);
  } catch (cause) {
    if (cause instanceof FerryError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FerryError('usage', `Cannot serve ${shown(folder)}: ${reason}.`, { cause });
  }
}
