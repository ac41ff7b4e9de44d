import {
  executeForget,
  type ForgetGroup,
  type ForgetPlan,
  forgetPlanJson,
  planForget,
  planForgetOf,
  withoutRetained,
} from '../../engine/repository/forget.ts'
import { describePolicy, type ForgetPolicy } from '../../engine/repository/forget-policy.ts'
import type { StoredSnapshot } from '../../engine/repository/snapshot.ts'
import { NO_DURATION } from '../../lib/durations.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { isVerification, orphanedVerifications } from '../../recovery/verification.ts'
import type { Command } from '../command.ts'
import type { CommandContext } from '../context.ts'
import { type ForgetOptions, forgetDescription, type KeepOptions } from '../descriptions/forget.ts'
import { formatIdSet } from '../output/id-set.ts'
import { renderSnapshotTable, snapshotGroupHeader } from '../output/snapshot-table.ts'
import { prune } from '../pruning.ts'
import { progressOf, type RepositorySession, withRepository } from '../repository-session.ts'
import { printRetained, refuseRetained } from '../retained-snapshots.ts'
import { loadChosenSnapshots, snapshotFilter } from '../snapshot-choice.ts'

export const forgetCommand: Command<ForgetOptions> = {
  ...forgetDescription,
  run(context, options, references) {
    const { output, clock } = context
    const lock = context.global.noLock ? 'none' : 'exclusive'
    return withRepository(context, { lock }, async (session) => {
      const { repository, signal } = session
      const { snapshots, all, exitCode } = await loadChosenSnapshots(repository, references, options, output, signal)
      let plan = planForgetOf(snapshots)
      if (references.length === 0) {
        const { groupBy, unsafeAllowRemoveAll } = options
        const policy = policyOf(options)
        const filter = snapshotFilter(options)
        const backups = snapshots.filter((snapshot) => !isVerification(snapshot))
        plan = planForget(backups, { policy, groupBy, filter, unsafeAllowRemoveAll, now: clock.now() })
        output.print(`Applying Policy: ${describePolicy(policy)}`)
        for (const group of plan.groups) printGroup(context, group, options.compact)
      }
      // A snapshot that cannot be read may be the one that a record is about.
      if (exitCode === 0) plan = withVerifications(plan, all)
      const { plan: possible, retained } = await withoutRetained(repository, plan, signal)
      printRetained(output, retained, 'stay')
      await removeSnapshots(context, session, possible, options)
      // A policy finds them again; who names a snapshot wants it gone.
      if (references.length > 0) refuseRetained(retained, 'removed')
      return exitCode
    })
  },
}

/** The plan, and the records of verifications that are about nothing when it is done. */
function withVerifications(plan: ForgetPlan, all: readonly StoredSnapshot[]): ForgetPlan {
  const removed = new Set(plan.remove.map(({ id }) => id))
  const orphans = orphanedVerifications(all.filter((snapshot) => !removed.has(snapshot.id)))
  return { ...plan, remove: [...plan.remove, ...orphans] }
}

async function removeSnapshots(
  context: CommandContext,
  session: RepositorySession,
  plan: ForgetPlan,
  options: ForgetOptions,
): Promise<void> {
  const { output } = context
  const { repository, signal } = session
  const ids = plan.remove.map(({ id }) => id)
  let failed = 0
  if (!options.dryRun) failed = (await executeForget(repository, plan, progressOf(context), signal)).failed.length
  else if (ids.length > 0) output.print(`Would have removed the following snapshots:\n${formatIdSet(ids)}\n\n`)
  if (output.json && plan.groups.length > 0) output.message(forgetPlanJson(plan))
  if (failed > 0)
    throw new HoldfastError('HF_INCOMPLETE', 'failed to remove one or more snapshots', {
      hint: `${failed} are still there, named above; "prune" was not run`,
    })
  if (ids.length === 0 || !options.prune) return
  output.print(
    options.dryRun
      ? `${ids.length} snapshots would be removed, running prune dry run`
      : `${ids.length} snapshots have been removed, running prune`,
  )
  await prune(context, session, options, new Set(ids))
}

function printGroup({ output, environment }: CommandContext, { group, decision }: ForgetGroup, compact: boolean): void {
  output.detail(snapshotGroupHeader(group.key))
  const { keep, remove } = decision
  const reasons = new Map(decision.reasons.map(({ snapshot, matches }) => [snapshot.id, matches]))
  if (keep.length > 0) {
    output.print(`keep ${keep.length} snapshots:`)
    output.print(`${renderSnapshotTable(keep, { compact, reasons, environment })}\n`)
  }
  if (remove.length > 0) {
    output.print(`remove ${remove.length} snapshots:`)
    output.print(`${renderSnapshotTable(remove, { compact, environment })}\n`)
  }
}

const policyOf = (options: KeepOptions): ForgetPolicy => ({
  last: options.keepLast ?? 0,
  hourly: options.keepHourly ?? 0,
  daily: options.keepDaily ?? 0,
  weekly: options.keepWeekly ?? 0,
  monthly: options.keepMonthly ?? 0,
  yearly: options.keepYearly ?? 0,
  within: options.keepWithin ?? NO_DURATION,
  withinHourly: options.keepWithinHourly ?? NO_DURATION,
  withinDaily: options.keepWithinDaily ?? NO_DURATION,
  withinWeekly: options.keepWithinWeekly ?? NO_DURATION,
  withinMonthly: options.keepWithinMonthly ?? NO_DURATION,
  withinYearly: options.keepWithinYearly ?? NO_DURATION,
  tags: options.keepTags,
})
