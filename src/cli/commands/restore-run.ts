import type { ConfiguredSource } from '../../config/configuration.ts'
import { loadSnapshots } from '../../engine/repository/snapshots.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { shortId } from '../../lib/id.ts'
import { chooseRestorePoint } from '../../recovery/restore-point.ts'
import {
  executeRestores,
  failureOfRestores,
  obstaclesOf,
  type PlannedItem,
  planRestores,
  type RestoreItem,
  type RestoreItemResult,
} from '../../recovery/restore-run.ts'
import type { Command } from '../command.ts'
import { type Configured, chooseSources, loadConfigured } from '../configured/load.ts'
import { inEachRepository, requireRepository } from '../configured/repositories.ts'
import { targetOf } from '../configured/restore-target.ts'
import type { CommandContext } from '../context.ts'
import { type RestoreRunOptions, restoreRunDescription } from '../descriptions/restore-run.ts'
import { printRestorePlan, RestoreRunReport } from '../output/restore-run-report.ts'
import { withRepository } from '../repository-session.ts'

export const restoreRunCommand: Command<RestoreRunOptions> = {
  ...restoreRunDescription,
  async run(context, options, names) {
    const { output } = context
    const configured = await loadConfigured(context, options)
    const { configuration } = configured
    const sources = chooseSources(configuration, names)
    const chosen = options.repository && requireRepository(configuration, options.repository)
    const groups = Map.groupBy(sources, (source) => chosen ?? source.repositories[0]!)
    const isOneOfSeveral = options.all || sources.length > 1
    const results: RestoreItemResult[] = []
    const passedOver = await inEachRepository(context, [...groups.keys()], async (repository) => {
      results.push(
        ...(await restoreFrom(
          context,
          configured,
          { repository, sources: groups.get(repository)!, isOneOfSeveral },
          options,
        )),
      )
    })
    const failure = failureOfRestores(results) ?? passedOver
    if (output.json)
      output.message({
        message_type: 'summary',
        outcome: options.dryRun ? 'planned' : failure === undefined ? 'complete' : 'failed',
        sources: results.map(({ item, outcome }) => ({ source: item.source.name, outcome })),
      })
    if (failure !== undefined) throw failure
    return 0
  },
}

interface RestoreGroup {
  readonly repository: string
  readonly sources: readonly ConfiguredSource[]
  /** So that each goes to a folder of its own. */
  readonly isOneOfSeveral: boolean
}

async function restoreFrom(
  context: CommandContext,
  { openSource, accessOf }: Configured,
  { repository: name, sources, isOneOfSeveral }: RestoreGroup,
  options: RestoreRunOptions,
): Promise<readonly RestoreItemResult[]> {
  const { output } = context
  return await withRepository(context, { lock: 'read', access: accessOf(name) }, async ({ repository, signal }) => {
    const snapshots = await loadSnapshots(repository, {
      onUnreadable: ({ id, error }) => output.warn(`Warning: snapshot ${shortId(id)} is damaged: ${error.message}`),
      signal,
    })
    await repository.loadIndex(signal)
    const { to, include, exclude, rename, overwrite } = options
    const items = sources.map((source): RestoreItem => {
      const snapshot = chooseRestorePoint(snapshots, source.name, options.at)
      const target = targetOf(to, { source: source.name, isOneOfSeveral, snapshot }, context)
      return { source: openSource(source), snapshot, request: { target, include, exclude, rename, overwrite } }
    })
    const planned = await planRestores(repository, items, signal)
    for (const one of planned) printRestorePlan(output, one)
    if (options.dryRun) {
      refuseObstacles(planned)
      return []
    }
    const report = new RestoreRunReport(context)
    try {
      const afterwardsOf = new Map(planned.map(({ item, planned: { plan } }) => [item, plan.afterwards]))
      return await executeRestores(planned, (item) => report.observerOf(item, afterwardsOf.get(item)!), signal)
    } finally {
      report.stop()
    }
  })
}

function refuseObstacles(planned: readonly PlannedItem[]): void {
  const obstacles = obstaclesOf(planned)
  if (obstacles.length > 0)
    throw new HoldfastError('HF_TARGET_INVALID', `this restore would be refused: ${obstacles.join('; ')}`)
}
