/**
 * What clients did at once, and whether what they saw can be: for each name, what is read must be a
 * content that the name may have had at some moment of the reading.
 *
 * Contents are unique, so a read tells which write it saw. A change whose outcome was never learned may
 * have happened at any time after it was asked for, or never. These are necessary conditions: a history
 * that passes them may be wrong in ways that they do not see, one that fails is wrong.
 */

/** When something was asked for, and when its answer was there; in any unit that grows. */
interface Span {
  readonly from: number;
  readonly to: number;
}

/** A content, by its number; undefined: nothing is there. */
export type Content = number | undefined;

export interface Change extends Span {
  readonly name: string;
  /** What the name has afterwards; `moved` is whatever another name had. */
  readonly content: Content | 'moved';
  readonly outcome: 'done' | 'unknown';
}

export interface Reading extends Span {
  readonly name: string;
  readonly content: Content;
}

export class History {
  readonly changes: Change[] = [];
  readonly readings: Reading[] = [];
  /** When each content was first sent, to whatever name. */
  readonly #sent = new Map<number, number>();

  changed(change: Change): void {
    this.changes.push(change);
    const { content, from } = change;
    if (typeof content === 'number') {
      this.#sent.set(content, Math.min(from, this.#sent.get(content) ?? Infinity));
    }
  }

  read(reading: Reading): void {
    this.readings.push(reading);
  }

  /** A sentence for each reading that cannot be. */
  problems(): string[] {
    const byName = new Map<string, Change[]>();
    for (const change of this.changes) {
      byName.set(change.name, [...(byName.get(change.name) ?? []), change]);
    }
    return this.readings
      .filter((reading) => !this.#canBe(reading, byName.get(reading.name) ?? []))
      .map(
        ({ name, content, from, to }) =>
          `${name} showed ${content ?? 'nothing'} between ${from.toFixed(1)} and ${to.toFixed(1)}`,
      );
  }

  #canBe(reading: Reading, changes: readonly Change[]): boolean {
    const { content } = reading;
    // Nothing is what a name begins with.
    const begin: Change[] =
      content === undefined
        ? [{ name: reading.name, content, outcome: 'done', from: -Infinity, to: -Infinity }]
        : [];
    return [...begin, ...changes].some(
      (change) =>
        change.from < reading.to &&
        this.#mayGive(change, content) &&
        !isOverwritten(change, reading, changes),
    );
  }

  #mayGive(change: Change, content: Content): boolean {
    if (change.content !== 'moved') return change.content === content;
    return content !== undefined && (this.#sent.get(content) ?? Infinity) < change.to;
  }
}

/** Whether another change was done for sure after `change` and before `reading`. */
function isOverwritten(change: Change, reading: Reading, changes: readonly Change[]): boolean {
  if (change.outcome === 'unknown') return false;
  return changes.some(
    (later) =>
      later !== change &&
      later.outcome === 'done' &&
      later.from > change.to &&
      later.to < reading.from,
  );
}
