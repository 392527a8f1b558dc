/** How the values of options are written. Each parser throws what commander shows. */
import { InvalidArgumentError } from 'commander';

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Milliseconds of `90s`, `30m`, `2h`, `1h30m`, `500ms`, or of a bare number of seconds. */
export function parseDuration(text: string): number {
  const seconds = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) * 1_000 : undefined;
  if (seconds !== undefined) return seconds;
  if (!/^(?:\d+(?:\.\d+)?(?:ms|[smhd]))+$/.test(text)) {
    throw new InvalidArgumentError('Write a time as 90s, 30m, 2h or 1h30m.');
  }
  let total = 0;
  for (const [, value, unit] of text.matchAll(/([\d.]+)(ms|[smhd])/g)) {
    total += Number(value) * (unitMs[unit ?? ''] ?? 0);
  }
  return total;
}

/** The longest that a timer of Node takes. */
const longestMs = 2 ** 31 - 1;

/** A duration of more than nothing that a timer can take. */
export function parseTimeout(text: string): number {
  const ms = parseDuration(text);
  if (ms < 1 || ms > longestMs) {
    throw new InvalidArgumentError('It must be more than nothing and at most 24 days.');
  }
  return Math.ceil(ms);
}

const unitBytes: Readonly<Record<string, number>> = {
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  t: 1024 ** 4,
};

/** Bytes a second of `500k`, `1.5M`, `1G`; 0 is no limit. */
export function parseRate(text: string): number {
  if (text === '0') return 0;
  const [, value, unit] = /^(\d+(?:\.\d+)?)([kmg])(?:iB)?(?:\/s)?$/i.exec(text) ?? [];
  const rate = Math.round(Number(value) * (unitBytes[unit?.toLowerCase() ?? ''] ?? 0));
  // A bare number means bytes to some tools and kilobytes to others.
  if (!Number.isSafeInteger(rate) || rate < 1024) {
    throw new InvalidArgumentError(
      'Write it with its unit, 1024-based bytes a second: 500k, 2M, 1G; 0 is no limit.',
    );
  }
  return rate;
}

/** Bytes of `64k`, `1.5G` or a bare number, 1024-based; at least 1. */
export function parseSize(text: string): number {
  const [, value, unit = ''] = /^(\d+(?:\.\d+)?)([kmgt]?)(?:iB)?$/i.exec(text) ?? [];
  const bytes = Math.round(Number(value) * (unitBytes[unit.toLowerCase()] ?? 1));
  if (!Number.isSafeInteger(bytes) || bytes < 1) {
    throw new InvalidArgumentError('Write a size as 64k, 20M or 1.5G (1024-based), or in bytes.');
  }
  return bytes;
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
