/**
 * The forms a setting is written in: as text on the command line and in the environment, as a value
 * of TOML in the configuration file.
 */
import path from 'node:path';
import { InvalidArgumentError } from 'commander';
import { shown } from '../protocol/paths.ts';
import { suggestion } from './suggestion.ts';

/** Where a value stands in the file: `['share', 1, 'folder']`. */
export type KeyPath = readonly (string | number)[];

/** A value of the file that can't be used. */
export class Fault extends Error {
  readonly path: KeyPath;

  constructor(message: string, keyPath: KeyPath) {
    super(message);
    this.path = keyPath;
  }
}

/** What a value of the file is read with. */
export interface Place {
  readonly file: string;
  readonly path: KeyPath;
}

export interface Kind<T> {
  /** Text that stands for yes by being there at all: `--plain`. */
  readonly isSwitch?: boolean;
  /** May be given more than once; in the environment with commas between. */
  readonly isRepeatable?: boolean;
  /** Undefined: only the file can say it. Throws InvalidArgumentError. */
  readonly fromTexts?: (texts: readonly string[]) => T;
  /** Throws Fault, or InvalidArgumentError. */
  readonly fromToml: (value: unknown, place: Place) => T;
}

type Parser<T> = (text: string) => T;

const last = (texts: readonly string[]): string => texts.at(-1) ?? '';

function string(value: unknown, { path: at }: Place): string {
  if (typeof value === 'string') return value;
  throw new Fault('Write it as text, in quotes.', at);
}

export function text<T>(parse: Parser<T>): Kind<T> {
  return {
    fromTexts: (texts) => parse(last(texts)),
    fromToml: (value, place) => parse(string(value, place)),
  };
}

/** A path, in the file relative to the file's folder. */
export function filePath(parse: Parser<string>): Kind<string> {
  return {
    fromTexts: (texts) => parse(last(texts)),
    fromToml: (value, place) => path.resolve(path.dirname(place.file), parse(string(value, place))),
  };
}

export function number<T>(parse: Parser<T>): Kind<T> {
  return {
    fromTexts: (texts) => parse(last(texts)),
    fromToml: (value, { path: at }) => {
      if (typeof value !== 'number') throw new Fault('Write it as a number, without quotes.', at);
      return parse(String(value));
    },
  };
}

/** A number, or text with a unit: 10737418240 or "10G". */
export function quantity<T>(parse: Parser<T>): Kind<T> {
  return {
    fromTexts: (texts) => parse(last(texts)),
    fromToml: (value, { path: at }) => {
      if (typeof value !== 'number' && typeof value !== 'string') {
        throw new Fault('Write it as a number, or as text with a unit.', at);
      }
      return parse(String(value));
    },
  };
}

/** What a variable must not say for its switch to count. */
const falseTexts = new Set(['', '0', 'false', 'no', 'off']);

export const onOff: Kind<boolean> = {
  isSwitch: true,
  fromTexts: (texts) => !falseTexts.has(last(texts).toLowerCase()),
  fromToml: (value, { path: at }) => {
    if (typeof value !== 'boolean') throw new Fault('Write true or false, without quotes.', at);
    return value;
  },
};

/** Several texts, at least one. */
export function list<T>(parse: Parser<T>): Kind<readonly T[]> {
  return {
    isRepeatable: true,
    fromTexts: (texts) => texts.map(parse),
    fromToml: (value, place) =>
      readAll(items(value, place, 'Write it as a list of texts: ["one", "two"].'), (item, i) =>
        within([...place.path, i], (at) => {
          const written = string(item, { ...place, path: at });
          return within(at, () => parse(written), `${shown(written)}: `);
        }),
      ),
  };
}

function items(value: unknown, { path: at }: Place, how: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new Fault(how, at);
  // Emptied by mistake it would mean what leaving it out means.
  if (value.length === 0) throw new Fault('The list is empty: fill it, or leave it out.', at);
  return value;
}

/** Reads each of them. Throws AggregateError with all their Faults, so that nobody has to look again after each. */
export function readAll<T, R>(those: readonly T[], read: (one: T, i: number) => R): R[] {
  const faults: unknown[] = [];
  const values = those.flatMap((one, i) => {
    try {
      return [read(one, i)];
    } catch (error) {
      if (error instanceof Fault) faults.push(error);
      else if (error instanceof AggregateError) faults.push(...error.errors);
      else throw error;
      return [];
    }
  });
  if (faults.length > 0) throw new AggregateError(faults);
  return values;
}

/** What a parser finds wrong below `at` is wrong there. */
export function within<T>(at: KeyPath, read: (at: KeyPath) => T, before = ''): T {
  try {
    return read(at);
  } catch (error) {
    if (error instanceof InvalidArgumentError) throw new Fault(before + error.message, at);
    throw error;
  }
}

/** A table with any keys. */
export function tableOf(value: unknown, { path: at }: Place): Readonly<Record<string, unknown>> {
  const isTable =
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Date);
  if (!isTable) throw new Fault(`Write it as a table: [${at.join('.')}].`, at);
  return value as Record<string, unknown>;
}

type Fields = Readonly<Record<string, Pick<Kind<unknown>, 'fromToml'>>>;
type Values<F extends Fields> = { readonly [K in keyof F]: ReturnType<F[K]['fromToml']> };

/** The readings of `[[key]]` tables, whose fields are these. */
export function tables<R extends Fields, O extends Fields, T>(
  required: R,
  optional: O,
  build: (fields: Values<R> & Partial<Values<O>>, place: Place) => T,
): Kind<readonly T[]>['fromToml'] {
  const known = { ...required, ...optional };
  return (value, place) =>
    readAll(
      items(value, place, `Write each as a table: [[${place.path.join('.')}]].`),
      (item, i) => {
        const at = [...place.path, i];
        const given = tableOf(item, { ...place, path: at });
        const names = new Set([...Object.keys(required), ...Object.keys(given)]);
        const fields = readAll([...names], (name) => {
          if (!Object.hasOwn(given, name)) throw new Fault(`It lacks ${name}.`, at);
          const kind = Object.hasOwn(known, name) ? known[name] : undefined;
          if (kind === undefined) throw unknownKey([...at, name], Object.keys(known));
          const read = (here: KeyPath): unknown =>
            kind.fromToml(given[name], { ...place, path: here });
          return [name, within([...at, name], read)];
        });
        const values = Object.fromEntries(fields) as Values<R> & Partial<Values<O>>;
        return within(at, () => build(values, { ...place, path: at }));
      },
    );
}

export function unknownKey(at: KeyPath, known: readonly string[]): Fault {
  return new Fault(`There is no such setting.${suggestion(String(at.at(-1)), known)}`, at);
}
