/** A thread that makes one certificate, tells it and ends: an ECDSA key on P-256, signed by itself. */
import { parentPort } from 'node:worker_threads';
import { generate } from 'selfsigned';

/** Both PEM. */
export interface MadeCertificate {
  readonly cert: string;
  readonly key: string;
}

/** It is pinned, not looked up: a date would only bring the day on which nothing works any more. */
const validYears = 100;

const notAfterDate = new Date();
notAfterDate.setFullYear(notAfterDate.getFullYear() + validYears);
const { cert, private: key } = await generate([{ name: 'commonName', value: 'chunkferry' }], {
  keyType: 'ec',
  curve: 'P-256',
  algorithm: 'sha256',
  notAfterDate,
  extensions: [
    { name: 'basicConstraints', cA: false, critical: true },
    { name: 'keyUsage', digitalSignature: true, critical: true },
    { name: 'extKeyUsage', serverAuth: true },
    { name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] },
  ],
});
parentPort?.postMessage({ cert, key } satisfies MadeCertificate);
