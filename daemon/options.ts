/** The command line of ferryd. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { escaped } from '../protocol/paths.ts';
import { version } from '../transfer/version.ts';
import { type DaemonLimits, isLimitName, limitFault, limitNames, limitTable } from './limits.ts';
import { type LogFormat, type LogLevel, logLevels } from './log.ts';
import { parseBytes } from './units.ts';

/** The port that ferryd and ferry use when none is named. */
const defaultPort = 7873;
const highestPort = 65_535;

export interface ShareOption {
  /** First component of its paths; '' for the one folder that is served as `/`. */
  readonly name: string;
  readonly folder: string;
  readonly readOnly: boolean;
}

export interface DaemonOptions {
  readonly shares: readonly ShareOption[];
  /** Undefined: all addresses with TLS, loopback without. */
  readonly host: string | undefined;
  readonly port: number;
  readonly plain: boolean;
  readonly allowPlainNetwork: boolean;
  readonly tlsCert: string | undefined;
  readonly tlsKey: string | undefined;
  /** Undefined: by XDG. */
  readonly state: string | undefined;
  readonly durability: 'fsync' | 'none';
  /** Those that were set. */
  readonly limits: Partial<DaemonLimits>;
  readonly partialAgeMs: number;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat | undefined;
}

const dayMs = 24 * 3_600_000;

/** `name=folder` or `name=folder:ro`. */
function parseShare(text: string, before: ShareOption[]): ShareOption[] {
  const match = /^([^=/]+)=(.+?)(:ro)?$/.exec(text);
  const [, name, folder, ro] = match ?? [];
  if (name === undefined || folder === undefined) {
    throw new InvalidArgumentError('Write it as name=folder, or name=folder:ro for read-only.');
  }
  if (name === '.' || name === '..' || before.some((share) => share.name === name)) {
    throw new InvalidArgumentError(`The share name "${escaped(name)}" is taken or not allowed.`);
  }
  return [...before, { name, folder, readOnly: ro !== undefined }];
}

/** `name=value`, bytes with a suffix if need be: `freeBytes=10G`. */
function parseLimit(text: string, before: Partial<DaemonLimits>): Partial<DaemonLimits> {
  const [, name = '', value = ''] = /^(\w+)=(.+)$/.exec(text) ?? [];
  if (!isLimitName(name)) {
    throw new InvalidArgumentError(`Write it as name=value. The names: ${limitNames.join(', ')}.`);
  }
  const isPlain = limitTable[name].unit !== 'bytes' || /^\d+$/.test(value);
  const number = isPlain ? Number(value) : parseBytes(value);
  const fault = limitFault(name, number);
  if (fault !== undefined) throw new InvalidArgumentError(fault);
  return { ...before, [name]: number };
}

interface Address {
  readonly host: string | undefined;
  readonly port: number;
}

/** `host:port`, `host`, `:port` or `[v6]:port`. */
function parseAddress(text: string): Address {
  const match = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d{1,5}))?$/.exec(text);
  const port = Number(match?.[3] ?? defaultPort);
  if (match === null || port > highestPort) {
    throw new InvalidArgumentError('Write it as host:port, an IPv6 address in brackets.');
  }
  const host = match[1] ?? match[2] ?? '';
  return { host: host === '' ? undefined : host, port };
}

function positiveInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new InvalidArgumentError('It must be a whole number from 1 up.');
  }
  return value;
}

interface Parsed {
  share: ShareOption[];
  listen: Address;
  plain?: true;
  allowPlainNetwork?: true;
  tlsCert?: string;
  tlsKey?: string;
  state?: string;
  durability: 'fsync' | 'none';
  limit: Partial<DaemonLimits>;
  maxConnections?: number;
  partialAge: number;
  logLevel: LogLevel;
  logFormat?: LogFormat;
}

/** The command, with `run` to be called with its options. */
export function daemonCommand(run: (options: DaemonOptions) => Promise<void>): Command {
  return serving()
    .addHelpText(
      'after',
      `
Examples:
  ferryd ./folder                      serve one folder, encrypted, to who has the token
  ferryd --share music=/srv/music:ro --share inbox=/srv/inbox
  ferryd --plain ./folder              without encryption, on this machine only
`,
    )
    .action(async (folder: string | undefined, parsed: Parsed, command: Command) => {
      if (folder !== undefined && parsed.share.length > 0) {
        command.error('error: give either a folder or --share, not both');
      }
      const single = { name: '', folder: folder ?? '.', readOnly: false };
      const { share, listen, partialAge, limit, maxConnections: connections, ...rest } = parsed;
      await run({
        shares: share.length > 0 ? share : [single],
        ...listen,
        partialAgeMs: partialAge * dayMs,
        limits: connections === undefined ? limit : { ...limit, connections },
        plain: false,
        allowPlainNetwork: false,
        state: undefined,
        tlsCert: undefined,
        tlsKey: undefined,
        logFormat: undefined,
        ...rest,
      });
    });
}

/** The command and its options. */
function serving(): Command {
  return new Command('ferryd')
    .description('Serves folders to ferry, over TCP, in checksummed chunks that resume.')
    .version(version)
    .argument('[folder]', 'folder to serve as / (default: the current one)')
    .addOption(
      new Option('--share <name=folder[:ro]>', 'serve a folder under a name; repeatable')
        .argParser(parseShare)
        .default([], 'none'),
    )
    .addOption(
      new Option('--listen <host:port>', 'address to listen on; port 0 takes a free one')
        .argParser(parseAddress)
        .default(
          parseAddress(''),
          `port ${defaultPort} of all addresses; with --plain of loopback`,
        ),
    )
    .option('--plain', 'plain TCP, without encryption')
    .option('--allow-plain-network', 'with --plain, listen beyond loopback')
    .option('--tls-cert <file>', 'certificate chain (PEM), in place of one of its own')
    .option('--tls-key <file>', 'its private key (PEM)')
    .option('--state <folder>', "where the daemon keeps its own files (default: by XDG's rules)")
    .addOption(
      new Option('--durability <how>', 'none skips every fsync: for measuring only')
        .choices(['fsync', 'none'])
        .default('fsync'),
    )
    .option(
      '--max-connections <n>',
      `connections at once (default: ${limitTable.connections.default})`,
      positiveInteger,
    )
    .addOption(
      new Option('--limit <name=value>', 'one of the limits of docs/limits.md; repeatable')
        .argParser(parseLimit)
        .default({}, 'none'),
    )
    .option(
      '--partial-age <days>',
      'delete partial files untouched for so long',
      positiveInteger,
      7,
    )
    .addOption(new Option('--log-level <level>').choices(logLevels).default('info'))
    .addOption(
      new Option('--log-format <format>', 'default: pretty on a terminal, json elsewhere').choices([
        'pretty',
        'json',
      ]),
    );
}
