import type { Repository } from '../repository/repository.ts'
import type { Archiver } from './archiver.ts'
import { type EntrySink, EntryTree } from './entry-tree.ts'
import { type BackupOptions, type BackupResult, runBackup } from './run-backup.ts'
import { StreamSaver } from './stream-saver.ts'

export interface EntriesBackupOptions extends BackupOptions {
  /** What the snapshot says it is of. */
  readonly paths: readonly string[]
  /** Brings the entries. When it fails there is no snapshot. */
  readonly write: (entries: EntrySink) => Promise<void>
  /** Whether there will be much to save: then the threads start while the first entries are still waited for. */
  readonly isLarge?: boolean
  /** Count everything as new whatever the parent snapshot has; restic does so with a stream. */
  readonly countAsNew?: boolean
  /** Tags besides those of `labels`, asked for when all is written. */
  readonly lateTags?: () => readonly string[]
}

const UNNAMED_DIRECTORY_MODE = 0o755

/**
 * Backs up what is no files of this machine: dumps, archives a server sends, what is put together from earlier snapshots. The same
 * conditions as for `backupFiles`.
 *
 * @throws HoldfastError HF_SOURCE_INVALID for impossible paths, HF_INTERRUPTED, storage errors, whatever `write` throws
 */
export async function backupEntries(repository: Repository, options: EntriesBackupOptions): Promise<BackupResult> {
  const { parent, paths, write, countAsNew = false, isLarge = false, lateTags } = options
  return await runBackup(repository, options, paths, async (archiver) => {
    const tree = newEntryTree(repository, archiver, options)
    if (isLarge) archiver.pool.begin()
    await write(tree)
    return { tree: await tree.save(repository, countAsNew ? undefined : parent?.tree), tags: lateTags?.() ?? [] }
  })
}

/** An empty tree of entries for a run; directories nobody names belong to who runs it. */
export function newEntryTree(repository: Repository, archiver: Archiver, { labels, signal }: BackupOptions): EntryTree {
  const streams = new StreamSaver(archiver.pool, repository.config.chunkerPolynomial, signal)
  const { time: mtime, uid, gid } = labels
  return new EntryTree(archiver, streams, { mode: UNNAMED_DIRECTORY_MODE, mtime, uid, gid })
}
