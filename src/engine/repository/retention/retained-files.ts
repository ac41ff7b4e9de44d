import { isHoldfastError } from '../../../lib/errors.ts'
import type { Id } from '../../../lib/id.ts'
import { forEachParallel } from '../../../lib/parallel.ts'
import type { NamedFileKind } from '../../storage/storage.ts'
import type { Repository } from '../repository.ts'
import type { StoredSnapshot } from '../snapshot.ts'

/** Milliseconds since 1970; infinity for what is held without an end. */
export type RetainedUntil = number

/**
 * Which of these files the store does not let anybody delete now, and until when; none where a store retains nothing. Files that are not
 * there are not retained.
 */
export async function retainedFiles(
  repository: Repository,
  kind: NamedFileKind,
  names: Iterable<Id>,
  signal?: AbortSignal,
): Promise<Map<Id, RetainedUntil>> {
  const { retention } = repository.storage.features
  const retained = new Map<Id, RetainedUntil>()
  if (retention === undefined) return retained
  const nowMs = Number(repository.clock.now() / 1_000_000n)
  await forEachParallel(names, repository.storage.properties.connections, async (name) => {
    const found = await retention.get({ kind, name }, { signal }).catch((error: unknown) => {
      if (!isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) throw error
    })
    if (!found) return
    const untilMs = found.isHeld ? Number.POSITIVE_INFINITY : found.untilMs
    if (untilMs > nowMs) retained.set(name, untilMs)
  })
  return retained
}

/** Snapshots that the store lets nobody delete yet. */
export interface RetainedSnapshots {
  readonly snapshots: readonly StoredSnapshot[]
  /** When the first of them may go, since 1970; infinity when none ever may, or there is none. */
  readonly earliestMs: number
}

/** Divides snapshots into those that may be removed now, and those that the store retains; in the order they had. */
export async function divideByRetention(
  repository: Repository,
  snapshots: readonly StoredSnapshot[],
  signal?: AbortSignal,
): Promise<{ readonly free: readonly StoredSnapshot[]; readonly retained: RetainedSnapshots }> {
  const names = snapshots.map(({ id }) => id)
  const until = await retainedFiles(repository, 'snapshot', names, signal)
  return {
    free: snapshots.filter(({ id }) => !until.has(id)),
    retained: { snapshots: snapshots.filter(({ id }) => until.has(id)), earliestMs: Math.min(...until.values()) },
  }
}

/** `2026-12-27 10:00 UTC`, or that there is no end. */
export const describeRetention = (untilMs: RetainedUntil): string =>
  untilMs === Number.POSITIVE_INFINITY
    ? 'as long as they are held'
    : `until ${new Date(untilMs).toISOString().slice(0, 16).replace('T', ' ')} UTC`
