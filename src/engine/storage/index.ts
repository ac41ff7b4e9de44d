/**
 * Where repositories live. `storage.ts` states the contract of a store, `contract.ts` checks it, `local/` and `memory/` keep it, `layers/` put
 * something around any store, and `locations.ts` finds the one that a location names. Nothing here knows what files hold.
 */
export { type CheckResult, type CheckSizes, type StorageCheck, storageChecks, verifyStorage } from './contract.ts'
export type {
  ClassifiedFile,
  DeletedFile,
  HiddenFiles,
  Retention,
  RetentionFeature,
  StorageClassFeature,
  StoreFeatures,
  StoreFinding,
  VersionsFeature,
} from './features.ts'
export { interruption, sleepUnlessInterrupted, throwIfInterrupted } from './interruption.ts'
export { type CacheFolder, listCacheFolders, prepareCacheFolder, removeCacheFolder } from './layers/cache-directory.ts'
export { type RateSchedule, type RateWindow, rateAt } from './layers/rate-schedule.ts'
export { type BandwidthLimitOptions, withBandwidthLimit, withBandwidthSchedule } from './layers/with-bandwidth-limit.ts'
export { type CachedStorage, type CacheOptions, withCache } from './layers/with-cache.ts'
export { type CircuitBreakerOptions, withCircuitBreaker } from './layers/with-circuit-breaker.ts'
export { withConnectionLimit } from './layers/with-connection-limit.ts'
export { type DryRunOptions, withDryRun } from './layers/with-dry-run.ts'
export { type Effect, type Fault, type FaultyStorage, type Operation, withFaults } from './layers/with-faults.ts'
export { withListingsAhead } from './layers/with-listings-ahead.ts'
export { type RetryEvent, type RetryOptions, withRetry } from './layers/with-retry.ts'
export { withWriteGate } from './layers/with-write-gate.ts'
export { listFiles } from './list-files.ts'
export { type LocalStorageOptions, openLocalStorage } from './local/local-storage.ts'
export { type PackDirectory, readPackInto, writePackFile } from './local/pack-files.ts'
export { displayLocation, openStorage, type StorageOptions } from './locations.ts'
export { openMemoryStorage } from './memory/memory-storage.ts'
export type { NetworkSettings } from './network.ts'
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
export type { LockSettings, StoreSettings } from './store-settings.ts'
export { WriteGate } from './write-gate.ts'
