import {
  type RepairSnapshotsOptions as EngineOptions,
  repairSnapshots,
} from '../../engine/repository/repair/repair-snapshots.ts'
import type { Repository } from '../../engine/repository/repository.ts'
import { loadSnapshots, type UnreadableSnapshot } from '../../engine/repository/snapshots.ts'
import { HoldfastError } from '../../lib/errors.ts'
import type { Command } from '../command.ts'
import { type RepairSnapshotsOptions, repairSnapshotsDescription } from '../descriptions/repair-snapshots.ts'
import type { Output } from '../output/output.ts'
import { printRepair } from '../output/repair-report.ts'
import { printChangedCount } from '../output/rewrite-report.ts'
import { progressOf, withRepository } from '../repository-session.ts'
import { chooseSnapshots } from '../snapshot-choice.ts'

export const repairSnapshotsCommand: Command<RepairSnapshotsOptions> = {
  ...repairSnapshotsDescription,
  run(context, options, references) {
    const { output } = context
    const { forget, dryRun } = options
    return withRepository(context, { lock: 'exclusive', dryRun }, async ({ repository, signal }) => {
      const { unreadable, ...chosen } = await choose(repository, options, references, output, signal)
      await repository.loadIndex(signal)
      const { repairs, removed } = await repairSnapshots(repository, {
        ...chosen,
        unreadable,
        forget,
        dryRun,
        progress: progressOf(context),
        onSnapshot: (repair) => printRepair(output, repair, options),
        signal,
      })
      const changed = repairs.filter(({ outcome }) => outcome === 'repaired' || (outcome === 'lost' && forget))
      printChangedCount(output, changed.length + removed.length, dryRun)
      return chosen.exitCode
    })
  },
}

interface Choice extends Required<Pick<EngineOptions, 'snapshots' | 'unreadable'>> {
  /** 1 when there are snapshots that cannot be read and are left as they are. */
  readonly exitCode: number
}

/** A snapshot file that cannot be read is removed only when its full id is given, as "check" prints it. */
async function choose(
  repository: Repository,
  options: RepairSnapshotsOptions,
  references: readonly string[],
  output: Output,
  signal: AbortSignal,
): Promise<Choice> {
  const unreadable: UnreadableSnapshot[] = []
  const intact = await loadSnapshots(repository, { signal, onUnreadable: (snapshot) => unreadable.push(snapshot) })
  const named = unreadable.filter(({ id }) => references.includes(id))
  for (const { id, error } of named)
    if (!options.forget)
      throw new HoldfastError('HF_DATA_DAMAGED', `snapshot file ${id} is unreadable: ${error.message}`, {
        cause: error,
        hint: `bring it back from a copy of the repository, or remove it: holdfast repair snapshots --forget ${id}`,
      })
  const others = unreadable.filter((snapshot) => !named.includes(snapshot))
  for (const { id, error } of others)
    output.warn(
      `snapshot file ${id} is unreadable: ${error.message}\n"holdfast repair snapshots --forget ${id}" removes it`,
    )
  const rest = references.filter((reference) => !named.some(({ id }) => id === reference))
  return {
    snapshots:
      references.length > rest.length && rest.length === 0 ? [] : chooseSnapshots(intact, rest, options, output),
    unreadable: named.map(({ id }) => id),
    exitCode: others.length === 0 ? 0 : 1,
  }
}
