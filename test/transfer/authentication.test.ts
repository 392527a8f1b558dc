import { readFileSync } from 'node:fs';
import test from 'ava';
import { FerryError } from '../../protocol/errors.ts';
import { headerBytes } from '../../protocol/header.ts';
import {
  credentialOf,
  newToken,
  parseToken,
  proofOf,
  tokenText,
} from '../../transfer/authentication.ts';
import { unbound } from '../../transfer/channel.ts';
import { root } from '../helpers/root.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

test('the example of docs/protocol.md: token, id, key and proof', (t) => {
  const doc = readFileSync(`${root}/docs/protocol.md`, 'utf8');
  const token = Uint8Array.from({ length: 32 }, (_, i) => i);
  const { id, key } = credentialOf(token);
  const session = doc.slice(doc.indexOf('<!-- begin session'));
  const [clientPreamble, clientHello, daemonPreamble, daemonHello] = [
    ...session.matchAll(/```hex\n([^]*?)```/g),
  ].map(([, block = '']) => Buffer.from(block.replace(/#.*$/gm, '').replace(/\s+/g, ''), 'hex'));
  const mac = proofOf(key, 'client', {
    ...unbound,
    client: Buffer.concat([clientPreamble, clientHello?.subarray(headerBytes)] as Buffer[]),
    daemon: Buffer.concat([daemonPreamble, daemonHello?.subarray(headerBytes)] as Buffer[]),
  });
  for (const text of [tokenText(token), hex(id), hex(key), hex(mac)]) t.true(doc.includes(text));
});

test('a token is read as it is written, with white space around it', (t) => {
  const token = newToken();
  t.deepEqual(new Uint8Array(parseToken(` ${tokenText(token)}\n`)), new Uint8Array(token));
});

test('what is no token is refused, and not repeated', (t) => {
  const text = tokenText(newToken());
  for (const wrong of ['', 'ferry_', text.slice(1), text.slice(0, -1), `${text}A`, `x${text}`]) {
    const error = t.throws(() => parseToken(wrong), { instanceOf: FerryError });
    t.is(error.failure, 'usage');
    if (wrong.length > 10) t.false(error.message.includes(wrong.slice(10)));
  }
});
