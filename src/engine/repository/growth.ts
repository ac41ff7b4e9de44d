import { formatTime, toEpochNanoseconds, utcTimestamp } from '../../lib/go-time.ts'
import type { Snapshot } from './snapshot.ts'

export interface MonthlyGrowth {
  /** `2026-11`, in UTC. */
  readonly month: string
  readonly snapshots: number
  /** What their backups wrote into packs; undefined when no snapshot of the month says it, as those of old versions of restic. */
  readonly addedBytes: number | undefined
}

/** What backups added, month by month, the oldest first. What was removed since is not taken off. */
export function monthlyGrowth(snapshots: Iterable<Pick<Snapshot, 'time' | 'summary'>>): readonly MonthlyGrowth[] {
  const months = new Map<string, { snapshots: number; addedBytes: number | undefined }>()
  for (const { time, summary } of snapshots) {
    const month = formatTime(utcTimestamp(toEpochNanoseconds(time))).slice(0, 7)
    const sum = months.get(month) ?? { snapshots: 0, addedBytes: undefined }
    months.set(month, sum)
    sum.snapshots += 1
    if (summary !== undefined) sum.addedBytes = (sum.addedBytes ?? 0) + summary.dataAddedPackedBytes
  }
  return [...months].sort(([a], [b]) => (a < b ? -1 : 1)).map(([month, sum]) => ({ month, ...sum }))
}
