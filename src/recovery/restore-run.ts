import { repositoryFault } from '../engine/repository/repository-fault.ts'
import { monotonicMilliseconds } from '../lib/clock.ts'
import { HoldfastError } from '../lib/errors.ts'
import type { PlannedRestore, RestoreJob, SourceRestoreObserver, SourceRestoreResult } from '../sources/restore.ts'
import type { Source } from '../sources/source.ts'
import type { RestoreCopy } from './restore-copies.ts'

/** One source that is to be restored. */
export interface RestoreItem {
  readonly source: Source
  /** The copies of its snapshot, the best first; at least one. */
  readonly copies: readonly RestoreCopy[]
  readonly request: Pick<RestoreJob, 'target' | 'include' | 'exclude' | 'rename' | 'overwrite' | 'threads'>
}

export interface PlannedItem {
  readonly item: RestoreItem
  /** What it is planned from. */
  readonly copy: RestoreCopy
  readonly planned: PlannedRestore
  /** What to plan from when this copy fails, the best first. */
  readonly others: readonly RestoreCopy[]
}

/** That one copy did not do, and another was taken in its place. */
export interface CopySwitch {
  readonly from: RestoreCopy
  readonly to: RestoreCopy
  readonly error: Error
}

/** What became of one source. */
export interface RestoreItemResult {
  readonly item: RestoreItem
  /** What it was restored from in the end. */
  readonly copy: RestoreCopy
  readonly outcome: 'complete' | 'incomplete' | 'failed'
  readonly result: SourceRestoreResult | undefined
  readonly error: unknown
  readonly milliseconds: number
}

/** What is told of one restore meanwhile. */
export interface RestoreItemObserver extends SourceRestoreObserver {
  /** What was restored by then is looked at by the plan that is made anew, and not written again. */
  onSwitch(change: CopySwitch): void
  onFinished(result: RestoreItemResult): void
}

/**
 * Thinks the restores of several sources through, before the first byte of any is written. A copy that cannot be planned from gives way to the
 * next one.
 * @throws HoldfastError what planning one of them throws; HF_UNSUPPORTED for a sort of source that cannot be restored like this
 */
export async function planRestores(
  items: readonly RestoreItem[],
  onSwitch: (item: RestoreItem, change: CopySwitch) => void,
  signal?: AbortSignal,
): Promise<readonly PlannedItem[]> {
  const planned: PlannedItem[] = []
  for (const item of items)
    planned.push(await planFrom(item, item.copies, item.request, (change) => onSwitch(item, change), signal))
  return planned
}

async function planFrom(
  item: RestoreItem,
  copies: readonly RestoreCopy[],
  request: RestoreItem['request'],
  onSwitch: (change: CopySwitch) => void,
  signal: AbortSignal | undefined,
): Promise<PlannedItem> {
  const { source } = item
  const [copy, ...others] = copies as readonly [RestoreCopy, ...RestoreCopy[]]
  const { repository, snapshot } = copy
  if (source.planRestore === undefined)
    throw new HoldfastError('HF_UNSUPPORTED', `sources of type ${source.type} cannot be restored by restore:run`, {
      hint: `restore the files of its snapshot: holdfast restore ${snapshot.id.slice(0, 8)} --target FOLDER`,
    })
  const signals = [signal, copy.signal].filter((one) => one !== undefined)
  const [next] = others
  let planned: PlannedRestore
  try {
    const job = { repository, snapshot, ...request, signal: AbortSignal.any(signals) }
    planned = await source.planRestore(job)
  } catch (error) {
    signal?.throwIfAborted()
    const fault = repositoryFault(error)
    if (fault === undefined || next === undefined) throw error
    onSwitch({ from: copy, to: next, error: fault })
    return await planFrom(item, others, request, onSwitch, signal)
  }
  const first = { item, copy, planned, others }
  const [obstacle] = obstaclesOf([first])
  if (obstacle === undefined || next === undefined) return first
  // What speaks against it may be that trees of this copy cannot be read. What is in the target speaks against any.
  const second = await planFrom(item, others, request, () => undefined, signal).catch(() => first)
  if (obstaclesOf([second]).length > 0) return first
  onSwitch({ from: copy, to: second.copy, error: new HoldfastError('HF_RESTORE_FAILED', obstacle) })
  return second
}

/** What keeps plans from being carried out, each with the source it is of. */
export const obstaclesOf = (items: readonly PlannedItem[]): readonly string[] =>
  items.flatMap(({ item, planned }) =>
    planned.plan.problems.flatMap(({ severity, what }) => (severity === 'error' ? `${item.source.name}: ${what}` : [])),
  )

/**
 * Carries plans out, one after the other. A source that fails does not stop the others. One whose repository fails on the way is restored from
 * another copy: what is in the folder by then is compared, and only what is missing or differs is written.
 * @throws HoldfastError HF_TARGET_INVALID when something speaks against one of the plans; HF_INTERRUPTED
 */
export async function executeRestores(
  items: readonly PlannedItem[],
  observerOf: (item: RestoreItem) => RestoreItemObserver,
  signal?: AbortSignal,
): Promise<readonly RestoreItemResult[]> {
  const obstacles = obstaclesOf(items)
  if (obstacles.length > 0)
    throw new HoldfastError('HF_TARGET_INVALID', `nothing was restored: ${obstacles.join('; ')}`)
  const results: RestoreItemResult[] = []
  for (const planned of items) {
    const observer = observerOf(planned.item)
    const started = monotonicMilliseconds()
    const { copy, result, error } = await restore(planned, observer, signal)
    const outcome = result === undefined ? 'failed' : result.errors > 0 ? 'incomplete' : 'complete'
    const milliseconds = monotonicMilliseconds() - started
    const itemResult = { item: planned.item, copy, outcome, result, error, milliseconds } as const
    results.push(itemResult)
    observer.onFinished(itemResult)
  }
  return results
}

type Attempt = Pick<RestoreItemResult, 'copy' | 'result' | 'error'>

async function restore(
  { item, copy, planned, others }: PlannedItem,
  observer: RestoreItemObserver,
  signal: AbortSignal | undefined,
): Promise<Attempt> {
  let fault: Error | undefined
  const noteFault = (error: Error): void => {
    fault ??= repositoryFault(error)
  }
  const attempt = await attemptOnce(
    copy,
    planned,
    {
      ...observer,
      onError: (what, error) => {
        noteFault(error)
        observer.onError(what, error)
      },
    },
    signal,
  )
  if (attempt.error instanceof Error) noteFault(attempt.error)
  const [next] = others
  if (fault === undefined || next === undefined) return attempt
  observer.onSwitch({ from: copy, to: next, error: fault })
  try {
    // What lies in the folder was written by us a moment ago.
    const overwrite = item.request.overwrite || item.request.target.kind === 'directory'
    const again = await planFrom(item, others, { ...item.request, overwrite }, observer.onSwitch, signal)
    const [obstacle] = obstaclesOf([again])
    if (obstacle !== undefined) throw new HoldfastError('HF_TARGET_INVALID', obstacle)
    return await restore(again, observer, signal)
  } catch (error) {
    signal?.throwIfAborted()
    return { ...attempt, error: attempt.error ?? error }
  }
}

async function attemptOnce(
  copy: RestoreCopy,
  planned: PlannedRestore,
  observer: SourceRestoreObserver,
  signal: AbortSignal | undefined,
): Promise<Attempt> {
  try {
    const signals = [signal, copy.signal].filter((one) => one !== undefined)
    return { copy, result: await planned.execute(observer, AbortSignal.any(signals)), error: undefined }
  } catch (error) {
    // What stops the whole run is nobody's failure.
    signal?.throwIfAborted()
    return { copy, result: undefined, error }
  }
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
