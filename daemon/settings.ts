/**
 * What can be set, in one table: a row gives the flag, the variable, the key of the file, how it is
 * written, its default and its help. Flags beat variables, variables beat the file.
 */
import { isDeepStrictEqual } from 'node:util';
import { checkRule } from './allow-list.ts';
import { type ConfiguredToken, configuredTokens } from './configured-tokens.ts';
import { type DaemonLimits, limitTable } from './limits.ts';
import { type LogFormat, type LogLevel, logLevels } from './log.ts';
import { filePath, type Kind, list, number, onOff, text } from './setting-kinds.ts';
import { asShares, folderKind, limitsKind, mergeLimits, sharesKind } from './setting-tables.ts';
import {
  type Address,
  defaultPort,
  limitOf,
  parseAddress,
  parseAddressWithPort,
  parseChoice,
  parseCount,
  parseText,
  type ShareOption,
} from './values.ts';

export interface Settings {
  readonly shares: readonly ShareOption[];
  /** Without a host: all addresses with TLS, loopback without. */
  readonly listen: Address;
  readonly plain: boolean;
  readonly allowPlainNetwork: boolean;
  readonly allow: readonly string[];
  readonly tlsCert: string | undefined;
  readonly tlsKey: string | undefined;
  /** Undefined: by XDG. */
  readonly state: string | undefined;
  readonly tokens: readonly ConfiguredToken[];
  readonly durability: 'fsync' | 'none';
  /** Those that were set. */
  readonly limits: Partial<DaemonLimits>;
  readonly partialAgeDays: number;
  readonly metrics: Address | undefined;
  readonly logLevel: LogLevel;
  /** Undefined: pretty on a terminal, json elsewhere. */
  readonly logFormat: LogFormat | undefined;
}

export interface Setting<K extends keyof Settings = keyof Settings> {
  readonly sets: K;
  /** Flag `--name`, variable `FERRYD_NAME`, key `name` of the file. */
  readonly name: string;
  /** The key of the file, where it is another one. */
  readonly key?: string;
  /** How help calls its value; in brackets, it is the argument itself instead of a flag. */
  readonly argument?: string;
  readonly help: string;
  /** Left out by a second row for the same setting. */
  readonly fallback?: Settings[K];
  /** The fallback in words; '' where help says it already. */
  readonly shownFallback?: string;
  readonly kind: Kind<Settings[K]>;
  /** Adds to what a weaker source said, instead of taking its place. */
  merge?(weaker: Settings[K], stronger: Settings[K]): Settings[K];
  /** SIGHUP brings it into force; the others wait for the next start. */
  readonly isLive: boolean;
}

type Row = { [K in keyof Settings]: Setting<K> }[keyof Settings];

const mostDays = 36_500;
const table: readonly Row[] = [
  {
    sets: 'shares',
    name: 'folder',
    argument: '[folder]',
    help: 'folder to serve as / (default: the current one)',
    fallback: asShares('.'),
    kind: folderKind,
    isLive: false,
  },
  {
    sets: 'shares',
    name: 'share',
    argument: 'name=folder[:option]',
    help: 'serve a folder under a name; option is ro or portable-names; repeatable',
    kind: sharesKind,
    isLive: false,
  },
  {
    sets: 'listen',
    name: 'listen',
    argument: 'host:port',
    help: 'address to listen on; port 0 takes a free one',
    fallback: { host: undefined, port: defaultPort },
    shownFallback: `port ${defaultPort} of all addresses; with --plain of loopback`,
    kind: text(parseAddress),
    isLive: false,
  },
  {
    sets: 'plain',
    name: 'plain',
    help: 'plain TCP, without encryption',
    fallback: false,
    kind: onOff,
    isLive: false,
  },
  {
    sets: 'allowPlainNetwork',
    name: 'allow-plain-network',
    help: 'with --plain, listen beyond loopback',
    fallback: false,
    kind: onOff,
    isLive: false,
  },
  {
    sets: 'allow',
    name: 'allow',
    argument: 'cidr',
    help: 'let only these addresses connect: 192.168.1.0/24; repeatable',
    fallback: [],
    shownFallback: 'everyone',
    kind: list(checkRule),
    isLive: true,
  },
  {
    sets: 'tlsCert',
    name: 'tls-cert',
    argument: 'file',
    help: 'certificate chain (PEM), in place of one of its own',
    fallback: undefined,
    kind: filePath(parseText),
    isLive: true,
  },
  {
    sets: 'tlsKey',
    name: 'tls-key',
    argument: 'file',
    help: 'its private key (PEM)',
    fallback: undefined,
    kind: filePath(parseText),
    isLive: true,
  },
  {
    sets: 'state',
    name: 'state',
    argument: 'folder',
    help: 'where the daemon keeps its own files',
    fallback: undefined,
    shownFallback: "by XDG's rules",
    kind: filePath(parseText),
    isLive: false,
  },
  {
    sets: 'tokens',
    name: 'token',
    help: 'tokens, beside those of ferryd token',
    fallback: [],
    kind: configuredTokens,
    isLive: true,
  },
  {
    sets: 'durability',
    name: 'durability',
    argument: 'how',
    help: 'fsync, or none, which skips every fsync: for measuring only',
    fallback: 'fsync',
    kind: text(parseChoice(['fsync', 'none'])),
    isLive: false,
  },
  {
    sets: 'limits',
    name: 'limit',
    key: 'limits',
    argument: 'name=value',
    help: 'one of the limits of docs/limits.md; repeatable',
    fallback: {},
    shownFallback: 'of each its own',
    kind: limitsKind,
    merge: mergeLimits,
    isLive: true,
  },
  {
    sets: 'limits',
    name: 'max-connections',
    argument: 'n',
    help: 'short for --limit connections=n',
    shownFallback: String(limitTable.connections.default),
    kind: number((written) => limitOf('connections', written)),
    merge: mergeLimits,
    isLive: true,
  },
  {
    sets: 'partialAgeDays',
    name: 'partial-age',
    argument: 'days',
    help: 'delete partial files untouched for so long',
    fallback: 7,
    kind: number(parseCount(1, mostDays)),
    isLive: false,
  },
  {
    sets: 'metrics',
    name: 'metrics',
    argument: 'host:port',
    help: 'serve Prometheus metrics and /healthz there; of loopback without a host',
    fallback: undefined,
    kind: text(parseAddressWithPort),
    isLive: false,
  },
  {
    sets: 'logLevel',
    name: 'log-level',
    argument: 'level',
    help: logLevels.join(', '),
    fallback: 'info',
    kind: text(parseChoice(logLevels)),
    isLive: true,
  },
  {
    sets: 'logFormat',
    name: 'log-format',
    argument: 'format',
    help: 'pretty or json',
    fallback: undefined,
    shownFallback: 'pretty on a terminal, json elsewhere',
    kind: text(parseChoice<LogFormat>(['pretty', 'json'])),
    isLive: false,
  },
];

export const settings: readonly Setting[] = table;

export const keyOf = ({ name, key = name }: Pick<Setting, 'name' | 'key'>): string => key;

export const variableOf = ({ name }: Pick<Setting, 'name'>): string =>
  `FERRYD_${name.replaceAll('-', '_').toUpperCase()}`;

/** What holds where nobody says anything. */
export const defaultSettings: Settings = Object.fromEntries(
  settings.flatMap((row) => ('fallback' in row ? [[row.sets, row.fallback]] : [])),
) as unknown as Settings;

/** The rows of what differs. */
export function changesOf(before: Settings, after: Settings): Setting[] {
  const rows = settings.filter(({ sets }) => !isDeepStrictEqual(before[sets], after[sets]));
  // One for each setting, whichever of its rows said it.
  return rows.filter(({ sets }, i) => rows.findIndex((row) => row.sets === sets) === i);
}
