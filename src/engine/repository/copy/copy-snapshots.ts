import { monotonicMilliseconds } from '../../../lib/clock.ts'
import { sameInstant } from '../../../lib/go-time.ts'
import type { Id } from '../../../lib/id.ts'
import type { Progress } from '../../../lib/progress.ts'
import type { Repository } from '../repository.ts'
import { rootOf, type StoredSnapshot } from '../snapshot.ts'
import { loadSnapshots, saveSnapshot } from '../snapshots.ts'
import { CopyPool } from './copy-pool.ts'
import { MissingBlobs } from './missing-blobs.ts'

/** Copied snapshots are stored once so much data has been copied, in packs, and so much time has passed. */
const PACKS_PER_BATCH = 100
const BATCH_MS = 60_000

/** A snapshot and its copy in the other repository. */
export interface CopiedSnapshot {
  readonly source: StoredSnapshot
  readonly copy: StoredSnapshot
}

/** Told of each snapshot in turn; all lines of `copy` can be made from this. */
export interface CopyObserver {
  /** It is in the destination already. */
  onSkipped?(snapshot: CopiedSnapshot): void
  onStart?(source: StoredSnapshot): void
  /** What has to be copied for it: stored bytes in the source, without what was copied for snapshots before. */
  onPlanned?(
    source: StoredSnapshot,
    plan: { readonly blobs: number; readonly bytes: number; readonly packs: number },
  ): void
  onSaved?(snapshot: CopiedSnapshot): void
}

export interface CopyOptions {
  /** Threads that copy blobs. */
  readonly threads: number
  readonly progress: Progress
  readonly observer?: CopyObserver
  readonly signal?: AbortSignal | undefined
}

export interface CopyResult {
  readonly copied: readonly CopiedSnapshot[]
  readonly skipped: readonly CopiedSnapshot[]
  readonly blobs: number
  /** As stored in the source. */
  readonly bytes: number
}

/**
 * Copies snapshots of one repository, with all they need, into another, which has its own key and may have another version. Blobs keep
 * their ids, and their compression where the destination's version has it; every one is verified. Snapshots that are there already are
 * skipped. Wherever this is cut off, the destination is whole; running it again goes on from there.
 *
 * Both indexes must be loaded, after the snapshots were. Wants a read lock on the source and an append lock on the destination.
 *
 * @throws HoldfastError HF_BLOB_NOT_FOUND, HF_PACK_DAMAGED, HF_TREE_INVALID, HF_DATA_DAMAGED when the source is damaged; storage errors
 */
export async function copySnapshots(
  source: Repository,
  destination: Repository,
  snapshots: readonly StoredSnapshot[],
  { threads, progress, observer = {}, signal }: CopyOptions,
): Promise<CopyResult> {
  const present = byOrigin(await loadSnapshots(destination, { signal }))
  const missing = new MissingBlobs(source, destination)
  const pool = new CopyPool(source, destination, threads, signal)
  const copied: CopiedSnapshot[] = []
  const skipped: CopiedSnapshot[] = []
  const batch: StoredSnapshot[] = []
  const total = { blobs: 0, bytes: 0 }
  let batchBytes = 0
  let batchStart = monotonicMilliseconds()
  const finishBatch = async (): Promise<void> => {
    await pool.flush()
    for (const snapshot of batch.splice(0)) {
      const { id, ...fields } = snapshot
      const copy = await saveSnapshot(
        destination,
        { ...fields, parent: undefined, original: snapshot.original ?? id },
        signal,
      )
      copied.push({ source: snapshot, copy })
      observer.onSaved?.({ source: snapshot, copy })
    }
    batchBytes = 0
    batchStart = monotonicMilliseconds()
  }
  try {
    for (const snapshot of snapshots) {
      const copy = present.get(snapshot.original ?? snapshot.id)?.find((candidate) => isCopyOf(candidate, snapshot))
      if (copy) {
        skipped.push({ source: snapshot, copy })
        observer.onSkipped?.({ source: snapshot, copy })
        continue
      }
      observer.onStart?.(snapshot)
      const packs = await missing.find(rootOf(snapshot), signal)
      let blobs = 0
      let bytes = 0
      for (const entries of packs.values()) {
        blobs += entries.length
        for (const { length } of entries) bytes += length
      }
      observer.onPlanned?.(snapshot, { blobs, bytes, packs: packs.size })
      const step = progress.step('packs copied', packs.size)
      await pool.copy(packs, () => step.add())
      step.done()
      batch.push(snapshot)
      batchBytes += bytes
      total.blobs += blobs
      total.bytes += bytes
      if (batchBytes >= PACKS_PER_BATCH * destination.packBytes && monotonicMilliseconds() - batchStart >= BATCH_MS)
        await finishBatch()
    }
    if (batch.length > 0) await finishBatch()
  } finally {
    await pool.close()
  }
  return { copied, skipped, ...total }
}

/** Snapshots by their own id, and by the id of the one they are a changed copy of. */
function byOrigin(snapshots: readonly StoredSnapshot[]): ReadonlyMap<Id, readonly StoredSnapshot[]> {
  const found = new Map<Id, StoredSnapshot[]>()
  for (const snapshot of snapshots)
    for (const id of new Set([snapshot.id, snapshot.original ?? snapshot.id])) {
      const others = found.get(id)
      if (others) others.push(snapshot)
      else found.set(id, [snapshot])
    }
  return found
}

/** Whether two snapshots of one origin say the same, but for parent, origin and what programs add (restic's rule). */
const isCopyOf = (a: StoredSnapshot, b: StoredSnapshot): boolean =>
  sameInstant(a.time, b.time) &&
  a.tree === b.tree &&
  a.hostname === b.hostname &&
  a.username === b.username &&
  a.uid === b.uid &&
  a.gid === b.gid &&
  sameMembers(a.paths, b.paths) &&
  sameMembers(a.tags, b.tags) &&
  a.excludes.length === b.excludes.length &&
  a.excludes.every((pattern, i) => pattern === b.excludes[i])

const sameMembers = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && b.every((text) => a.includes(text))
