/** What both ends make of the way between them. */
import type { TLSSocket } from 'node:tls';
import type { Channel } from './handshake.ts';

export const alpnName = 'chunkferry/1';

/** Exporter of RFC 9266 ("tls-exporter"): the same at both ends of one TLS channel, and nowhere else. */
const exporterLabel = 'EXPORTER-Channel-Binding';
const exporterBytes = 32;

export function channelOf(socket: TLSSocket): Channel {
  const exporter = socket.exportKeyingMaterial(exporterBytes, exporterLabel, Buffer.alloc(0));
  return { binding: 'exporter', exporter };
}

/** Plain TCP, or TLS that a proxy ends: nothing to bind to. */
export const unbound: Channel = { binding: 'none', exporter: new Uint8Array() };
