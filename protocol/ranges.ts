/**
 * Sets of non-negative integers as sorted, disjoint, half-open ranges: which chunks or segments are
 * held, wanted or on their way.
 */

/** `start` ≤ n < `end`. An end of `unbounded` means "to the end, wherever that is". */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** End of a range whose end is not known yet: the largest integer that a double holds. */
export const unbounded: number = Number.MAX_SAFE_INTEGER;

export class RangeSet implements Iterable<Range> {
  /** Sorted by start; neither touching nor overlapping. */
  #ranges: { start: number; end: number }[] = [];

  constructor(ranges: Iterable<Range> = []) {
    for (const { start, end } of ranges) this.add(start, end);
  }

  /** How many integers the set holds. */
  get size(): number {
    return this.#ranges.reduce((sum, { start, end }) => sum + (end - start), 0);
  }

  get empty(): boolean {
    return this.#ranges.length === 0;
  }

  /** How many ranges the set consists of. */
  get rangeCount(): number {
    return this.#ranges.length;
  }

  /** The ranges as they are now: what changes the set later changes neither them nor their list. */
  [Symbol.iterator](): Iterator<Range> {
    return this.#ranges.map(({ start, end }) => ({ start, end }))[Symbol.iterator]();
  }

  /** Index of the first range that ends at or after `value`. */
  #from(value: number): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ranges[middle] as Range).end < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  has(value: number): boolean {
    return this.hasAll(value, value + 1);
  }

  /** Whether every integer of [start, end) is in the set. */
  hasAll(start: number, end: number): boolean {
    if (start >= end) return true;
    const range = this.#ranges[this.#from(start + 1)];
    return range !== undefined && range.start <= start && end <= range.end;
  }

  add(start: number, end: number): void {
    if (start >= end) return;
    const last = this.#ranges.at(-1);
    // Chunks mostly arrive in order: extending the last range is the common case.
    if (last !== undefined && start >= last.start && start <= last.end) {
      last.end = Math.max(last.end, end);
      return;
    }
    const first = this.#from(start);
    let next = first;
    let merged = { start, end };
    for (; next < this.#ranges.length; next += 1) {
      const range = this.#ranges[next] as Range;
      if (range.start > end) break;
      merged = { start: Math.min(merged.start, range.start), end: Math.max(merged.end, range.end) };
    }
    this.#ranges.splice(first, next - first, merged);
  }

  remove(start: number, end: number): void {
    if (start >= end) return;
    const first = this.#from(start + 1);
    const kept: { start: number; end: number }[] = [];
    let next = first;
    for (; next < this.#ranges.length; next += 1) {
      const range = this.#ranges[next] as Range;
      if (range.start >= end) break;
      if (range.start < start) kept.push({ start: range.start, end: start });
      if (range.end > end) kept.push({ start: end, end: range.end });
    }
    this.#ranges.splice(first, next - first, ...kept);
  }

  /** Takes up to `count` integers from the front, out of the set, as one range. */
  takeFirst(count: number): Range | undefined {
    const first = this.#ranges[0];
    if (first === undefined) return undefined;
    const taken = { start: first.start, end: Math.min(first.end, first.start + count) };
    if (taken.end === first.end) this.#ranges.shift();
    else first.start = taken.end;
    return taken;
  }

  /** The parts of [start, end) that are not in the set. */
  gaps(start: number, end: number): RangeSet {
    const gaps = new RangeSet();
    let from = start;
    for (let i = this.#from(start + 1); i < this.#ranges.length; i += 1) {
      const range = this.#ranges[i] as Range;
      if (range.start >= end) break;
      gaps.add(from, Math.max(from, range.start));
      from = range.end;
    }
    gaps.add(from, end);
    return gaps;
  }

  /** The parts of [start, end) that are in the set. */
  within(start: number, end: number): RangeSet {
    const parts = new RangeSet();
    for (let i = this.#from(start + 1); i < this.#ranges.length; i += 1) {
      const range = this.#ranges[i] as Range;
      if (range.start >= end) break;
      parts.add(Math.max(start, range.start), Math.min(end, range.end));
    }
    return parts;
  }

  clear(): void {
    this.#ranges = [];
  }
}
