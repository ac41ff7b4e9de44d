import { type CatchUpStep, carryOut, planCatchUp, sizeOf } from '../../control/catch-up.ts'
import { openForLook, type RunRepository } from '../../control/run-repository.ts'
import type { CopyPlan } from '../../engine/repository/copy/snapshot-copier.ts'
import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import { shortId } from '../../lib/id.ts'
import { formatSize } from '../../lib/sizes.ts'
import type { CommandContext } from '../context.ts'
import { progressOf } from '../repository-session.ts'
import { type Configured, chooseSources } from './load.ts'
import { conflictOf } from './locations.ts'
import { type OpenedRepositories, withRepositories } from './open-repositories.ts'

export interface CatchUpRequest {
  /** Names of sources; none: all. */
  readonly names: readonly string[]
  /** The one repository that is to catch up; none: all. */
  readonly repository: string | undefined
  readonly all: boolean
  readonly dryRun: boolean
}

/**
 * Brings configured repositories what they have missed, and says so.
 * @throws HoldfastError HF_USAGE for names that are not configured, HF_RUN_FAILED when something could not be brought
 */
export async function catchUpConfigured(
  context: CommandContext,
  configured: Configured,
  { names, repository, all, dryRun }: CatchUpRequest,
): Promise<void> {
  const { output } = context
  const { configuration } = configured
  const sources = chooseSources(configuration, names).filter(({ repositories }) => repositories.length > 1)
  const needed = [...new Set(sources.flatMap(({ repositories }) => repositories))]
  if (needed.length === 0) {
    if (output.json) output.message(summary([], []))
    else output.print('no source has several repositories')
    return
  }
  const look = async (name: string, session: Pick<RunRepository, 'repository' | 'signal'>): Promise<RunRepository> =>
    openForLook({ name, ...session }, ({ id, error }) =>
      output.warn(`Warning: snapshot ${shortId(id)} in ${name} is damaged and was passed over: ${error.message}`),
    )
  await withRepositories(
    context,
    configured,
    needed,
    { lock: dryRun ? 'read' : 'append' },
    (name, { repository: one, signal }) => look(name, { repository: one, signal }),
    async ({ opened, unopened }: OpenedRepositories<RunRepository>) => {
      const steps = sources.flatMap((source) => {
        const there = source.repositories.flatMap((name) => opened.get(name) ?? [])
        const planned = planCatchUp(source.name, there, all ? 'all' : 'newer')
        return planned.filter(({ to }) => repository === undefined || to.name === repository)
      })
      const failed = [...unopened.keys()]
      const loaded = new Set<RunRepository>()
      const done: CatchUpStep[] = []
      for (const step of steps)
        try {
          const conflict = conflictOf(configuration, configuration.sources.get(step.source)!, step.to.name)
          if (conflict !== undefined) throw conflict
          for (const one of [step.from, step.to]) {
            if (!loaded.has(one)) await one.repository.loadIndex(one.signal)
            loaded.add(one)
          }
          await perform(context, step, dryRun)
          done.push(step)
        } catch (error) {
          context.signal.throwIfAborted()
          if (!isHoldfastError(error)) throw error
          output.warn(
            `${step.source}: not brought to ${step.to.name}: ${error.message}${error.hint === undefined ? '' : `\n  ${error.hint}`}`,
          )
          failed.push(`${step.source} to ${step.to.name}`)
        }
      if (output.json) output.message(summary(done, failed))
      else if (steps.length === 0 && failed.length === 0) output.print('every repository has what it should have')
      if (failed.length > 0)
        throw new HoldfastError('HF_RUN_FAILED', `not everything was brought: ${failed.join(', ')}`)
    },
  )
}

async function perform(context: CommandContext, step: CatchUpStep, dryRun: boolean): Promise<void> {
  const { output, signal } = context
  const { from, to, source, snapshots } = step
  if (dryRun) {
    const plan = await sizeOf(step, signal)
    if (output.json)
      output.message({
        message_type: 'would_copy',
        source,
        from: from.name,
        repository: to.name,
        source_snapshot_ids: snapshots.map(({ id }) => id),
        ...plan,
      })
    else output.print(`${source}: would copy ${whatOf(step)}, ${sizeText(plan)}`)
    return
  }
  const total = { blobs: 0, bytes: 0, packs: 0 }
  await carryOut(step, {
    progress: progressOf(context),
    signal,
    onPlanned: (plan) => {
      total.blobs += plan.blobs
      total.bytes += plan.bytes
      total.packs += plan.packs
    },
    onSaved: ({ source: before, copy }) => {
      if (output.json)
        output.message({
          message_type: 'copied',
          source,
          from: from.name,
          repository: to.name,
          source_snapshot_id: before.id,
          snapshot_id: copy.id,
        })
      else output.detail(`${source}: snapshot ${shortId(copy.id)} in ${to.name}, copied from ${shortId(before.id)}`)
    },
  })
  if (!output.json) output.print(`${source}: copied ${whatOf(step)}, ${sizeText(total)}`)
}

const whatOf = ({ from, to, snapshots }: CatchUpStep): string =>
  `${snapshots.length} ${snapshots.length === 1 ? 'snapshot' : 'snapshots'} from ${from.name} to ${to.name}`

const sizeText = ({ blobs, bytes, packs }: CopyPlan): string =>
  `${blobs} blobs of ${formatSize(bytes)} out of ${packs} packs`

const summary = (done: readonly CatchUpStep[], failed: readonly string[]): object => ({
  message_type: 'summary',
  copied_snapshots: done.reduce((sum, { snapshots }) => sum + snapshots.length, 0),
  failed,
})
