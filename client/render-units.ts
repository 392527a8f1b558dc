/** Sizes, rates, times and modes as people read them. */

const steps = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** `12.3 MiB`: three digits or a little more, steps of 1024. */
export function bytesText(bytes: number): string {
  if (bytes < 1024) return `${Math.round(bytes)} B`;
  let value = bytes;
  let unit: string = 'B';
  for (const step of steps) {
    // 1023.95 would be shown as 1024.0.
    if (value < 1023.95) break;
    value /= 1024;
    unit = step;
  }
  return `${value.toFixed(1)} ${unit}`;
}

export function rateText(bytesPerSecond: number): string {
  return `${bytesText(bytesPerSecond)}/s`;
}

const bitSteps = ['kbit/s', 'Mbit/s', 'Gbit/s', 'Tbit/s'] as const;

/** `9.41 Gbit/s`: as networks are sold, steps of 1000. */
export function bitRateText(bitsPerSecond: number): string {
  let value = bitsPerSecond;
  let unit: string = 'bit/s';
  for (const step of bitSteps) {
    if (value < 999.5) break;
    value /= 1000;
    unit = step;
  }
  return `${value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0)} ${unit}`;
}

/** `0:35`, `12:05`, `3:00:00`. */
export function timeText(seconds: number): string {
  const whole = Math.round(seconds);
  const two = (n: number): string => String(Math.floor(n)).padStart(2, '0');
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours > 0
    ? `${hours}:${two(minutes)}:${two(whole % 60)}`
    : `${minutes}:${two(whole % 60)}`;
}

/** `1 file`, `2 files`. */
export function countText(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

const letters = { file: '-', directory: 'd', link: 'l', other: 's', unreadable: '?' } as const;

/** `drwxr-xr-x`, as `ls -l` shows it. */
export function modeText(kind: keyof typeof letters, mode: number): string {
  const bits = [6, 3, 0].map((shift) => {
    const three = (mode >> shift) & 7;
    return `${three & 4 ? 'r' : '-'}${three & 2 ? 'w' : '-'}${three & 1 ? 'x' : '-'}`;
  });
  const special = [mode & 0o4000, mode & 0o2000, mode & 0o1000];
  const shown = bits.map((text, i) => {
    if (!special[i]) return text;
    const letter = i === 2 ? 't' : 's';
    return text.slice(0, 2) + (text.endsWith('x') ? letter : letter.toUpperCase());
  });
  return letters[kind] + shown.join('');
}

/** ISO 8601 in UTC with all nine digits that a nanosecond takes. */
export function timestamp(mtimeNs: bigint): string {
  const billion = 1_000_000_000n;
  const fraction = ((mtimeNs % billion) + billion) % billion;
  const seconds = new Date(Number((mtimeNs - fraction) / 1_000_000n)).toISOString();
  return `${seconds.slice(0, -'.000Z'.length)}.${String(fraction).padStart(9, '0')}Z`;
}

/** Local time without a zone, `2026-05-06 07:08:09`. */
export function localTimeText(iso: string): string {
  const date = new Date(iso);
  const two = (n: number): string => String(n).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}
