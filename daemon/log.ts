/** The daemon's log: JSON lines for machines, or short lines for people. */
import { type Logger, pino } from 'pino';
import { escaped, escapedJson } from '../protocol/paths.ts';

export type { Logger } from 'pino';

export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];
export type LogFormat = 'pretty' | 'json';

/** Fields of every line that a reader of pretty lines doesn't need. */
const hiddenFields = new Set(['level', 'time', 'msg', 'event']);

/** One JSON line as people like to read it; what came from outside is escaped. */
function pretty(line: string): string {
  const record = JSON.parse(line) as Record<string, unknown>;
  const time = new Date(record['time'] as number).toISOString().slice(11, 19);
  const level = pino.levels.labels[record['level'] as number] ?? '';
  const fields = Object.entries(record)
    .filter(([name]) => !hiddenFields.has(name))
    .map(([name, value]) => {
      const text = typeof value === 'string' ? value : JSON.stringify(value);
      return `${name}=${/^[\w.:/+-]*$/.test(text) ? text : `"${escaped(text)}"`}`;
    });
  const shownLevel = level === 'info' ? '' : `${level} `;
  return `${[`${time} ${shownLevel}${escaped(String(record['msg']))}`, ...fields].join('  ')}\n`;
}

/** Paths and messages come from peers: they must not fill the disk. */
const textCharacters = 1024;
const stackCharacters = 4096;
const causesShown = 4;

const cut = (text: string, most = textCharacters): string =>
  text.length > most ? `${text.slice(0, most)}…` : text;

/** Fields of one line; only texts of its own, since those of others may be long. */
function cutFields(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      typeof value === 'string' ? cut(value) : value,
    ]),
  );
}

/** An error as it may be shown: what else was hung on it could hold anything. */
function errorFields(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return cut(String(error));
  const { name, message, stack, cause } = error;
  const { code } = error as NodeJS.ErrnoException;
  return {
    type: name,
    message: cut(message),
    code: typeof code === 'string' ? cut(code) : undefined,
    stack: stack === undefined ? undefined : cut(stack, stackCharacters),
    cause: cause === undefined || depth >= causesShown ? undefined : errorFields(cause, depth + 1),
  };
}

/** A token has no way into the log; if it found one, it would stop here. */
const tokens = /ferry_[\w-]{43}/g;

/** The same JSON, without a character that could mislead who reads it on a terminal. */
function harmless(line: string): string {
  return escapedJson(line.trimEnd().replace(tokens, 'ferry_…'));
}

export function createLog(
  level: LogLevel,
  format: LogFormat,
  write: (line: string) => void,
): Logger {
  const show = format === 'json' ? (line: string): string => `${line}\n` : pretty;
  return pino(
    {
      level,
      base: null,
      formatters: { log: cutFields },
      serializers: { err: (error: unknown) => errorFields(error) },
    },
    { write: (line: string) => write(show(harmless(line))) },
  );
}
