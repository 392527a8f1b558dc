/** The library: `import { connect } from 'chunkferry'`. */
export type { Entry } from '../protocol/entry.ts';
export { type FailureName, FerryError } from '../protocol/errors.ts';
export { type Access, findCredentials, type Surroundings } from './credentials.ts';
export type * from './events.ts';
export { connect, Ferry, type RemotePath, type UploadSource } from './ferry.ts';
export { parseRemote, type Remote } from './remote.ts';
export {
  type ConnectOptions,
  type Credentials,
  defaultConnectOptions,
  defaultTransferOptions,
  type Selection,
  type TransferOptions,
} from './transfer-options.ts';
