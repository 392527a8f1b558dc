import type { Entry } from '../../../protocol/entry.ts';
import { entryFields, type Golden, golden, id, largest, mtimeNs } from './golden.ts';

const file: Entry = {
  path: 'photos/ä.jpg',
  kind: 'file',
  size: 5_000_000_000,
  mtimeNs,
  mode: 0o4755,
  contentType: 'image/jpeg',
};
const folder: Entry = {
  path: 'photos',
  kind: 'directory',
  size: 0,
  mtimeNs: 0n,
  mode: 0o755,
  contentType: '',
};
const unreadable: Entry = {
  ...folder,
  path: 'caf\\xe9',
  kind: 'unreadable',
  mtimeNs: -1n,
  mode: 0,
};

const asking: Golden[] = [
  golden(
    'list-root',
    'list: the shares',
    0x10,
    { type: 'list', request: 1, path: '', recursive: false, contentTypes: false },
    (payload) => payload.text('path', '').u8('recursive', 0).u8('contentTypes', 0),
  ),
  golden(
    'list',
    'list: everything below a folder, with content types',
    0x10,
    { type: 'list', request: 2, path: 'share/photos', recursive: true, contentTypes: true },
    (payload) => payload.text('path', 'share/photos').u8('recursive', 1).u8('contentTypes', 1),
  ),
  golden('stat', 'stat', 0x11, { type: 'stat', request: 3, path: 'share/ä' }, (payload) =>
    payload.text('path', 'share/ä'),
  ),
  golden(
    'mkdir',
    'mkdir: with those above it',
    0x12,
    { type: 'mkdir', request: 4, operation: id(0x20), path: 'share/a/b', parents: true },
    (payload) => payload.raw('operation', id(0x20)).text('path', 'share/a/b').u8('parents', 1),
  ),
  golden(
    'remove',
    'remove: a file or an empty folder',
    0x13,
    { type: 'remove', request: 5, operation: id(0x30), path: 'share/a', recursive: false },
    (payload) => payload.raw('operation', id(0x30)).text('path', 'share/a').u8('recursive', 0),
  ),
  golden(
    'rename',
    'rename',
    0x14,
    { type: 'rename', request: 6, operation: id(0x40), from: 'share/a', to: 'share/b' },
    (payload) => payload.raw('operation', id(0x40)).text('from', 'share/a').text('to', 'share/b'),
  ),
  golden(
    'checksums',
    'checksums: two chunks from the fourth on',
    0x15,
    { type: 'checksums', request: 7, path: 'share/a', level: 'chunk', first: 3, count: 2 },
    (payload) =>
      payload.text('path', 'share/a').u8('level', 1, 'chunk').u64('first', 3).u64('count', 2),
  ),
  golden(
    'checksums-all',
    'checksums: all segments',
    0x15,
    { type: 'checksums', request: 7, path: 'share/a', level: 'segment', first: 0, count: largest },
    (payload) =>
      payload
        .text('path', 'share/a')
        .u8('level', 0, 'segment')
        .u64('first', 0)
        .u64('count', largest, 'all'),
  ),
];

export const requestGoldens: Golden[] = [
  ...asking,
  golden(
    'entries',
    'entries: a page that is not the last',
    0x18,
    { type: 'entries', request: 2, last: false, entries: [folder, file, unreadable] },
    (payload) => {
      payload.u8('last', 0).u16('entries.count', 3);
      entryFields(payload, 'entries[0]', { ...folder, kind: 1 });
      entryFields(payload, 'entries[1]', { ...file, kind: 0 });
      entryFields(payload, 'entries[2]', { ...unreadable, kind: 4 });
    },
  ),
  golden(
    'entries-none',
    'entries: the one page of an empty folder',
    0x18,
    { type: 'entries', request: 2, last: true, entries: [] },
    (payload) => payload.u8('last', 1).u16('entries.count', 0),
  ),
  golden(
    'entry',
    'entry: a link, whose path is empty because it was asked for by name',
    0x19,
    { type: 'entry', request: 3, entry: { ...folder, path: '', kind: 'link', mode: 0o777 } },
    (payload) => entryFields(payload, 'entry', { ...folder, path: '', kind: 2, mode: 0o777 }),
  ),
  golden('done', 'done: no fields', 0x1a, { type: 'done', request: 4 }, () => undefined),
];
