/**
 * `holdfast/engine`: the repository engine by itself, for programs that keep their backups in restic repositories.
 *
 * Operations are functions on an open `Repository`. They take plain options and return plain data; what happens meanwhile they tell an
 * observer or a `Progress`; an AbortSignal stops them; failures are `HoldfastError`s with a code and a hint. What deletes or overwrites is
 * planned first, and the plan is data to look at. None of them locks: take the lock that an operation's description names, and pass its
 * signal on. Names and contents of files are bytes, as strings of one character per byte (`ByteString`).
 *
 * Makes a repository, backs up a folder, lists what there is, and restores it:
 *
 * ```ts
 * import { hostname, userInfo } from 'node:os'
 * import {
 *   acquireLock,
 *   backupFiles,
 *   createSelector,
 *   executeRestore,
 *   formatTime,
 *   initRepository,
 *   loadSnapshots,
 *   localTimestamp,
 *   openRepository,
 *   openStorage,
 *   planRestore,
 *   repositoryLockFiles,
 *   rootOf,
 *   systemClock,
 *   textToByteString,
 * } from 'holdfast/engine'
 *
 * const [place, folder, target] = process.argv.slice(2) as [string, string, string]
 * const credentials = { password: 'a sentence that nobody guesses' }
 * await initRepository(await openStorage(place), credentials)
 *
 * const repository = await openRepository(await openStorage(place), credentials)
 * const observer = { onError: (item: string, error: Error) => console.error(`${item}: ${error.message}`) }
 * await repository.loadIndex()
 * {
 *   await using lock = await acquireLock(repositoryLockFiles(repository), { exclusive: false })
 *   const { username, uid, gid } = userInfo()
 *   const time = localTimestamp(systemClock.now())
 *   await backupFiles(repository, {
 *     labels: { time, host: hostname(), username, uid, gid, tags: ['example'], excludes: [], programVersion: 'example 1' },
 *     parent: undefined,
 *     targets: [textToByteString(folder)],
 *     selector: createSelector({ targets: [Buffer.from(folder)], warn: console.error }),
 *     threads: 2,
 *     observer,
 *     signal: lock.signal,
 *   })
 * }
 *
 * const snapshots = await loadSnapshots(repository)
 * for (const { id, time, paths, tags } of snapshots) console.log(id, formatTime(time), paths, tags)
 *
 * const plan = await planRestore(repository, rootOf(snapshots.at(-1)!), { target })
 * console.log(`${plan.totals.files} files, ${plan.totals.bytes} bytes`)
 * const { failed } = await executeRestore(repository, plan, { observer })
 * await repository.close()
 * process.exitCode = failed.size > 0 ? 1 : 0
 * ```
 */

export type { Clock } from '../lib/clock.ts'
export { systemClock } from '../lib/clock.ts'
export { type ErrorCode, errorCodes, HoldfastError, isHoldfastError, type RetryClass } from '../lib/errors.ts'
export { formatTime, localTimestamp, parseTime, type Timestamp, utcTimestamp } from '../lib/go-time.ts'
export { type Id, isId, shortId } from '../lib/id.ts'
export { noProgress, type Progress, type ProgressStep } from '../lib/progress.ts'
// Backup.
export { backupFiles, backupStream, type FileBackupOptions, type StreamBackupOptions } from './archive/backup.ts'
export type { BackupObserver, ItemChange, ItemEvent } from './archive/backup-observer.ts'
export type { CutRule } from './archive/cut-stream.ts'
export { backupEntries, type EntriesBackupOptions } from './archive/entries-backup.ts'
export type { EntryAttributes, EntrySink } from './archive/entry-tree.ts'
export {
  createRestoreSelector,
  createSelector,
  type PatternSource,
  patternSources,
  type RestoreSelector,
  type Selector,
  type SelectorOptions,
} from './archive/filter/index.ts'
export type { BackupOptions, BackupResult, SnapshotLabels } from './archive/run-backup.ts'
// Opening them, their keys, their locks.
export type { ScryptCost } from './kernels/scrypt.ts'
export { type CachedRepository, listCaches, removeOldCaches } from './repository/cache-directory.ts'
// Damage.
export { type CheckOptions, type CheckResult, checkRepository } from './repository/check/check.ts'
export type { PackSubset } from './repository/check/choose-packs.ts'
export type { Finding, FindingKind } from './repository/check/finding.ts'
export { type CompressionMode, compressionModes } from './repository/compression.ts'
export type { RepositoryConfig, RepositoryVersion } from './repository/config.ts'
// Changes to what is stored.
export { type CopyOptions, type CopyResult, copySnapshots } from './repository/copy/copy-snapshots.ts'
export type { Credentials } from './repository/credentials.ts'
// What is to be kept, and what becomes of the rest.
export { executeForget, type ForgetOptions, type ForgetPlan, planForget, planForgetOf } from './repository/forget.ts'
export { emptyPolicy, type ForgetPolicy, type KeepCount } from './repository/forget-policy.ts'
export type { RepositoryLock } from './repository/held-lock.ts'
export { addKey, changePassword, type KeyInfo, listKeys, removeKey } from './repository/key-management.ts'
export type { NewKeyOptions } from './repository/keys.ts'
export { acquireLock, type LockOptions } from './repository/lock.ts'
export { type LockFiles, repositoryLockFiles } from './repository/lock-files.ts'
export { applicableMigrations, applyMigration, type Migration } from './repository/migrate.ts'
export type { ExtraVerify } from './repository/pack/pack-writer.ts'
export { executePrune } from './repository/prune/execute-prune.ts'
export { planPrune } from './repository/prune/plan-prune.ts'
export type { PruneOptions, PrunePlan, PruneStats } from './repository/prune/prune-plan.ts'
export { type RecoverOptions, type RecoverResult, recover } from './repository/repair/recover.ts'
export { type RepairIndexOptions, type RepairIndexResult, repairIndex } from './repository/repair/repair-index.ts'
export { type RepairedPack, type RepairPacksOptions, repairPacks } from './repository/repair/repair-packs.ts'
export {
  type RepairSnapshotsOptions,
  type RepairSnapshotsResult,
  repairSnapshots,
} from './repository/repair/repair-snapshots.ts'
export {
  type InitOptions,
  initRepository,
  openRepository,
  type Repository,
  type RepositoryOptions,
} from './repository/repository.ts'
export { type RewriteOptions, type RewriteOutcome, rewriteSnapshots } from './repository/rewrite.ts'
// Snapshots and trees.
export {
  rootOf,
  type Snapshot,
  type SnapshotSummary,
  type StoredSnapshot,
  snapshotJson,
  storedSnapshotJson,
} from './repository/snapshot.ts'
export {
  everySnapshot,
  resolveSnapshot,
  type SnapshotFilter,
  type SnapshotSelection,
  selectSnapshots,
} from './repository/snapshot-filter.ts'
export { findParent, type Grouping, groupSnapshots, type SnapshotGroup } from './repository/snapshot-group.ts'
export { loadSnapshot, loadSnapshots, saveSnapshot } from './repository/snapshots.ts'
export { countSnapshots, type Stats, type StatsMode } from './repository/stats.ts'
export { changeTags, type TagChange, type TagResult } from './repository/tag.ts'
export { decodeTree, type Tree } from './repository/tree/decode-tree.ts'
export {
  type ByteString,
  byteStringToText,
  isPlainName,
  type Node,
  type NodeType,
  textToByteString,
} from './repository/tree/node.ts'
export { type TreeWalkOptions, walkTrees } from './repository/tree-walk.ts'
export { removeAllLocks, removeStaleLocks } from './repository/unlock.ts'
export { type DumpOptions, writeTar, writeZip } from './restore/dump/index.ts'
// Restore, and looking around.
export * from './restore/index.ts'
// Where repositories lie.
export * from './storage/index.ts'
