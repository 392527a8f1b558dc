/** Settings that the file has as tables: shares and limits. */
import { InvalidArgumentError } from 'commander';
import { shown } from '../protocol/paths.ts';
import { type DaemonLimits, limitNames } from './limits.ts';
import {
  Fault,
  filePath,
  type KeyPath,
  type Kind,
  onOff,
  quantity,
  readAll,
  tableOf,
  tables,
  text,
  unknownKey,
  within,
} from './setting-kinds.ts';
import {
  limitOf,
  parseLimit,
  parseShare,
  parseShareName,
  parseText,
  type ShareOption,
} from './values.ts';

export const mergeLimits = (
  weaker: Partial<DaemonLimits>,
  stronger: Partial<DaemonLimits>,
): Partial<DaemonLimits> => ({ ...weaker, ...stronger });

/** A table of the file, `name = value`; texts are `name=value`. */
export const limitsKind: Kind<Partial<DaemonLimits>> = {
  isRepeatable: true,
  fromTexts: (texts) => Object.assign({}, ...texts.map(parseLimit)) as Partial<DaemonLimits>,
  fromToml: (value, place) => {
    const limits = readAll(Object.entries(tableOf(value, place)), ([name, limit]) => {
      const path = [...place.path, name];
      if (!limitNames.some((known) => known === name)) throw unknownKey(path, limitNames);
      const kind = quantity((written) => limitOf(name, written));
      return within(path, () => kind.fromToml(limit, { ...place, path }));
    });
    return Object.assign({}, ...limits) as Partial<DaemonLimits>;
  },
};

const shareTables = tables(
  { name: text(parseShareName), folder: filePath(parseText) },
  { 'read-only': onOff, 'portable-names': onOff },
  ({ name, folder, 'read-only': readOnly = false, 'portable-names': portableNames = false }) => ({
    name,
    folder,
    readOnly,
    portableNames,
  }),
);

export const sharesKind: Kind<readonly ShareOption[]> = {
  isRepeatable: true,
  fromTexts: (texts) => withoutTwins(texts.map(parseShare), []),
  fromToml: (value, place) => withoutTwins(shareTables(value, place), place.path),
};

function withoutTwins(shares: readonly ShareOption[], path: KeyPath): readonly ShareOption[] {
  const names = shares.map(({ name }) => name);
  const twin = names.findIndex((name, i) => names.indexOf(name) !== i);
  if (twin < 0) return shares;
  const message = `The share name ${shown(names[twin] ?? '')} is taken.`;
  throw path.length === 0 ? new InvalidArgumentError(message) : new Fault(message, [...path, twin]);
}

/** One folder, served as `/`. */
const folder = filePath(parseText);
export const asShares = (served: string): readonly ShareOption[] => [
  { name: '', folder: served, readOnly: false, portableNames: false },
];
export const folderKind: Kind<readonly ShareOption[]> = {
  fromTexts: (texts) => asShares(parseText(texts.at(-1) ?? '')),
  fromToml: (value, place) => asShares(folder.fromToml(value, place)),
};
