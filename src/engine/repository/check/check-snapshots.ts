import { isHoldfastError } from '../../../lib/errors.ts'
import { compareTimes } from '../../../lib/go-time.ts'
import { forEachParallel } from '../../../lib/parallel.ts'
import type { Repository } from '../repository.ts'
import type { StoredSnapshot } from '../snapshot.ts'
import { loadSnapshot } from '../snapshots.ts'
import { type Report, reasonOf } from './finding.ts'

/** Reads all snapshot files; returns the intact ones, oldest first. */
export async function checkSnapshots(
  repository: Repository,
  report: Report,
  signal?: AbortSignal,
): Promise<readonly StoredSnapshot[]> {
  const snapshots: StoredSnapshot[] = []
  const names = await repository.list('snapshot', signal)
  await forEachParallel(names, repository.storage.properties.connections, async (id) => {
    const fail = (problem: string): void =>
      report({
        kind: 'snapshot-damaged',
        severity: 'error',
        object: { type: 'snapshot', id },
        message: `snapshot ${id}: ${problem}`,
        details: [],
        hint: `bring the file back from a copy of the repository, or run "holdfast repair snapshots --forget ${id}"`,
      })
    try {
      const snapshot = await loadSnapshot(repository, id, signal)
      if (snapshot.tree === undefined) fail('it refers to no tree')
      else snapshots.push(snapshot)
    } catch (error) {
      if (isHoldfastError(error, 'HF_INTERRUPTED')) throw error
      // Forgotten by somebody since it was listed.
      if (!isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) fail(reasonOf(error))
    }
  })
  return snapshots.sort((a, b) => compareTimes(a.time, b.time) || (a.id < b.id ? -1 : 1))
}
