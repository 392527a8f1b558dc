/**
 * The options that several commands share: how they are written, and what they become.
 *
 * Each can also be set by the environment as FERRY_ and its name, FERRY_MAX_DURATION=2h.
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { overwrites } from '../../protocol/frames/transfer.ts';
import { type Binding, bindings } from '../../transfer/authentication.ts';
import type { Access } from '../credentials.ts';
import { parsePin } from '../pin.ts';
import type { View } from '../render.ts';
import {
  type ConnectOptions,
  defaultConnectOptions,
  defaultTransferOptions,
  type TransferOptions,
} from '../transfer-options.ts';
import { parseCount, parseDuration, parseRate, parseTimeout } from './values.ts';

const mostRetries = 1_000_000;
const mostConnections = 16;

/** An option that the environment can set, too. */
export function option(flags: string, description: string): Option {
  const made = new Option(flags, description);
  const name = (made.long ?? '').replace(/^--/, '').replaceAll('-', '_').toUpperCase();
  return made.env(`FERRY_${name}`);
}

/** What an environment variable must not say for its flag to count. */
const falseTexts = ['', '0', 'false', 'no', 'off'];

/** Flags that the environment sets to no; commander takes any value of theirs for yes. */
export function falseFlags(
  program: Command,
  env: Readonly<Record<string, string | undefined>>,
): string[] {
  return program.commands
    .flatMap((command) => command.options)
    .filter((flag) => !flag.required && !flag.optional)
    .map((flag) => flag.envVar ?? '')
    .filter((name) => falseTexts.includes(env[name]?.toLowerCase() ?? 'absent'));
}

export interface ParsedView {
  json?: true;
  quiet?: true;
  verbose?: true;
  progress?: true;
}

export function addViewOptions(command: Command): Command {
  return command
    .addOption(option('-q, --quiet', 'show nothing but errors').conflicts(['verbose', 'progress']))
    .addOption(option('-v, --verbose', 'show what was agreed with the daemon, and each file'))
    .addOption(option('--json', 'one JSON object a line for each event'));
}

export function addProgressOption(command: Command): Command {
  return command.addOption(
    option('-P, --progress', 'show progress also with --json, and each second off a terminal'),
  );
}

/** Whether each file that is done with is shown. */
export function showsFiles({ json, verbose }: ParsedView): boolean {
  return json === true || verbose === true;
}

export function viewOf(
  parsed: ParsedView,
  rest: Pick<View, 'summary'> & Partial<Pick<View, 'dataOnStdout' | 'entryText'>>,
): View {
  return {
    json: parsed.json ?? false,
    quiet: parsed.quiet ?? false,
    verbose: parsed.verbose ?? false,
    progress: parsed.progress ?? false,
    dataOnStdout: false,
    entryText: ({ path }) => `${path}\n`,
    ...rest,
  };
}

export interface ParsedConnect {
  retries?: number;
  timeout: number;
  tokenFile?: string;
  pin?: Uint8Array;
  ca?: string;
  binding: Binding;
}

/** How to reach the daemon, before it is known which one it is. */
export type Connecting = Omit<ConnectOptions, 'credentials'> & { readonly access: Access };

export function addConnectOptions(command: Command): Command {
  const { retries, timeoutMs } = defaultConnectOptions;
  return command
    .addOption(
      option(
        '--retries <n>',
        `attempts to connect again before giving up (default: ${retries}); when given, also for the first connection`,
      ).argParser(parseCount(0, mostRetries)),
    )
    .addOption(
      option('--timeout <time>', 'without progress for so long, the connection is given up')
        .argParser(parseTimeout)
        .default(timeoutMs, '60s'),
    )
    .addOption(option('--token-file <file>', 'file with the token (mode 0600)'))
    .addOption(
      option(
        '--pin <sha256>',
        "SHA-256 of the daemon's certificate, which must be that one",
      ).argParser(parsePinOption),
    )
    .addOption(
      option('--ca <file>', "authorities (PEM) that must have signed the daemon's certificate"),
    )
    .addOption(
      option('--binding <kind>', 'what the token is bound to; none only where a proxy ends the TLS')
        .choices(bindings)
        .default('exporter'),
    );
}

function parsePinOption(text: string): Uint8Array {
  const pin = parsePin(text);
  if (pin === undefined) throw new InvalidArgumentError('Write it as sha256: and 64 hex digits.');
  return pin;
}

export function connectOptions(parsed: ParsedConnect): Connecting {
  const { retries, timeout, tokenFile, pin, ca, binding } = parsed;
  return {
    retries: retries ?? defaultConnectOptions.retries,
    retryFirst: retries !== undefined,
    timeoutMs: timeout,
    access: { tokenFile, pin, caFile: ca, binding },
  };
}

/** Listings and checksums sent ahead: enough for any way, and little to keep of a stranger's. */
const askingInFlightBytes = 2 * 1024 * 1024;

/** The same for commands that only ask. */
export function askingOptions(parsed: ParsedConnect): Connecting {
  return { ...connectOptions(parsed), inFlightBytes: askingInFlightBytes };
}

export interface ParsedTransfer {
  overwrite: TransferOptions['overwrite'];
  modifyWindow: number;
  checksum?: true;
  delta?: true;
  resume: boolean;
  digest?: 'sha256';
  connections?: number;
  bwlimit?: number;
  dryRun?: true;
  maxDuration?: number;
  lock?: true;
}

export function addTransferOptions(command: Command): Command {
  return command
    .addOption(
      option('--overwrite <when>', 'replace what is there: always, only by a newer file, never')
        .choices(overwrites)
        .default(defaultTransferOptions.overwrite),
    )
    .addOption(option('-c, --checksum', 'compare content instead of size and modification time'))
    .addOption(
      option('--modify-window <time>', 'times that differ by no more are the same')
        .argParser(parseDuration)
        .default(defaultTransferOptions.modifyWindowMs, '10 µs'),
    )
    .addOption(option('--delta', 'send only what differs from the file that is there'))
    .addOption(option('--no-resume', 'start over instead of carrying on'))
    .addOption(
      option('--digest <kind>', 'prove each file by a digest at both ends').choices(['sha256']),
    )
    .addOption(
      option(
        '--connections <n>',
        'connections for one large file (default: by size and distance)',
      ).argParser(parseCount(1, mostConnections)),
    )
    .addOption(
      option('--bwlimit <rate>', 'bytes a second at most: 500k, 2M, 1G (1024-based)').argParser(
        parseRate,
      ),
    )
    .addOption(
      option('--max-duration <time>', 'stop after so long, to be carried on later').argParser(
        parseTimeout,
      ),
    )
    .addOption(option('--lock', 'do not start while the same job is at work already (exit 11)'))
    .addOption(option('-n, --dry-run', 'show what would be sent, and change nothing'));
}

export function transferOptions(
  parsed: ParsedTransfer,
  selected: Pick<TransferOptions, 'selection' | 'filesFrom' | 'links'>,
): TransferOptions {
  return {
    overwrite: parsed.overwrite,
    modifyWindowMs: parsed.modifyWindow,
    checksum: parsed.checksum ?? false,
    delta: parsed.delta ?? false,
    resume: parsed.resume,
    sha256: parsed.digest === 'sha256',
    connections: parsed.connections,
    bytesPerSecond: parsed.bwlimit === 0 ? undefined : parsed.bwlimit,
    dryRun: parsed.dryRun ?? false,
    maxDurationMs: parsed.maxDuration,
    ...selected,
  };
}
