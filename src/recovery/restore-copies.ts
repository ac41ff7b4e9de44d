import type { Repository } from '../engine/repository/repository.ts'
import type { StoredSnapshot } from '../engine/repository/snapshot.ts'
import { monotonicMilliseconds, systemClock } from '../lib/clock.ts'
import { HoldfastError } from '../lib/errors.ts'
import { sameInstant } from '../lib/go-time.ts'
import { formatSize } from '../lib/sizes.ts'
import { chooseRestorePoint, type RestorePoint } from './restore-point.ts'
import { proofsOf } from './verification.ts'

/** A repository that may hold a copy; its index is loaded. */
export interface CopyRepository {
  readonly name: string
  readonly repository: Repository
  readonly snapshots: readonly StoredSnapshot[]
  readonly signal?: AbortSignal | undefined
}

/** One copy of what is to be restored. */
export interface RestoreCopy extends CopyRepository {
  readonly snapshot: StoredSnapshot
  /** Why it stands where it does among the others. */
  readonly reason: string
}

/** So much is read of each copy to see how fast it comes. */
const SAMPLE_BYTES = 1024 * 1024
const SAMPLE_PATIENCE_MS = 10_000

/**
 * The copies of the snapshot of a source that is meant, of whatever repository, the best first: those not known to be damaged, then those on
 * this machine, then the fastest. What is meant is looked for in all repositories together, so that the newest is the newest there is.
 *
 * @throws HoldfastError HF_SNAPSHOT_NOT_FOUND, HF_SNAPSHOT_AMBIGUOUS, HF_INTERRUPTED
 */
export async function findCopies(
  repositories: readonly CopyRepository[],
  source: string,
  point: RestorePoint,
  signal?: AbortSignal,
): Promise<readonly RestoreCopy[]> {
  const all = repositories.flatMap(({ snapshots }) => snapshots)
  const meant = chooseRestorePoint(all, source, point)
  const copies = repositories.flatMap((place) => {
    const snapshot = place.snapshots.find((one) => one.id === meant.id) ?? place.snapshots.find(isCopyOf(meant))
    return snapshot === undefined ? [] : { ...place, snapshot }
  })
  if (copies.length === 1) return copies.map((copy) => ({ ...copy, reason: 'the only one' }))
  const looked: (RestoreCopy & { readonly rank: Rank })[] = []
  // One after the other: read at the same time, each would slow the others down.
  for (const copy of copies) looked.push({ ...copy, ...(await lookAt(copy, signal)) })
  return looked.sort((a, b) => a.rank.group - b.rank.group || b.rank.rate - a.rank.rate)
}

const isCopyOf =
  (meant: StoredSnapshot) =>
  ({ tree, time, tags }: StoredSnapshot): boolean =>
    tree !== undefined && tree === meant.tree && sameInstant(time, meant.time) && tags.includes('kind=backup')

interface Rank {
  /** 0: on this machine; 1: elsewhere; 2: not as it should be. */
  readonly group: number
  /** Bytes per millisecond. */
  readonly rate: number
}

async function lookAt(
  copy: CopyRepository & { readonly snapshot: StoredSnapshot },
  signal: AbortSignal | undefined,
): Promise<{ readonly rank: Rank; readonly reason: string }> {
  const { repository, snapshot, snapshots } = copy
  const failed = snapshot.tree === undefined ? undefined : proofsOf(snapshots).get(snapshot.tree)?.failed
  if (failed !== undefined) return { rank: { group: 2, rate: 0 }, reason: `its verification failed at ${failed}` }
  try {
    const rate = await measure(repository, signal)
    const isHere = repository.storage.properties.directory !== undefined
    const reason = `${isHere ? 'on this machine, ' : ''}${formatSize(Math.round(rate * 1000))}/s`
    return { rank: { group: isHere ? 0 : 1, rate }, reason }
  } catch (error) {
    signal?.throwIfAborted()
    if (!(error instanceof HoldfastError)) throw error
    return { rank: { group: 2, rate: 0 }, reason: `it cannot be read: ${error.message}` }
  }
}

/** How fast a little of a repository comes, in bytes per millisecond. */
async function measure({ index, storage }: Repository, signal: AbortSignal | undefined): Promise<number> {
  const [pack] = [...index.packs()].sort((a, b) => b.sizeBytes - a.sizeBytes)
  if (pack === undefined) return 0
  const patience = new AbortController()
  const giveUp = systemClock.sleep(SAMPLE_PATIENCE_MS, patience.signal).then(
    () => patience.abort(new HoldfastError('HF_STORAGE_IO', 'it does not answer', { retry: 'later' })),
    () => undefined,
  )
  const signals = [patience.signal, signal].filter((one) => one !== undefined)
  const started = monotonicMilliseconds()
  try {
    const range = { offset: 0, length: Math.min(pack.sizeBytes, SAMPLE_BYTES) }
    const read = storage.get({ kind: 'data', name: pack.id }, range, { signal: AbortSignal.any(signals) })
    const { length } = await read
    return length / Math.max(1, monotonicMilliseconds() - started)
  } finally {
    patience.abort()
    await giveUp
  }
}
