import type { StoredSnapshot } from '../engine/repository/snapshot.ts'
import { resolveSnapshotId } from '../engine/repository/snapshot-filter.ts'
import { HoldfastError } from '../lib/errors.ts'
import { compareTimes, formatTime, type Timestamp } from '../lib/go-time.ts'

/** Which snapshot of a source somebody wants. */
export type RestorePoint =
  | { readonly kind: 'latest' }
  /** The beginning of its id. */
  | { readonly kind: 'id'; readonly prefix: string }
  /** The newest that is not younger. */
  | { readonly kind: 'time'; readonly time: Timestamp }

/** The backups of a source, oldest first. */
export const backupsOf = (snapshots: readonly StoredSnapshot[], source: string): readonly StoredSnapshot[] =>
  snapshots
    .filter(({ tags }) => tags.includes(`source=${source}`) && tags.includes('kind=backup'))
    .sort((a, b) => compareTimes(a.time, b.time))

/**
 * The snapshot of a source that is meant.
 * @throws HoldfastError HF_SNAPSHOT_NOT_FOUND, HF_SNAPSHOT_AMBIGUOUS
 */
export function chooseRestorePoint(
  snapshots: readonly StoredSnapshot[],
  source: string,
  point: RestorePoint,
): StoredSnapshot {
  const all = backupsOf(snapshots, source)
  const newest = all.at(-1)
  if (newest === undefined)
    throw new HoldfastError('HF_SNAPSHOT_NOT_FOUND', `there is no snapshot of ${source} in this repository`, {
      hint: `make one: holdfast backup:run ${source}`,
    })
  switch (point.kind) {
    case 'latest':
      return newest
    case 'id': {
      const id = resolveSnapshotId(
        all.map((snapshot) => snapshot.id),
        point.prefix,
      )
      return all.find((snapshot) => snapshot.id === id)!
    }
    case 'time': {
      const found = all.findLast(({ time }) => compareTimes(time, point.time) <= 0)
      if (found !== undefined) return found
      throw new HoldfastError(
        'HF_SNAPSHOT_NOT_FOUND',
        `there is no snapshot of ${source} from ${formatTime(point.time)} or before`,
        { hint: `the oldest is from ${formatTime(all[0]!.time)}` },
      )
    }
  }
}
