import { isHoldfastError } from '../../lib/errors.ts'
import { compareTimes } from '../../lib/go-time.ts'
import type { Id } from '../../lib/id.ts'
import { forEachParallel } from '../../lib/parallel.ts'
import type { Repository } from './repository.ts'
import { decodeSnapshot, encodeSnapshot, type Snapshot, type StoredSnapshot } from './snapshot.ts'

/** A snapshot file that is there but cannot be read. */
export interface UnreadableSnapshot {
  readonly id: Id
  readonly error: Error
}

/**
 * All snapshots, oldest first. What vanishes while it is read was forgotten by somebody: it is left out. `onUnreadable` gets what is
 * damaged; without it the first damaged one is thrown.
 */
export async function loadSnapshots(
  repository: Repository,
  options: {
    readonly except?: ReadonlySet<Id>
    readonly onUnreadable?: (unreadable: UnreadableSnapshot) => void
    readonly signal?: AbortSignal | undefined
  } = {},
): Promise<StoredSnapshot[]> {
  const { except, onUnreadable, signal } = options
  const snapshots: StoredSnapshot[] = []
  const ids = (await repository.list('snapshot', signal)).filter((id) => !except?.has(id))
  await forEachParallel(ids, repository.storage.properties.connections, async (id) => {
    try {
      snapshots.push(await loadSnapshot(repository, id, signal))
    } catch (error) {
      if (isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) return
      if (!onUnreadable || !isHoldfastError(error, 'HF_DATA_DAMAGED', 'HF_CRYPTO_AUTH')) throw error
      onUnreadable({ id, error })
    }
  })
  return snapshots.sort((a, b) => compareTimes(a.time, b.time) || (a.id < b.id ? -1 : 1))
}

/** @throws HoldfastError HF_STORAGE_NOT_FOUND, HF_DATA_DAMAGED, HF_CRYPTO_AUTH */
export async function loadSnapshot(repository: Repository, id: Id, signal?: AbortSignal): Promise<StoredSnapshot> {
  return decodeSnapshot(await repository.loadUnpacked('snapshot', id, signal), id)
}

/** Stores a snapshot; everything it refers to must be stored and in an index. Returns it with its id. */
export async function saveSnapshot(
  repository: Repository,
  snapshot: Snapshot,
  signal?: AbortSignal,
): Promise<StoredSnapshot> {
  return { ...snapshot, id: await repository.saveUnpacked('snapshot', encodeSnapshot(snapshot), signal) }
}
