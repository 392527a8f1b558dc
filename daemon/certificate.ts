/** The certificate that the daemon shows: its own, made at the first start, or one that is given. */
import { X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createSecureContext, type SecureContext } from 'node:tls';
import { FerryError } from '../protocol/errors.ts';
import { shown } from '../protocol/paths.ts';

export interface Identity {
  readonly context: SecureContext;
  /** SHA-256 of the certificate (DER), 32 bytes: what clients pin. */
  readonly pin: Uint8Array;
}

export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** It is pinned, not looked up: a date would only bring the day on which nothing works any more. */
const validYears = 100;
const ownerOnly = 0o700;
const ownFile = 0o600;

/** The certificate of `files`, or the daemon's own from `stateFolder`. Throws FerryError. */
export async function loadIdentity(
  stateFolder: string,
  files?: CertificateFiles,
): Promise<Identity> {
  const { cert, key } = files ?? (await ownFiles(stateFolder));
  const pem = { cert: readPem(cert), key: readPem(key) };
  try {
    const context = createSecureContext({ ...pem, minVersion: 'TLSv1.3' });
    const pin = Buffer.from(
      new X509Certificate(pem.cert).fingerprint256.replaceAll(':', ''),
      'hex',
    );
    return { context, pin };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FerryError(
      'usage',
      `The certificate ${shown(cert)} and its key ${shown(key)} can't be used: ${reason}.`,
      { cause },
    );
  }
}

function readPem(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FerryError('usage', `Cannot read ${shown(file)}: ${reason}.`, { cause });
  }
}

async function ownFiles(stateFolder: string): Promise<CertificateFiles> {
  const files = {
    cert: path.join(stateFolder, 'cert.pem'),
    key: path.join(stateFolder, 'key.pem'),
  };
  if (existsSync(files.cert) && existsSync(files.key)) return files;
  mkdirSync(stateFolder, { recursive: true, mode: ownerOnly });
  const { cert, key } = await newCertificate();
  // The certificate comes last: without it, the next start makes both anew.
  writeWhole(files.key, key);
  writeWhole(files.cert, cert);
  return files;
}

/** An ECDSA key on P-256 and its self-signed certificate, both PEM. */
async function newCertificate(): Promise<{ cert: string; key: string }> {
  const { generate } = await import('selfsigned'); // Slow to load, and needed once.
  const notAfterDate = new Date();
  notAfterDate.setFullYear(notAfterDate.getFullYear() + validYears);
  const made = await generate([{ name: 'commonName', value: 'chunkferry' }], {
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
  return { cert: made.cert, key: made.private };
}

function writeWhole(file: string, content: string): void {
  const beside = `${file}.new`;
  writeFileSync(beside, content, { mode: ownFile, flush: true });
  renameSync(beside, file);
}
