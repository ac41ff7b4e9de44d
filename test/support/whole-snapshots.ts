import { openRepository } from '../../src/engine/repository/repository.ts'
import { rootOf, type StoredSnapshot } from '../../src/engine/repository/snapshot.ts'
import { loadSnapshots } from '../../src/engine/repository/snapshots.ts'
import { findUsedBlobs } from '../../src/engine/repository/used-blobs.ts'
import type { Storage } from '../../src/engine/storage/storage.ts'
import { noProgress } from '../../src/lib/progress.ts'
import { PASSWORD } from './test-repository.ts'

/**
 * Opens a repository anew and loads all there is to its snapshots: every tree and every blob. Fails when something is missing or damaged.
 * Returns the snapshots.
 */
export async function loadEverything(storage: Storage, password: string = PASSWORD): Promise<StoredSnapshot[]> {
  const repository = await openRepository(storage, { password })
  const snapshots = await loadSnapshots(repository)
  await repository.loadIndex()
  const used = await findUsedBlobs(repository, snapshots.map(rootOf), noProgress)
  if (used.missing.length > 0) throw new Error(`${used.missing.length} blobs are in no index`)
  for (const type of ['data', 'tree'] as const)
    for (const [row, mark] of used.marks[type].entries())
      if (mark === 1) await repository.loadBlob(type, used.tables[type].idHex(row))
  return snapshots
}
