import type { ConfiguredSource } from '../../config/configuration.ts'
import { loadSnapshots } from '../../engine/repository/snapshots.ts'
import { RestoreThreads } from '../../engine/restore/restore-threads.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { shortId } from '../../lib/id.ts'
import { type CopyRepository, findCopies } from '../../recovery/restore-copies.ts'
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
import { withRepositories } from '../configured/open-repositories.ts'
import { requireRepository } from '../configured/repositories.ts'
import { makeSandboxRoot, targetOf } from '../configured/restore-target.ts'
import type { CommandContext } from '../context.ts'
import { type RestoreRunOptions, restoreRunDescription } from '../descriptions/restore-run.ts'
import { printRestorePlan, printSwitch, RestoreRunReport } from '../output/restore-run-report.ts'
import type { RepositorySession } from '../repository-session.ts'

export const restoreRunCommand: Command<RestoreRunOptions> = {
  ...restoreRunDescription,
  async run(context, options, names) {
    const { output } = context
    const configured = await loadConfigured(context)
    const { configuration } = configured
    const sources = chooseSources(configuration, names)
    const chosen = options.repository && requireRepository(configuration, options.repository)
    const placesOf = (source: ConfiguredSource): readonly string[] => (chosen ? [chosen] : source.repositories)
    const needed = [...new Set(sources.flatMap(placesOf))]
    const { results, passedOver } = await withRepositories(
      context,
      configured,
      needed,
      { lock: 'read', early: true },
      async (name, session) => ({ copy: await openCopy(context, name, session), settled: session.settled }),
      ({ opened }) => {
        const placesOfSource = (source: ConfiguredSource): readonly CopyRepository[] =>
          placesOf(source).flatMap((name) => opened.get(name)?.copy ?? [])
        // Plans are made before the locks are certain, and shown afterwards.
        const settled = Promise.all([...opened.values()].map((one) => one.settled))
        settled.catch(() => undefined)
        return restoreSources(context, configured, sources, { ...options, settled }, placesOfSource)
      },
    )
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

/** Opens a repository to restore from. */
async function openCopy(
  { output }: CommandContext,
  name: string,
  { repository, signal }: RepositorySession,
): Promise<CopyRepository> {
  const snapshots = await loadSnapshots(repository, {
    onUnreadable: ({ id, error }) =>
      output.warn(`Warning: snapshot ${shortId(id)} in ${name} is damaged: ${error.message}`),
    signal,
  })
  await repository.loadIndex(signal)
  return { name, repository, snapshots, signal }
}

interface Restored {
  readonly results: readonly RestoreItemResult[]
  /** Why a source could not be restored that the others did not wait for. */
  readonly passedOver: HoldfastError | undefined
}

async function restoreSources(
  context: CommandContext,
  { openSource }: Configured,
  sources: readonly ConfiguredSource[],
  options: RestoreRunOptions & { readonly settled: Promise<unknown> },
  placesOf: (source: ConfiguredSource) => readonly CopyRepository[],
): Promise<Restored> {
  const { output, signal } = context
  const { to, include, exclude, rename, overwrite } = options
  const isOneOfSeveral = options.all || sources.length > 1
  const items: RestoreItem[] = []
  let passedOver: HoldfastError | undefined
  let started: RestoreThreads | undefined
  const startThreads = (): RestoreThreads => {
    started ??= new RestoreThreads()
    return started
  }
  const threads = options.dryRun ? undefined : startThreads
  for (const source of sources)
    try {
      const copies = await findCopies(placesOf(source), source.name, options.at, signal)
      const target = targetOf(to, { source: source.name, isOneOfSeveral, snapshot: copies[0]!.snapshot }, context)
      items.push({
        source: openSource(source),
        copies,
        request: { target, include, exclude, rename, overwrite, threads },
      })
    } catch (error) {
      // A repository that cannot be had stops only the sources that are nowhere else.
      if (sources.length === 1 || placesOf(source).length > 0 || !(error instanceof HoldfastError)) throw error
      output.warn(`${source.name}: ${error.message}`)
      passedOver ??= error
    }
  const report = new RestoreRunReport(context)
  try {
    const planned = await planRestores(items, ({ source }, change) => printSwitch(output, source.name, change), signal)
    await options.settled
    for (const one of planned) printRestorePlan(output, one)
    if (options.dryRun) {
      refuseObstacles(planned)
      return { results: [], passedOver }
    }
    if (to === 'sandbox') makeSandboxRoot(context.environment)
    const afterwardsOf = new Map(planned.map(({ item, planned: { plan } }) => [item, plan.afterwards]))
    const observerOf = (item: RestoreItem) => report.observerOf(item, afterwardsOf.get(item)!)
    return { results: await executeRestores(planned, observerOf, signal), passedOver }
  } finally {
    report.stop()
    await started?.close()
  }
}

function refuseObstacles(planned: readonly PlannedItem[]): void {
  const obstacles = obstaclesOf(planned)
  if (obstacles.length > 0)
    throw new HoldfastError('HF_TARGET_INVALID', `this restore would be refused: ${obstacles.join('; ')}`)
}
