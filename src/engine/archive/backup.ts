import type { Timestamp } from '../../lib/go-time.ts'
import { readDirectory } from '../posix/directory-reader.ts'
import type { Repository } from '../repository/repository.ts'
import type { StoredSnapshot } from '../repository/snapshot.ts'
import { type ByteString, byteStringToText, type Node, textToByteString } from '../repository/tree/node.ts'
import type { ChangeRules } from './change-detection.ts'
import { backupEntries, newEntryTree } from './entries-backup.ts'
import type { EntrySink } from './entry-tree.ts'
import { absolutePath } from './filter/clean-path.ts'
import type { Selector } from './filter/selector.ts'
import { pathBytes } from './node-reader.ts'
import type { ReadAhead } from './read-ahead.ts'
import { type BackupOptions, type BackupResult, runBackup } from './run-backup.ts'
import { arrangeTargets } from './target-tree.ts'

export interface FileBackupOptions extends BackupOptions {
  /** Paths to back up, as bytes in a string. */
  readonly targets: readonly ByteString[]
  readonly selector: Selector
  readonly ignoreCtime?: boolean
  readonly ignoreInode?: boolean
  readonly withAccessTime?: boolean
  /** Entries that are no files here and lie beside the targets in the snapshot, such as what is to be known about it. */
  readonly beside?: (entries: EntrySink) => Promise<void>
  /** Directories listed while the repository was being opened. */
  readonly readAhead?: ReadAhead | undefined
}

/**
 * Backs up files and folders into one snapshot. The repository's index must be loaded, and an append lock be held. Packs come first, then
 * the index, then the snapshot: whenever this ends, what is in the repository is whole; a run that was cut off is continued by the next
 * one, which finds the blobs stored already.
 *
 * @throws HoldfastError HF_SOURCE_UNREADABLE when nothing could be read, HF_INTERRUPTED, storage errors
 */
export async function backupFiles(repository: Repository, options: FileBackupOptions): Promise<BackupResult> {
  const { targets, selector, parent, readAhead, beside } = options
  readAhead?.stop()
  const rules: ChangeRules = {
    // An inode number that does not last goes with a ctime that says nothing.
    ignoreCtime: (options.ignoreCtime ?? false) || (options.ignoreInode ?? false),
    ignoreInode: options.ignoreInode ?? false,
    parentRun: parent && runOf(parent),
  }
  const paths = targets.map((target) => byteStringToText(absolutePath(target)))
  return await runBackup(
    repository,
    options,
    paths,
    async (archiver) => {
      let nodes: readonly Node[] = []
      if (beside) {
        const entries = newEntryTree(repository, archiver, options)
        await beside(entries)
        nodes = await entries.saveNodes(repository, parent?.tree)
      }
      return { tree: await archiver.archive(arrangeTargets(targets, namesIn), parent?.tree, nodes) }
    },
    { selector, changeRules: rules, withAccessTime: options.withAccessTime ?? false, readAhead },
  )
}

export interface StreamBackupOptions extends BackupOptions {
  /** Path of the file in the snapshot. */
  readonly filename: string
  readonly input: AsyncIterable<Uint8Array>
}

/** Backs up a stream as one file of mode 0644. A failing `input` fails the backup: no snapshot is written. */
export async function backupStream(repository: Repository, options: StreamBackupOptions): Promise<BackupResult> {
  const path = absolutePath(textToByteString(options.filename), '/')
  const { time, uid, gid } = options.labels
  const attributes = { mode: 0o644, mtime: time, uid, gid }
  return await backupEntries(repository, {
    ...options,
    paths: [byteStringToText(path)],
    countAsNew: true,
    write: (entries) => entries.file(path, attributes, options.input, { kind: 'content' }),
  })
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
