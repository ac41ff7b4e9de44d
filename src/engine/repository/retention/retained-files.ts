import { isHoldfastError } from '../../../lib/errors.ts'
import type { Id } from '../../../lib/id.ts'
import { forEachParallel } from '../../../lib/parallel.ts'
import type { NamedFileKind } from '../../storage/storage.ts'
import type { Repository } from '../repository.ts'

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

/** `2026-12-27 10:00 UTC`, or that there is no end. */
export const describeRetention = (untilMs: RetainedUntil): string =>
  untilMs === Number.POSITIVE_INFINITY
    ? 'as long as they are held'
    : `until ${new Date(untilMs).toISOString().slice(0, 16).replace('T', ' ')} UTC`
