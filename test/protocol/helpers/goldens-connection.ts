import type { ToldLimits } from '../../../protocol/frames/connection.ts';
import { type Golden, golden, id, nonce } from './golden.ts';
import type { Layout } from './layout.ts';

const told: ToldLimits = {
  chunkBytesMin: 1024,
  chunkBytesMax: 4_194_304,
  inFlightBytes: 16_777_216,
  requests: 64,
  pages: 8,
};

export function toldLimits(payload: Layout, values: ToldLimits = told): Layout {
  return payload.field(4, 'limits', false, (value) => {
    value.u16('limits.count', 5);
    for (const [name, limit] of Object.entries(values)) {
      value.text('limits.name', name).u64('limits.value', limit);
    }
  });
}

export function session(payload: Layout): Layout {
  return payload.field(1, 'session', false, (value) => value.raw('session', id(0x10)));
}

export function nonceField(payload: Layout): Layout {
  return payload.field(2, 'nonce', false, (value) => value.raw('nonce', nonce));
}

const noFeatures = (payload: Layout): Layout =>
  payload.field(3, 'features', false, (value) => value.u16('features.count', 0));

const software = (payload: Layout, name: string): Layout =>
  payload.field(5, 'software', false, (value) => {
    const bytes = new TextEncoder().encode(name);
    if (bytes.length > 0) value.raw('software', bytes, JSON.stringify(name));
  });

const plainHello = { session: id(0x10), nonce, features: [], limits: told, software: '' } as const;

const hellos: Golden[] = [
  golden(
    'hello',
    'hello: without optional features and without authentication',
    0x01,
    {
      type: 'hello',
      request: 0,
      ...plainHello,
      software: 'ferry 0.1.0',
      tokenId: undefined,
      binding: undefined,
    },
    (payload) => {
      nonceField(session(payload.u16('fields', 5)));
      software(toldLimits(noFeatures(payload)), 'ferry 0.1.0');
    },
  ),
  golden(
    'hello-token',
    'hello: with features, and with the reserved fields of authentication',
    0x01,
    {
      type: 'hello',
      request: 0,
      ...plainHello,
      features: ['alpha', 'beta-2'],
      limits: { ...told, requests: 1, inFlightBytes: 262_144 },
      tokenId: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
      binding: 'exporter',
    },
    (payload) => {
      nonceField(session(payload.u16('fields', 7)));
      payload.field(3, 'features', false, (value) =>
        value.u16('features.count', 2).text('features', 'alpha').text('features', 'beta-2'),
      );
      toldLimits(payload, { ...told, requests: 1, inFlightBytes: 262_144 });
      software(payload, '')
        .field(6, 'tokenId', false, (value) => value.raw('tokenId', [1, 2, 3, 4, 5, 6, 7, 8]))
        .field(7, 'binding', false, (value) =>
          value.raw('binding', new TextEncoder().encode('exporter'), '"exporter"'),
        );
    },
  ),
  golden(
    'proof',
    'proof: reserved for the coming release',
    0x02,
    { type: 'proof', request: 0, mac: nonce },
    (payload) => payload.raw('mac', nonce),
  ),
];

export const connectionGoldens: Golden[] = [
  ...hellos,
  golden('ping', 'ping', 0x03, { type: 'ping', request: 0, token: 2n ** 64n - 2n }, (payload) =>
    payload.u64('token', 2n ** 64n - 2n),
  ),
  golden(
    'pong',
    'pong: answers that ping',
    0x04,
    { type: 'pong', request: 0, token: 2n ** 64n - 2n },
    (payload) => payload.u64('token', 2n ** 64n - 2n),
  ),
  golden('goodbye', 'goodbye: no fields', 0x05, { type: 'goodbye', request: 0 }, () => undefined),
  golden(
    'credit',
    'credit: 1 MiB of bulk payload was taken off the connection since it began',
    0x06,
    { type: 'credit', request: 0, consumed: 1_048_576 },
    (payload) => payload.u64('consumed', 1_048_576),
  ),
  golden(
    'error-connection',
    'error: of the connection, which ends',
    0x07,
    { type: 'error', request: 0, failure: 'version', message: 'Update the client.' },
    (payload) => payload.u16('failure', 2, 'version').text('message', 'Update the client.'),
  ),
  golden(
    'error-request',
    'error: of one request',
    0x07,
    { type: 'error', request: 7, failure: 'not-found', message: '“ä” is not there.' },
    (payload) => payload.u16('failure', 20, 'not-found').text('message', '“ä” is not there.'),
  ),
  golden('cancel', 'cancel: no fields', 0x08, { type: 'cancel', request: 9 }, () => undefined),
  golden(
    'cancelled',
    'cancelled: no fields',
    0x09,
    { type: 'cancelled', request: 9 },
    () => undefined,
  ),
];

/** Frames that a reader must take although this code writes them in another way. */
export const connectionAlsoValid: Golden[] = [
  golden(
    'hello-least',
    'hello: only what is required; limits not told have their values of version 1',
    0x01,
    { type: 'hello', request: 0, ...plainHello, tokenId: undefined, binding: undefined },
    (payload) =>
      nonceField(session(payload.u16('fields', 3))).field(4, 'limits', false, (value) =>
        value.u16('limits.count', 0),
      ),
  ),
  golden(
    'hello-unknown',
    'hello: fields in another order, an unknown field and an unknown limit, both skipped',
    0x01,
    {
      type: 'hello',
      request: 0,
      ...plainHello,
      limits: { ...told, pages: 2 },
      tokenId: undefined,
      binding: undefined,
    },
    (payload) => {
      payload.u16('fields', 4).field(99, 'unknown', false, (value) => value.raw('unknown', [1, 2]));
      session(nonceField(payload)).field(4, 'limits', false, (value) =>
        value
          .u16('limits.count', 2)
          .text('limits.name', 'wishes')
          .u64('limits.value', 3)
          .text('limits.name', 'pages')
          .u64('limits.value', 2),
      );
    },
  ),
  golden(
    'error-unknown-code',
    'error: a code that this version does not know counts as `internal`',
    0x07,
    { type: 'error', request: 1, failure: 'internal', message: '' },
    (payload) => payload.u16('failure', 99).text('message', ''),
  ),
  golden(
    'error-own-code',
    'error: codes from 100 up never travel; one that does counts as `internal`',
    0x07,
    { type: 'error', request: 1, failure: 'internal', message: '' },
    (payload) => payload.u16('failure', 101).text('message', ''),
  ),
];
