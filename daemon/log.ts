/** The daemon's log: JSON lines for machines, or short lines for people. */
import { type Logger, pino } from 'pino';
import { escaped } from '../protocol/paths.ts';

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

export function createLog(
  level: LogLevel,
  format: LogFormat,
  write: (line: string) => void,
): Logger {
  return pino(
    { level, base: null },
    { write: format === 'json' ? write : (line: string) => write(pretty(line)) },
  );
}
