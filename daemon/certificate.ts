/** The certificate that the daemon shows: its own, made at the first start, or one that is given. */
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { createSecureContext, type SecureContext } from 'node:tls';
import { Worker } from 'node:worker_threads';
import { FerryError } from '../protocol/errors.ts';
import { shown } from '../protocol/paths.ts';
import type { MadeCertificate } from './certificate-maker.ts';
import { privateFolder, writePrivate } from './private-file.ts';

export interface Identity {
  readonly context: SecureContext;
  /** SHA-256 of the certificate (DER), 32 bytes: what clients pin. */
  readonly pin: Uint8Array;
}

export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

// Compiled code and sources have the same layout, and different suffixes.
const suffix = import.meta.url.slice(import.meta.url.lastIndexOf('.'));
const makerUrl = new URL(`./certificate-maker${suffix}`, import.meta.url);

/** The certificate of `files`, or the daemon's own from `stateFolder`. Throws FerryError. */
export async function loadIdentity(
  stateFolder: string,
  files?: CertificateFiles,
): Promise<Identity> {
  const { cert, key } = files ?? (await ownFiles(stateFolder));
  const pem = { cert: readPem(cert), key: readPem(key) };
  try {
    // Whom the system trusts has no part in our own certificate, and takes 20 ms to read.
    const authorities = files === undefined ? { ca: [] } : {};
    const context = createSecureContext({ ...pem, ...authorities, minVersion: 'TLSv1.3' });
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
  await privateFolder(stateFolder);
  const { cert, key } = await newCertificate();
  // The certificate comes last: without it, the next start makes both anew.
  await writePrivate(files.key, key);
  await writePrivate(files.cert, cert);
  return files;
}

/** Made in a thread of its own: what that loads takes 10 MB, and is needed once in a daemon's life. */
async function newCertificate(): Promise<MadeCertificate> {
  const worker = new Worker(makerUrl);
  const ended = once(worker, 'exit');
  const [made] = (await once(worker, 'message')) as [MadeCertificate];
  await ended;
  return made;
}
