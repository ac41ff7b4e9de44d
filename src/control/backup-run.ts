import { interruption } from '../engine/storage/interruption.ts'
import { HoldfastError } from '../lib/errors.ts'
import { forEachParallel } from '../lib/parallel.ts'
import { type RunOptions, type RunSource, type SourceResult, SourceRun } from './source-run.ts'

export interface AllRunOptions extends RunOptions {
  /** Sources that are backed up at the same time. */
  readonly parallel: number
}

/**
 * Backs up sources, each into all its repositories. A source that fails does not stop the others, nor does a repository. Results come in the
 * order of `sources`.
 *
 * @throws HoldfastError HF_INTERRUPTED; HF_REPO_LOCKED, HF_LOCK_LOST when no repository is left: then nothing goes on
 */
export async function runBackups(
  sources: readonly RunSource[],
  options: AllRunOptions,
): Promise<readonly SourceResult[]> {
  const { signal, parallel, observer } = options
  const repositories = new Set(sources.flatMap((source) => source.repositories))
  const results = new Map<RunSource, SourceResult>()
  await forEachParallel(sources, parallel, async (one) => {
    const result = await new SourceRun(one, options).perform()
    // What stops the whole run is nobody's failure.
    signal?.throwIfAborted()
    const lost = [...repositories].map((repository) => repository.signal)
    if (lost.every((lock) => lock?.aborted)) throw interruption(lost[0]!)
    results.set(one, result)
    observer.onFinished(result)
  })
  return sources.map((one) => results.get(one)!)
}

/** The failure that a run as a whole ends with; undefined when all went well. */
export function failureOf(results: readonly SourceResult[]): HoldfastError | undefined {
  const named = (outcome: SourceResult['outcome']): string[] =>
    results.flatMap((result) => (result.outcome === outcome ? result.source.name : []))
  const failed = named('failed')
  const incomplete = named('incomplete')
  const uncopied = results.flatMap(({ source, outcome, copies }) =>
    outcome === 'failed'
      ? []
      : copies.flatMap((copy) => (copy.error === undefined ? [] : `${source.name} in ${copy.repository}`)),
  )
  if (failed.length > 0)
    return new HoldfastError(
      'HF_RUN_FAILED',
      `${failed.length} of ${results.length} sources failed: ${failed.join(', ')}`,
    )
  if (uncopied.length > 0)
    return new HoldfastError('HF_RUN_FAILED', `not every repository has all it should have: ${uncopied.join(', ')}`, {
      hint: 'the others have it; the next run brings it, or at once: holdfast copy',
    })
  if (incomplete.length > 0)
    return new HoldfastError('HF_INCOMPLETE', `some items could not be read: ${incomplete.join(', ')}`)
  return undefined
}
