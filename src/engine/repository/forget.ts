import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import type { Id } from '../../lib/id.ts'
import { forEachParallel } from '../../lib/parallel.ts'
import type { Progress } from '../../lib/progress.ts'
import { applyPolicy, type ForgetDecision, type ForgetPolicy, forgetGroupJson, isEmptyPolicy } from './forget-policy.ts'
import type { Repository } from './repository.ts'
import { divideByRetention, type RetainedSnapshots } from './retention/retained-files.ts'
import type { StoredSnapshot } from './snapshot.ts'
import { isEveryFilter, matchesFilter, type SnapshotFilter } from './snapshot-filter.ts'
import { describeGroup, type Grouping, groupSnapshots, type SnapshotGroup } from './snapshot-group.ts'

/** What becomes of the snapshots of one group. */
export interface ForgetGroup {
  readonly group: SnapshotGroup
  readonly decision: ForgetDecision
}

/** What `forget` is going to remove, and why the others stay. */
export interface ForgetPlan {
  /** One for each group the policy was applied to; none when snapshots were named by id. */
  readonly groups: readonly ForgetGroup[]
  readonly remove: readonly StoredSnapshot[]
}

export interface ForgetOptions {
  readonly policy: ForgetPolicy
  readonly groupBy: Grouping
  /** The policy sees only these snapshots; all others stay. */
  readonly filter: SnapshotFilter
  /** Lets an empty policy remove everything that `filter` selects. */
  readonly unsafeAllowRemoveAll?: boolean
  /** Nanoseconds since the epoch: snapshots from the future do not count as the newest. */
  readonly now: bigint
}

/**
 * Applies a policy to each group of `snapshots` that match the filter. Removes nothing yet.
 * @throws HoldfastError HF_POLICY_EMPTY for a policy that keeps nothing, in itself or in one of the groups
 */
export function planForget(snapshots: readonly StoredSnapshot[], options: ForgetOptions): ForgetPlan {
  const { policy, groupBy, filter, unsafeAllowRemoveAll = false, now } = options
  const keepsNothing = isEmptyPolicy(policy)
  if (keepsNothing && !unsafeAllowRemoveAll)
    throw refused('no policy was specified, no snapshots will be removed', 'give at least one --keep option')
  if (keepsNothing && isEveryFilter(filter))
    throw refused(
      '--unsafe-allow-remove-all is not allowed unless a snapshot filter option is specified',
      'name the snapshots with --host, --tag or --path',
    )
  const matching = snapshots.filter((snapshot) => matchesFilter(snapshot, filter))
  const groups = groupSnapshots(matching, groupBy).map((group): ForgetGroup => {
    const decision = applyPolicy(group.snapshots, policy, now)
    if (!keepsNothing && decision.keep.length === 0)
      throw refused(
        `refusing to delete last snapshot of snapshot group "${describeGroup(group.key)}"`,
        'the policy would keep none of them: add a --keep option, or remove the snapshots by their ids',
      )
    return { group, decision }
  })
  return { groups, remove: groups.flatMap(({ decision }) => decision.remove) }
}

/** The plan that removes exactly these snapshots, whatever is left. */
export const planForgetOf = (snapshots: readonly StoredSnapshot[]): ForgetPlan => ({ groups: [], remove: snapshots })

/** Takes out of a plan what the store retains: it stays, and so does all it needs. */
export async function withoutRetained(
  repository: Repository,
  plan: ForgetPlan,
  signal?: AbortSignal,
): Promise<{ readonly plan: ForgetPlan; readonly retained: RetainedSnapshots }> {
  const { free, retained } = await divideByRetention(repository, plan.remove, signal)
  return { plan: { ...plan, remove: free }, retained }
}

/** What `forget --json` prints of a plan, with restic's names and order. */
export const forgetPlanJson = ({ groups }: ForgetPlan): readonly Readonly<Record<string, unknown>>[] =>
  groups.map(({ group, decision }) => forgetGroupJson(group, decision))

/** A snapshot file that could not be removed. */
export interface RemovalFailure {
  readonly id: Id
  readonly error: Error
}

export interface ForgetResult {
  readonly removed: readonly Id[]
  /** Those that are still there; a command ends with exit code 3 when there are any. */
  readonly failed: readonly RemovalFailure[]
}

/**
 * Removes the snapshots of a plan, several at a time; those that cannot be removed are warned of and left. Wants the exclusive lock, held
 * since before the snapshots were loaded. The data they referred to stays until it is pruned.
 */
export async function executeForget(
  repository: Repository,
  plan: ForgetPlan,
  progress: Progress,
  signal?: AbortSignal,
): Promise<ForgetResult> {
  const removed: Id[] = []
  const failed: RemovalFailure[] = []
  if (plan.remove.length === 0) return { removed, failed }
  const step = progress.step('files deleted', plan.remove.length)
  await forEachParallel(plan.remove, repository.storage.properties.connections, async ({ id }) => {
    try {
      await removeSnapshot(repository, id, signal)
      removed.push(id)
      progress.note(`removed snapshot/${id}`, 'detail')
    } catch (error) {
      if (!isHoldfastError(error) || signal?.aborted) throw error
      failed.push({ id, error })
      progress.warn(`unable to remove snapshot/${id} from the repository: ${error.message}`)
    }
    step.add()
  })
  step.done()
  return { removed, failed }
}

/** Removes a snapshot file. One that is gone already is a success: a repeated call whose first answer was lost finds it so. */
export async function removeSnapshot(repository: Repository, id: Id, signal?: AbortSignal): Promise<void> {
  try {
    await repository.storage.delete({ kind: 'snapshot', name: id }, { signal })
  } catch (error) {
    if (!isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) throw error
  }
}

const refused = (message: string, hint: string): HoldfastError =>
  new HoldfastError('HF_POLICY_EMPTY', message, { hint })
