import type { StoredSnapshot } from '../engine/repository/snapshot.ts'
import { compareTimes } from '../lib/go-time.ts'

/** Whether a snapshot is a backup of a source, and not for instance the record of a verification. */
export const isBackupOf = ({ tags }: StoredSnapshot, source: string): boolean =>
  tags.includes(`source=${source}`) && tags.includes('kind=backup')

/**
 * What snapshots have in common that are the same backup, in whatever repository and under whatever id: the run that made them, in one
 * reading or in several; without that the snapshot they are copies of.
 */
export function backupKey({ tags, original, id }: StoredSnapshot): string {
  const run = tags.find((tag) => tag.startsWith('run='))
  const source = tags.find((tag) => tag.startsWith('source='))
  return run !== undefined && source !== undefined ? `${source} ${run}` : (original ?? id)
}

/** Which snapshots count as missed: `newer` than the newest there (retention may have removed older ones), or `all` that are not there. */
export type MissedRule = 'newer' | 'all'

/**
 * The backups of a source that `others` have and a repository with the snapshots `there` lacks, oldest first, each once.
 * Where there is none at all, every one is newer.
 */
export function missedSnapshots(
  there: readonly StoredSnapshot[],
  others: readonly StoredSnapshot[],
  source: string,
  rule: MissedRule,
): readonly StoredSnapshot[] {
  const mine = there.filter((snapshot) => isBackupOf(snapshot, source))
  const known = new Set(mine.map(backupKey))
  const newest = mine.reduce<StoredSnapshot | undefined>(
    (last, snapshot) => (last === undefined || compareTimes(snapshot.time, last.time) > 0 ? snapshot : last),
    undefined,
  )
  const missed = new Map<string, StoredSnapshot>()
  for (const snapshot of others) {
    const key = backupKey(snapshot)
    if (!isBackupOf(snapshot, source) || known.has(key) || missed.has(key)) continue
    if (rule === 'newer' && newest !== undefined && compareTimes(snapshot.time, newest.time) <= 0) continue
    missed.set(key, snapshot)
  }
  return [...missed.values()].sort((a, b) => compareTimes(a.time, b.time))
}
