/** The pairing link of this daemon: shown at the start on a terminal, and by `ferryd link`. */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { isIPv4 } from 'node:net';
import { hostname, type NetworkInterfaceInfo, networkInterfaces } from 'node:os';
import path from 'node:path';
import type { Command } from 'commander';
import { FerryError } from '../protocol/errors.ts';
import { shown } from '../protocol/paths.ts';
import { parseToken } from '../transfer/authentication.ts';
import { linkText, remoteName } from '../transfer/link.ts';

/** What a running daemon notes of itself in its state folder. */
export interface Note {
  readonly host: string;
  readonly port: number;
  readonly plain: boolean;
}

export const noteName = 'ferryd.json';
const firstToken = 'token';
const certificate = 'cert.pem';

/** Bridges of containers and virtual machines: nobody else's machine is behind them. */
const virtual = /^(?:docker|br-|veth|virbr|vmnet|vboxnet|cni|flannel|lxc|lxd)/;
const everywhere: ReadonlySet<string> = new Set(['::', '0.0.0.0']);

/** Under which other machines may reach this one; IPv4 first, which people can read. */
export function ownAddresses(
  interfaces: NodeJS.Dict<NetworkInterfaceInfo[]> = networkInterfaces(),
): string[] {
  const found = Object.entries(interfaces)
    .filter(([name]) => !virtual.test(name))
    .flatMap(([, addresses]) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !/^(?:fe80:|169\.254\.)/i.test(address))
    .map(({ address }) => address);
  return [...found.filter(isIPv4), ...found.filter((address) => !isIPv4(address))];
}

/** The link; `names` are put before the addresses that are found. Throws FerryError. */
export async function pairingLink(
  stateFolder: string,
  { host, port, plain }: Note,
  pin: Uint8Array | undefined,
  names: readonly string[] = [],
): Promise<string> {
  const text = await readFile(path.join(stateFolder, firstToken), 'utf8').catch(
    (cause: unknown) => {
      throw new FerryError(
        'not-found',
        'The first token is not there any more: make one with ferryd token add, and give it by --token-file.',
        { cause },
      );
    },
  );
  const found = everywhere.has(host) ? [...ownAddresses(), 'localhost'] : [host];
  return linkText({
    scheme: plain ? 'ferry+tcp' : 'ferry',
    hosts: [...new Set([...names, ...found])],
    port,
    token: parseToken(text),
    pin: plain ? undefined : pin,
    name: remoteName(hostname()),
  });
}

/** For people who start a daemon on their terminal: what to type on the other machine. */
export function welcome(link: string, { port, plain }: Note): string {
  const scheme = plain ? 'ferry+tcp' : 'ferry';
  const address = `${scheme}://localhost${port === 7873 ? '' : `:${port}`}/`;
  return `
  On the other machine:   ferry pair
  and paste this there:   ${link}
  Whoever has that line may do everything here; ferryd link shows it again.

  On this machine:        ferry ls ${address}

`;
}

export interface LinkShell {
  readonly stateOf: (command: Command) => Promise<string>;
  readonly out: (text: string) => void;
}

export function addLinkCommand(program: Command, { stateOf, out }: LinkShell): void {
  program
    .command('link')
    .description('show the line that ferry pair asks for: it holds the first token')
    .option('--state <folder>', "the daemon's own folder (default: by XDG's rules)")
    .option('--host <name...>', 'names or addresses under which others reach this machine')
    .action(async (_options, command: Command) => {
      const { host = [] } = command.opts<{ host?: string[] }>();
      const state = await stateOf(command);
      const note = await readNote(state);
      const pem = note.plain
        ? undefined
        : await readFile(note.certificate ?? path.join(state, certificate));
      const pin =
        pem && Buffer.from(new X509Certificate(pem).fingerprint256.replaceAll(':', ''), 'hex');
      out(`${await pairingLink(state, note, pin, host)}\n`);
    });
}

async function readNote(state: string): Promise<Note & { certificate?: string }> {
  try {
    return JSON.parse(await readFile(path.join(state, noteName), 'utf8')) as Note;
  } catch (cause) {
    throw new FerryError(
      'not-found',
      `No ferryd has been started with the state folder ${shown(state)} yet: start it first, or name another with --state.`,
      { cause },
    );
  }
}
