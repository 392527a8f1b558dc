/** A storage that gives nothing a name which Windows or macOS cannot hold, for a share that asks for it. */
import { TransferError } from '../protocol/errors.ts';
import { componentFault, isMisleading, joinPath, shown } from '../protocol/paths.ts';
import type { Storage } from '../transfer/storage.ts';
import { wrap } from '../transfer/wrap.ts';

/** Names of devices on Windows, whatever extension follows; the digits may be superscript. */
const device: RegExp = /^(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9¹²³]) *(?:\.|$)/i;
const refusedCharacter: RegExp = /[<>:"|?*\\]/;

/**
 * Why a component is no portable name, or undefined when it is one. Whether another name differs from
 * it in case or normalisation alone is not looked at.
 */
export function portableFault(name: string): string | undefined {
  const character = refusedCharacter.exec(name)?.[0];
  if (character !== undefined) return `contains ${character}`;
  // macOS leaves zero-width characters out when it compares names, so they go with control characters.
  if (isMisleading(name)) return 'contains a control or invisible character';
  if (/[. ]$/.test(name)) return 'ends in a dot or a space';
  if (device.test(name)) return 'is the name of a device';
  return undefined;
}

/** What is there already can be listed, read and removed, and get a portable name, whatever it is called. */
export function onlyPortableNames(storage: Storage): Storage {
  return wrap<Storage>(storage, {
    async mkdir(path, parents) {
      check(path);
      await storage.mkdir(path, parents);
    },
    async rename(from, to) {
      check(to);
      await storage.rename(from, to);
    },
    async openSink(path, offer, fresh) {
      check(path);
      return await storage.openSink(path, offer, fresh);
    },
    async putSmall(base, files) {
      const errors = files.map(({ entry }) => fault(joinPath(base, entry.path)));
      const portable = files.filter((_, i) => errors[i] === undefined);
      const stored = portable.length === 0 ? [] : await storage.putSmall(base, portable);
      const results = stored.values();
      return errors.map((error) => error ?? results.next().value);
    },
  });
}

function check(path: string): void {
  const error = fault(path);
  if (error !== undefined) throw error;
}

function fault(path: string): TransferError | undefined {
  for (const name of path.split('/')) {
    // What can be no name anywhere is the storage's to refuse.
    const reason = componentFault(name) === undefined ? portableFault(name) : undefined;
    if (reason === undefined) continue;
    return new TransferError(
      'bad-path',
      `${shown(path)} is not stored: ${shown(name)} ${reason}, and this share takes portable names only (portable-names).`,
    );
  }
  return undefined;
}
