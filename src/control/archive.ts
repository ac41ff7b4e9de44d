import { copyThreads } from '../engine/repository/copy/fan-out.ts'
import { SnapshotCopier } from '../engine/repository/copy/snapshot-copier.ts'
import type { StoredSnapshot } from '../engine/repository/snapshot.ts'
import { compareTimes, type Timestamp } from '../lib/go-time.ts'
import { noProgress, type Progress } from '../lib/progress.ts'
import { backupKey, isBackupOf } from './missed-snapshots.ts'
import type { RunRepository } from './run-repository.ts'

/** A snapshot that is to be moved to the archive. */
export interface ArchiveItem {
  readonly source: string
  readonly from: RunRepository
  readonly snapshot: StoredSnapshot
}

/**
 * What is older than `before`, oldest first in each repository. The newest snapshot of a source stays where it is, however old: the next
 * backup compares with it, and a restore looks for it there.
 */
export function planArchive(
  source: string,
  repositories: readonly RunRepository[],
  before: Timestamp,
): readonly ArchiveItem[] {
  return repositories.flatMap((from) =>
    from.snapshots
      .filter((snapshot) => isBackupOf(snapshot, source))
      .sort((a, b) => compareTimes(a.time, b.time))
      .slice(0, -1)
      .filter(({ time }) => compareTimes(time, before) < 0)
      .map((snapshot) => ({ source, from, snapshot })),
  )
}

/** The snapshot of the archive with the same content as one that is to be moved. */
export const archivedCopy = (
  archive: readonly StoredSnapshot[],
  snapshot: StoredSnapshot,
): StoredSnapshot | undefined =>
  archive.find((one) => one.tree === snapshot.tree && backupKey(one) === backupKey(snapshot))

/**
 * Copies what the archive lacks of `items`, and returns the snapshots it has afterwards. The indexes of all must be loaded.
 * @throws as `SnapshotCopier.copy`
 */
export async function copyToArchive(
  items: readonly ArchiveItem[],
  archive: RunRepository,
  { progress = noProgress, signal }: { readonly progress?: Progress; readonly signal?: AbortSignal | undefined },
): Promise<readonly StoredSnapshot[]> {
  const there = [...archive.snapshots]
  for (const [from, wanted] of Map.groupBy(items, (item) => item.from)) {
    const missing = wanted.flatMap(({ snapshot }) => (archivedCopy(there, snapshot) === undefined ? [snapshot] : []))
    if (missing.length === 0) continue
    const signals = [signal, from.signal, archive.signal].filter((one) => one !== undefined)
    const threads = copyThreads(archive.repository)
    const options = { threads, signal: AbortSignal.any(signals) }
    const copier = new SnapshotCopier(from.repository, archive.repository, options)
    try {
      const copied = await copier.copy(missing, { progress })
      there.push(...copied.map(({ copy }) => copy))
    } finally {
      await copier.close()
    }
  }
  return there
}
