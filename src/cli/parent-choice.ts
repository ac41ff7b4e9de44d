import type { Repository } from '../engine/repository/repository.ts'
import type { StoredSnapshot } from '../engine/repository/snapshot.ts'
import { parseSnapshotReference, resolveSnapshot } from '../engine/repository/snapshot-filter.ts'
import { findParent } from '../engine/repository/snapshot-group.ts'
import { loadSnapshots } from '../engine/repository/snapshots.ts'
import type { Timestamp } from '../lib/go-time.ts'
import { shortId } from '../lib/id.ts'
import type { BackupOptions } from './descriptions/backup.ts'
import { usageError } from './descriptions/usage.ts'
import type { BackupReport } from './output/backup-report.ts'

export interface ParentContext {
  readonly host: string
  /** Absolute. */
  readonly paths: readonly string[]
  readonly time: Timestamp
  readonly report: BackupReport
  readonly signal: AbortSignal
}

/**
 * The snapshot a backup compares with: the one of `--parent`, else the newest of the same group, none with `--force`. Damaged snapshots are
 * warned about and not considered.
 * @throws HoldfastError HF_SNAPSHOT_NOT_FOUND, HF_SNAPSHOT_AMBIGUOUS for `--parent`
 */
export async function chooseParent(
  repository: Repository,
  options: BackupOptions,
  { host, paths, time, report, signal }: ParentContext,
): Promise<StoredSnapshot | undefined> {
  const { parent, force, groupBy } = options
  if (force) return undefined
  if (parent !== undefined && parseSnapshotReference(parent).subfolder !== '')
    throw usageError(`--parent takes a whole snapshot, not a folder of one: ${JSON.stringify(parent)}`)
  const snapshots = await loadSnapshots(repository, {
    signal,
    onUnreadable: ({ id, error }) => report.warn(`snapshot ${shortId(id)} cannot be read: ${error.message}`),
  })
  if (parent !== undefined && parent !== '' && parent !== 'latest') return resolveSnapshot(snapshots, parent).snapshot
  return findParent(snapshots, { groupBy, host, paths, tags: options.tags.flat(), time })
}
