/**
 * Where repositories live. `storage.ts` states the contract of a store; `local/` and `memory/` keep it. Knows nothing of what files hold.
 */
export { interruption, throwIfInterrupted } from './interruption.ts'
export { listFiles } from './list-files.ts'
export { type LocalStorageOptions, openLocalStorage } from './local/local-storage.ts'
export { type PackDirectory, readPackInto, writePackFile } from './local/pack-files.ts'
export { openMemoryStorage } from './memory/memory-storage.ts'
export {
  type ByteRange,
  type CallOptions,
  describeFile,
  type FileKind,
  type FileRef,
  type NamedFileKind,
  type PutOptions,
  type Storage,
  type StorageProperties,
  type StoredFile,
} from './storage.ts'
