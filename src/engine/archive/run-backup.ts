import { HoldfastError } from '../../lib/errors.ts'
import { localTimestamp, type Timestamp } from '../../lib/go-time.ts'
import type { Id } from '../../lib/id.ts'
import type { Repository } from '../repository/repository.ts'
import { extendRetention } from '../repository/retention/extend-retention.ts'
import type { SnapshotSummary, StoredSnapshot } from '../repository/snapshot.ts'
import { saveSnapshot } from '../repository/snapshots.ts'
import { BlobWriter } from '../repository/write/blob-writer.ts'
import type { PackSink } from '../repository/write/pack-sink.ts'
import { Archiver, type ArchiverOptions } from './archiver.ts'
import type { BackupObserver, BackupSummary } from './backup-observer.ts'

/** Who and what the new snapshot says it is of. */
export interface SnapshotLabels {
  readonly time: Timestamp
  readonly host: string
  readonly username: string
  readonly uid: number
  readonly gid: number
  readonly tags: readonly string[]
  /** The `--exclude` patterns, for people who look at the snapshot. */
  readonly excludes: readonly string[]
  readonly programVersion: string
}

export interface BackupOptions {
  readonly labels: SnapshotLabels
  readonly parent: StoredSnapshot | undefined
  /** Write no snapshot when its tree is the parent's. */
  readonly skipIfUnchanged?: boolean
  /** Threads that read and save content. */
  readonly threads: number
  /** Read everything and count what would be stored, and store nothing. The repository's storage must drop writes. */
  readonly dryRun?: boolean
  readonly observer: BackupObserver
  /** Gets the packs, as they are stored. */
  readonly packs?: PackSink | undefined
  readonly signal?: AbortSignal | undefined
}

export interface BackupResult {
  /** Absent when nothing had changed with `skipIfUnchanged`. After a dry run it is in no repository. */
  readonly snapshot: StoredSnapshot | undefined
  readonly tree: Id
  readonly summary: SnapshotSummary
  /** Items that could not be read whole. */
  readonly errors: number
}

/** What the work of a backup comes to. */
export interface SavedTree {
  readonly tree: Id
  /** Tags of the snapshot that were not known before. */
  readonly tags?: readonly string[]
}

/** How files are found and compared; what is made of other things needs none of it. */
export type WalkOptions = Pick<ArchiverOptions, 'selector' | 'changeRules' | 'withAccessTime' | 'readAhead'>

const noWalk: WalkOptions = {
  selector: { selectByName: () => true, select: () => true },
  changeRules: { ignoreCtime: false, ignoreInode: false, parentRun: undefined },
  withAccessTime: false,
}

/**
 * What all backups have in common: `work` saves content and trees and returns the root; then packs, index and snapshot are written in this
 * order. After an interruption, or when the source fails, what was read is still stored: the next run need not do it again.
 */
export async function runBackup(
  repository: Repository,
  options: BackupOptions,
  paths: readonly string[],
  work: (archiver: Archiver) => Promise<SavedTree>,
  walk: WalkOptions = noWalk,
): Promise<BackupResult> {
  const { observer, signal, labels, parent, dryRun = false } = options
  // Not cancelled with the run: what was read by then is still stored.
  const writer = new BlobWriter(repository, undefined, options.packs)
  const archiver = new Archiver(repository, writer, { ...walk, threads: options.threads, dryRun, observer }, signal)
  const startNanoseconds = repository.clock.now()
  const backupStart = localTimestamp(startNanoseconds)
  const firstNewPack = repository.index.packCount
  try {
    const { tree, tags: lateTags = [] } = await work(archiver)
    await archiver.finish()
    if (!dryRun) await writer.flush()
    const backupEnd = localTimestamp(repository.clock.now())
    const summary = snapshotSummary(archiver.summary, backupStart, backupEnd)
    const { errors } = archiver.summary
    if (options.skipIfUnchanged && parent?.tree === tree) return { snapshot: undefined, tree, summary, errors }
    const { host: hostname, time, username, uid, gid, tags, excludes, programVersion } = labels
    const content = {
      time,
      parent: parent?.id,
      tree,
      paths,
      hostname,
      username,
      uid,
      gid,
      excludes,
      tags: [...tags, ...lateTags],
      programVersion,
    }
    const snapshot = await saveSnapshot(repository, { ...content, original: undefined, summary }, signal)
    const sinceMs = Number(startNanoseconds / 1_000_000n)
    if (!dryRun) await extendRetention(repository, { tree, sinceMs, firstNewPack, signal })
    return { snapshot, tree, summary, errors }
  } catch (error) {
    if (isNoFaultOfStorage(error)) await archiver.salvage(error)
    throw error
  } finally {
    await archiver.close()
  }
}

const isNoFaultOfStorage = (error: unknown): boolean =>
  error instanceof HoldfastError && (error.code === 'HF_INTERRUPTED' || error.code.startsWith('HF_SOURCE_'))

function snapshotSummary(counts: BackupSummary, backupStart: Timestamp, backupEnd: Timestamp): SnapshotSummary {
  return {
    backupStart,
    backupEnd,
    filesNew: counts.files.new,
    filesChanged: counts.files.changed,
    filesUnmodified: counts.files.unmodified,
    dirsNew: counts.dirs.new,
    dirsChanged: counts.dirs.changed,
    dirsUnmodified: counts.dirs.unmodified,
    dataBlobs: counts.data.newBlobs,
    treeBlobs: counts.trees.newBlobs,
    dataAddedBytes: counts.data.newBytes + counts.trees.newBytes,
    dataAddedPackedBytes: counts.data.storedBytes + counts.trees.storedBytes,
    totalFilesProcessed: counts.totalFiles,
    totalBytesProcessed: counts.totalBytes,
  }
}
