import { sameInstant } from '../../../lib/go-time.ts'
import type { Id } from '../../../lib/id.ts'
import type { Progress } from '../../../lib/progress.ts'
import type { Repository } from '../repository.ts'
import type { StoredSnapshot } from '../snapshot.ts'
import { loadSnapshots } from '../snapshots.ts'
import { type CopiedSnapshot, type CopyObserver, SnapshotCopier } from './snapshot-copier.ts'

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
  const { missing, present: skipped } = splitByPresence(snapshots, await loadSnapshots(destination, { signal }))
  for (const one of skipped) observer.onSkipped?.(one)
  const total = { blobs: 0, bytes: 0 }
  const counting: CopyObserver = {
    onStart: (snapshot) => observer.onStart?.(snapshot),
    onPlanned: (snapshot, plan) => {
      total.blobs += plan.blobs
      total.bytes += plan.bytes
      observer.onPlanned?.(snapshot, plan)
    },
    onSaved: (snapshot) => observer.onSaved?.(snapshot),
  }
  if (missing.length === 0) return { copied: [], skipped, ...total }
  const copier = new SnapshotCopier(source, destination, { threads, signal })
  try {
    return { copied: await copier.copy(missing, { progress, observer: counting }), skipped, ...total }
  } finally {
    await copier.close()
  }
}

/** Which of `snapshots` a repository with the snapshots `there` lacks, and which it has, under whatever id. */
export function splitByPresence(
  snapshots: readonly StoredSnapshot[],
  there: readonly StoredSnapshot[],
): { readonly missing: readonly StoredSnapshot[]; readonly present: readonly CopiedSnapshot[] } {
  const known = byOrigin(there)
  const missing: StoredSnapshot[] = []
  const present: CopiedSnapshot[] = []
  for (const source of snapshots) {
    const copy = known.get(source.original ?? source.id)?.find((candidate) => isCopyOf(candidate, source))
    if (copy) present.push({ source, copy })
    else missing.push(source)
  }
  return { missing, present }
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
