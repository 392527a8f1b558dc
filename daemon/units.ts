/** Quantities as people write them on the command line. */
import { InvalidArgumentError } from 'commander';

const factors: Readonly<Record<string, number>> = {
  '': 1,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  t: 1024 ** 4,
};

/** `500`, `64k`, `10M`, `1.5G`, `2T`: 1024-based. */
export function parseBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([kmgt]?)(?:i?b)?$/i.exec(text);
  const bytes = Math.floor(Number(match?.[1]) * (factors[(match?.[2] ?? '').toLowerCase()] ?? 1));
  if (!Number.isSafeInteger(bytes) || bytes < 1) {
    throw new InvalidArgumentError('Write it as a number of bytes, or with k, M, G or T: 10G.');
  }
  return bytes;
}

const spansMs: Readonly<Record<string, number>> = {
  m: 60_000,
  h: 3_600_000,
  d: 24 * 3_600_000,
  w: 7 * 24 * 3_600_000,
};

const isDate = /^\d{4}-\d{2}-\d{2}(T[\d:.]+(Z|[+-]\d{2}:\d{2})?)?$/;
// Beyond the year 9999 a time is written in a way that few programs read.
const endOfTimeMs = Date.UTC(10_000, 0);

/** A date (`2027-01-01`, in UTC), in milliseconds since 1970. */
export function parseDate(text: string): number {
  const timeMs = Date.parse(isDate.test(text) ? text : '');
  if (!(timeMs < endOfTimeMs)) {
    throw new InvalidArgumentError('Write a date like 2027-01-01 (UTC).');
  }
  return timeMs;
}

/** A moment to come, as a span from now (`12h`, `30d`) or a date (`2027-01-01`, in UTC). */
export function parseExpiry(text: string, nowMs: number = Date.now()): number {
  const span = /^(\d+)([mhdw])$/.exec(text);
  const timeMs =
    span === null
      ? Date.parse(isDate.test(text) ? text : '')
      : nowMs + Number(span[1]) * (spansMs[span[2] as string] as number);
  if (!(timeMs > nowMs) || timeMs >= endOfTimeMs) {
    throw new InvalidArgumentError(
      'Write a time to come: 12h, 30d, 4w, or a date like 2027-01-01 (UTC).',
    );
  }
  return timeMs;
}
