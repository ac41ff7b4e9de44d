import type { Repository } from '../engine/repository/repository.ts'
import type { StoredSnapshot } from '../engine/repository/snapshot.ts'
import { monotonicMilliseconds } from '../lib/clock.ts'
import { HoldfastError } from '../lib/errors.ts'
import type { PlannedRestore, RestoreJob, SourceRestoreObserver, SourceRestoreResult } from '../sources/restore.ts'
import type { Source } from '../sources/source.ts'

/** One source that is to be restored. */
export interface RestoreItem {
  readonly source: Source
  readonly snapshot: StoredSnapshot
  readonly request: Pick<RestoreJob, 'target' | 'include' | 'exclude' | 'rename' | 'overwrite'>
}

export interface PlannedItem {
  readonly item: RestoreItem
  readonly planned: PlannedRestore
}

/** What became of one source. */
export interface RestoreItemResult {
  readonly item: RestoreItem
  readonly outcome: 'complete' | 'incomplete' | 'failed'
  readonly result: SourceRestoreResult | undefined
  readonly error: unknown
  readonly milliseconds: number
}

/**
 * Thinks the restores of several sources through, before the first byte of any is written.
 * @throws HoldfastError what planning one of them throws; HF_UNSUPPORTED for a sort of source that cannot be restored like this
 */
export async function planRestores(
  repository: Repository,
  items: readonly RestoreItem[],
  signal?: AbortSignal,
): Promise<readonly PlannedItem[]> {
  const planned: PlannedItem[] = []
  for (const item of items) {
    const { source, snapshot, request } = item
    if (source.planRestore === undefined)
      throw new HoldfastError('HF_UNSUPPORTED', `sources of type ${source.type} cannot be restored by restore:run`, {
        hint: `restore the files of its snapshot: holdfast restore ${snapshot.id.slice(0, 8)} --target FOLDER`,
      })
    planned.push({ item, planned: await source.planRestore({ repository, snapshot, ...request, signal }) })
  }
  return planned
}

/** What keeps plans from being carried out, each with the source it is of. */
export const obstaclesOf = (items: readonly PlannedItem[]): readonly string[] =>
  items.flatMap(({ item, planned }) =>
    planned.plan.problems.flatMap(({ severity, what }) => (severity === 'error' ? `${item.source.name}: ${what}` : [])),
  )

/**
 * Carries plans out, one after the other. A source that fails does not stop the others.
 * @throws HoldfastError HF_TARGET_INVALID when something speaks against one of the plans; HF_INTERRUPTED
 */
export async function executeRestores(
  items: readonly PlannedItem[],
  observerOf: (item: RestoreItem) => SourceRestoreObserver & { onFinished(result: RestoreItemResult): void },
  signal?: AbortSignal,
): Promise<readonly RestoreItemResult[]> {
  const obstacles = obstaclesOf(items)
  if (obstacles.length > 0)
    throw new HoldfastError('HF_TARGET_INVALID', `nothing was restored: ${obstacles.join('; ')}`)
  const results: RestoreItemResult[] = []
  for (const { item, planned } of items) {
    const observer = observerOf(item)
    const started = monotonicMilliseconds()
    let result: SourceRestoreResult | undefined
    let error: unknown
    try {
      result = await planned.execute(observer, signal)
    } catch (failure) {
      // What stops the whole run is nobody's failure.
      signal?.throwIfAborted()
      error = failure
    }
    const outcome = result === undefined ? 'failed' : result.errors > 0 ? 'incomplete' : 'complete'
    const milliseconds = monotonicMilliseconds() - started
    const itemResult = { item, outcome, result, error, milliseconds } as const
    results.push(itemResult)
    observer.onFinished(itemResult)
  }
  return results
}

/** The failure a run of restores as a whole ends with; undefined when all went well. */
export function failureOfRestores(results: readonly RestoreItemResult[]): HoldfastError | undefined {
  const named = (outcome: RestoreItemResult['outcome']): string[] =>
    results.flatMap(({ item, outcome: is }) => (is === outcome ? item.source.name : []))
  const failed = named('failed')
  const incomplete = named('incomplete')
  if (failed.length > 0)
    return new HoldfastError(
      'HF_RUN_FAILED',
      `${failed.length} of ${results.length} restores failed: ${failed.join(', ')}`,
    )
  if (incomplete.length > 0)
    return new HoldfastError('HF_INCOMPLETE', `some items could not be restored: ${incomplete.join(', ')}`)
  return undefined
}
