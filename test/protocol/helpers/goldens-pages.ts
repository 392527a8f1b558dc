import type { Entry } from '../../../protocol/entry.ts';
import { entryFields, type Golden, golden, id, mtimeNs, plainPolicy, policy } from './golden.ts';
import type { Layout } from './layout.ts';

const file: Entry = { path: 'sub/a', kind: 'file', size: 5, mtimeNs, mode: 0o600, contentType: '' };
const folder: Entry = {
  path: 'sub',
  kind: 'directory',
  size: 0,
  mtimeNs,
  mode: 0o700,
  contentType: '',
};
const windowNs = 10_000;

const twoNames = (payload: Layout): unknown =>
  payload
    .text('base', 'share/photos')
    .u16('paths.count', 2)
    .text('paths', 'a')
    .text('paths', 'sub/b');

export const pageGoldens: Golden[] = [
  golden(
    'verify',
    'verify: two small files below a folder',
    0x34,
    { type: 'verify', request: 8, base: 'share/photos', paths: ['a', 'sub/b'] },
    twoNames,
  ),
  golden(
    'digests',
    'digests: of `hello`, and of what is no small file',
    0x35,
    { type: 'digests', request: 8, digests: [0x7360_b2bc_52bf_7b69n, undefined] },
    (payload) =>
      payload
        .u16('digests.count', 2)
        .u8('digests.present', 1)
        .u64('digests', 0x7360_b2bc_52bf_7b69n)
        .u8('digests.present', 0),
  ),
  golden(
    'fetch',
    'fetch: two small files below a folder',
    0x30,
    { type: 'fetch', request: 8, base: 'share/photos', paths: ['a', 'sub/b'] },
    twoNames,
  ),
  golden(
    'offers',
    'offers: a file and its folder, asked about first',
    0x31,
    {
      type: 'offers',
      request: 9,
      operation: id(0x70),
      base: 'share/photos',
      policy: {
        overwrite: 'never',
        checksum: false,
        delta: false,
        fresh: false,
        modifyWindowNs: windowNs,
      },
      eager: false,
      entries: [file, folder],
    },
    (payload) => {
      policy(payload.raw('operation', id(0x70)).text('base', 'share/photos'), {
        ...plainPolicy,
        overwrite: 2,
      });
      payload.u8('eager', 0).u16('entries.count', 2);
      entryFields(payload, 'entries[0]', { ...file, kind: 0 });
      entryFields(payload, 'entries[1]', { ...folder, kind: 1 });
    },
  ),
  golden(
    'offers-eager',
    'offers: a file whose chunk follows at once',
    0x31,
    {
      type: 'offers',
      request: 9,
      operation: id(0x70),
      base: '',
      policy: {
        overwrite: 'always',
        checksum: false,
        delta: false,
        fresh: false,
        modifyWindowNs: windowNs,
      },
      eager: true,
      entries: [file],
    },
    (payload) => {
      policy(payload.raw('operation', id(0x70)).text('base', ''), plainPolicy);
      payload.u8('eager', 1).u16('entries.count', 1);
      entryFields(payload, 'entries[0]', { ...file, kind: 0 });
    },
  ),
  golden(
    'answers',
    'answers: every one there is',
    0x32,
    { type: 'answers', request: 9, answers: ['want', 'unchanged', 'skipped', 'refused'] },
    (payload) =>
      payload
        .u16('answers.count', 4)
        .u8('answers', 0, 'want')
        .u8('answers', 1, 'unchanged')
        .u8('answers', 2, 'skipped')
        .u8('answers', 3, 'refused'),
  ),
  golden(
    'results',
    'results: two entries failed, the second without a message',
    0x33,
    {
      type: 'results',
      request: 9,
      failures: [
        { index: 0, failure: 'no-space', message: 'The disk is full.' },
        { index: 255, failure: 'permission', message: '' },
      ],
    },
    (payload) =>
      payload
        .u16('failures.count', 2)
        .u16('failures[0].index', 0)
        .u16('failures[0].failure', 26, 'no-space')
        .text('failures[0].message', 'The disk is full.')
        .u16('failures[1].index', 255)
        .u16('failures[1].failure', 21, 'permission')
        .text('failures[1].message', ''),
  ),
  golden(
    'results-none',
    'results: everything went well',
    0x33,
    { type: 'results', request: 9, failures: [] },
    (payload) => payload.u16('failures.count', 0),
  ),
];
