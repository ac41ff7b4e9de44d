import { executePrune } from '../engine/repository/prune/execute-prune.ts'
import { planPrune } from '../engine/repository/prune/plan-prune.ts'
import type { PruneOptions as EngineOptions } from '../engine/repository/prune/prune-plan.ts'
import type { Id } from '../lib/id.ts'
import { formatSize } from '../lib/sizes.ts'
import type { CommandContext } from './context.ts'
import { usageError } from './descriptions/usage.ts'
import type { PruneLimitOptions } from './options/prune-limits.ts'
import type { UnusedLimit } from './options/quantities.ts'
import { printPrunePlan } from './output/prune-report.ts'
import { progressOf, type RepositorySession } from './repository-session.ts'

export interface PruningOptions extends PruneLimitOptions {
  readonly dryRun: boolean
  /** Delete the index before there is a new one; the id of the repository. */
  readonly unsafeRecoverNoFreeSpace?: string | undefined
}

/**
 * What `prune` and `forget --prune` do: plan, print the plan, carry it out unless it is a dry run. The exclusive lock must be held.
 * @param removed snapshots that do not count any more, whether or not they are still listed
 */
export async function prune(
  context: CommandContext,
  { repository, signal }: RepositorySession,
  options: PruningOptions,
  removed: ReadonlySet<Id> = new Set(),
): Promise<void> {
  const progress = progressOf(context)
  const { id } = repository.config
  const unsafe = options.unsafeRecoverNoFreeSpace
  if (unsafe !== undefined && unsafe !== id)
    throw usageError(`must pass id '${id}' to --unsafe-recover-no-free-space`, 'first try "prune --max-repack-size 0"')
  await repository.loadIndex(signal)
  const plan = await planPrune(repository, engineOptions(options), progress, { ignoreSnapshots: removed, signal })
  printPrunePlan(context.output, plan, options.dryRun)
  if (options.dryRun) return
  const hidden = repository.storage.features.versions?.hidden
  const before = hidden?.().bytes ?? 0
  await executePrune(repository, plan, progress, signal)
  const hiddenBytes = (hidden?.().bytes ?? 0) - before
  if (hiddenBytes > 0)
    context.output.warn(
      `Warning: ${formatSize(hiddenBytes)} of what was removed is only hidden, and still paid for: old versions may not be deleted with these credentials`,
    )
}

const engineOptions = (options: PruningOptions): EngineOptions => ({
  maxUnusedBytes: unusedLimit(options.maxUnused),
  maxRepackBytes: options.maxRepackSizeBytes ?? Number.POSITIVE_INFINITY,
  smallPackBytes: options.repackSmallerThanBytes ?? 0,
  repackCacheableOnly: options.repackCacheableOnly,
  repackUncompressed: options.repackUncompressed,
  unsafeRecovery: options.unsafeRecoverNoFreeSpace !== undefined,
})

/** How much may stay unused, given how much is used: a percentage is one of the repository as it is afterwards. */
function unusedLimit(limit: UnusedLimit): (usedBytes: number) => number {
  switch (limit.kind) {
    case 'unlimited':
      return () => Number.POSITIVE_INFINITY
    case 'bytes':
      return () => limit.bytes
    case 'percent':
      return (usedBytes) => Math.floor((limit.percent / (100 - limit.percent)) * usedBytes)
  }
}
