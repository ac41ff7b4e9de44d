import { copyThreads } from '../engine/repository/copy/fan-out.ts'
import { type CopiedSnapshot, type CopyPlan, SnapshotCopier } from '../engine/repository/copy/snapshot-copier.ts'
import type { StoredSnapshot } from '../engine/repository/snapshot.ts'
import type { Progress } from '../lib/progress.ts'
import { type CopyWay, parentFinder } from './copy-way.ts'
import { backupKey, type MissedRule, missedSnapshots } from './missed-snapshots.ts'
import { inWritingOrder, type RunRepository } from './run-repository.ts'

/** Snapshots of one source that one repository lacks and another has. */
export interface CatchUpStep extends CopyWay {
  /** Oldest first. */
  readonly snapshots: readonly StoredSnapshot[]
}

/**
 * What each repository of a source lacks, and which other one it comes from: one on this machine, else the first that has it.
 */
export function planCatchUp(
  source: string,
  repositories: readonly RunRepository[],
  rule: MissedRule,
): readonly CatchUpStep[] {
  const inOrder = inWritingOrder(repositories)
  return repositories.flatMap((to) => {
    const others = inOrder.filter((one) => one !== to)
    const missed = missedSnapshots(
      to.snapshots,
      others.flatMap(({ snapshots }) => snapshots),
      source,
      rule,
    )
    const wanted = new Set(missed.map(backupKey))
    return others.flatMap((from) => {
      const snapshots = missedSnapshots([], from.snapshots, source, 'all').filter((one) =>
        wanted.delete(backupKey(one)),
      )
      return snapshots.length === 0 ? [] : { from, to, source, snapshots }
    })
  })
}

export interface CatchUpOptions {
  readonly progress: Progress
  readonly onPlanned: (plan: CopyPlan) => void
  readonly onSaved: (snapshot: CopiedSnapshot) => void
  readonly signal?: AbortSignal | undefined
}

/** Copies what a step says; the indexes of both must be loaded. @throws as `SnapshotCopier.copy` */
export async function carryOut(
  step: CatchUpStep,
  { progress, onPlanned, onSaved, signal }: CatchUpOptions,
): Promise<readonly CopiedSnapshot[]> {
  const copier = copierOf(step, signal)
  const { parentOf, observer } = parentFinder(step)
  try {
    return await copier.copy(step.snapshots, {
      progress,
      parentOf,
      observer: {
        onPlanned: (_, plan) => onPlanned(plan),
        onSaved(snapshot) {
          observer.onSaved?.(snapshot)
          onSaved(snapshot)
        },
      },
    })
  } finally {
    await copier.close()
  }
}

/** How much a step would have to copy; the indexes of both must be loaded. */
export async function sizeOf(step: CatchUpStep, signal?: AbortSignal): Promise<CopyPlan> {
  const copier = copierOf(step, signal)
  try {
    return await copier.plan(step.snapshots)
  } finally {
    await copier.close()
  }
}

function copierOf({ from, to }: CatchUpStep, signal: AbortSignal | undefined): SnapshotCopier {
  const signals = [signal, from.signal, to.signal].filter((one) => one !== undefined)
  const threads = copyThreads(to.repository)
  return new SnapshotCopier(from.repository, to.repository, { threads, signal: AbortSignal.any(signals) })
}
