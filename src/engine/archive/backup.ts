import { isHoldfastError } from '../../lib/errors.ts'
import { localTimestamp, type Timestamp } from '../../lib/go-time.ts'
import type { Id } from '../../lib/id.ts'
import { readDirectory } from '../posix/directory-reader.ts'
import type { Repository } from '../repository/repository.ts'
import type { SnapshotSummary, StoredSnapshot } from '../repository/snapshot.ts'
import { saveSnapshot } from '../repository/snapshots.ts'
import { encodeTree } from '../repository/tree/encode-tree.ts'
import { type ByteString, byteStringToText, createNode, type Node } from '../repository/tree/node.ts'
import { BlobWriter } from '../repository/write/blob-writer.ts'
import { Archiver } from './archiver.ts'
import type { BackupObserver, BackupSummary } from './backup-observer.ts'
import type { ChangeRules } from './change-detection.ts'
import { absolutePath } from './filter/clean-path.ts'
import type { Selector } from './filter/selector.ts'
import { hexIds } from './hex-ids.ts'
import { pathBytes } from './node-reader.ts'
import type { ReadAhead } from './read-ahead.ts'
import { saveStream } from './stream-source.ts'
import { arrangeTargets } from './target-tree.ts'

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
  readonly signal?: AbortSignal | undefined
}

export interface FileBackupOptions extends BackupOptions {
  /** Paths to back up, as bytes in a string. */
  readonly targets: readonly ByteString[]
  readonly selector: Selector
  readonly ignoreCtime?: boolean
  readonly ignoreInode?: boolean
  readonly withAccessTime?: boolean
  /** Directories listed while the repository was being opened. */
  readonly readAhead?: ReadAhead | undefined
}

export interface BackupResult {
  /** Absent when nothing had changed with `skipIfUnchanged`. After a dry run it is in no repository. */
  readonly snapshot: StoredSnapshot | undefined
  readonly tree: Id
  readonly summary: SnapshotSummary
  /** Items that could not be read whole. */
  readonly errors: number
}

/**
 * Backs up files and folders into one snapshot. The repository's index must be loaded, and an append lock be held. Packs come first, then
 * the index, then the snapshot: whenever this ends, what is in the repository is whole; a run that was cut off is continued by the next
 * one, which finds the blobs stored already.
 *
 * @throws HoldfastError HF_SOURCE_UNREADABLE when nothing could be read, HF_INTERRUPTED, storage errors
 */
export async function backupFiles(repository: Repository, options: FileBackupOptions): Promise<BackupResult> {
  const { targets, selector, parent, readAhead } = options
  readAhead?.stop()
  const rules: ChangeRules = {
    // An inode number that does not last goes with a ctime that says nothing.
    ignoreCtime: (options.ignoreCtime ?? false) || (options.ignoreInode ?? false),
    ignoreInode: options.ignoreInode ?? false,
    parentRun: parent && runOf(parent),
  }
  const paths = targets.map((target) => byteStringToText(absolutePath(target)))
  return await run(repository, options, paths, selector, rules, (archiver) =>
    archiver.archive(arrangeTargets(targets, namesIn), parent?.tree),
  )
}

export interface StreamBackupOptions extends BackupOptions {
  /** Path of the file in the snapshot. */
  readonly filename: string
  readonly input: AsyncIterable<Uint8Array>
}

/** Backs up a stream as one file of mode 0644. A failing `input` fails the backup: no snapshot is written. */
export async function backupStream(repository: Repository, options: StreamBackupOptions): Promise<BackupResult> {
  const path = absolutePath(Buffer.from(options.filename).toString('latin1'), '/')
  const everything: Selector = { selectByName: () => true, select: () => true }
  const rules: ChangeRules = { ignoreCtime: false, ignoreInode: false, parentRun: undefined }
  return await run(repository, options, [byteStringToText(path)], everything, rules, async (archiver) => {
    const { ids, size, added } = await saveStream(
      options.input,
      archiver.pool,
      repository.config.chunkerPolynomial,
      options.signal,
    )
    const names = path.slice(1).split('/')
    const { time } = options.labels
    const common = { mtime: time, atime: time, ctime: time, uid: options.labels.uid, gid: options.labels.gid }
    let node: Node = createNode({
      ...common,
      name: names.pop()!,
      type: 'file',
      mode: 0o644,
      size,
      content: hexIds(ids),
    })
    archiver.countFile('/', node, 'new', added)
    for (;;) {
      const subtree = await archiver.saveTree(encodeTree([node]))
      const name = names.pop()
      if (name === undefined) return subtree
      node = createNode({ ...common, name, type: 'dir', mode: 0x8000_0000 + 0o755, subtree })
    }
  })
}

async function run(
  repository: Repository,
  options: BackupOptions,
  paths: readonly string[],
  selector: Selector,
  changeRules: ChangeRules,
  work: (archiver: Archiver) => Promise<Id>,
): Promise<BackupResult> {
  const { observer, signal, labels, parent, dryRun = false } = options
  // Not cancelled with the run: what was read by then is still stored.
  const writer = new BlobWriter(repository)
  const { withAccessTime = false, readAhead } = options as Partial<FileBackupOptions>
  const archiver = new Archiver(
    repository,
    writer,
    { selector, changeRules, withAccessTime, threads: options.threads, dryRun, observer, readAhead },
    signal,
  )
  const backupStart = localTimestamp(repository.clock.now())
  try {
    const tree = await work(archiver)
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
      tags,
      programVersion,
    }
    const snapshot = await saveSnapshot(repository, { ...content, original: undefined, summary }, signal)
    return { snapshot, tree, summary, errors }
  } catch (error) {
    if (isHoldfastError(error, 'HF_INTERRUPTED')) await archiver.salvage()
    throw error
  } finally {
    await archiver.close()
  }
}

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

/** When a snapshot was made, in seconds since the epoch. */
function runOf({ summary, time }: StoredSnapshot): NonNullable<ChangeRules['parentRun']> {
  const seconds = (stamp: Timestamp): number => stamp.seconds + stamp.nanoseconds / 1e9
  return summary
    ? { began: seconds(summary.backupStart), ended: seconds(summary.backupEnd) }
    : { began: seconds(time), ended: seconds(time) }
}

function namesIn(path: ByteString): ByteString[] {
  const listing = readDirectory(pathBytes(path))
  return Array.from({ length: listing.count }, (_, i) => listing.nameString(i))
}
