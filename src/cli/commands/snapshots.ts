import { type StoredSnapshot, storedSnapshotJson } from '../../engine/repository/snapshot.ts'
import { groupSnapshots, newestOfEach, newestSnapshots } from '../../engine/repository/snapshot-group.ts'
import { compareTimes, formatTime } from '../../lib/go-time.ts'
import type { Id } from '../../lib/id.ts'
import { isVerification, type Proof, proofsOf } from '../../recovery/verification.ts'
import type { Command } from '../command.ts'
import { type SnapshotsOptions, snapshotsDescription } from '../descriptions/snapshots.ts'
import { groupKeyJson, renderSnapshotTable, snapshotGroupHeader } from '../output/snapshot-table.ts'
import { withRepository } from '../repository-session.ts'
import { loadChosenSnapshots } from '../snapshot-choice.ts'

const NO_GROUPING = { host: false, paths: false, tags: false }

export const snapshotsCommand: Command<SnapshotsOptions> = {
  ...snapshotsDescription,
  run(context, options, references) {
    const { output, environment } = context
    return withRepository(context, { lock: 'read' }, async ({ repository, signal }) => {
      const chosen = await loadChosenSnapshots(repository, references, options, output, signal)
      const by = options.groupBy ?? NO_GROUPING
      const isGrouped = by.host || by.paths || by.tags
      const isNamed = references.length > 0
      const shown = chosen.snapshots.filter((snapshot) => options.all || isNamed || !isVerification(snapshot))
      const proofs = proofsOf(chosen.all)
      const groups = groupSnapshots(shown, by).map((group) => ({
        ...group,
        snapshots: latest(group.snapshots, options.latest ?? 0, isGrouped),
      }))
      if (output.json) {
        const lists = groups.map(({ key, snapshots }) => ({
          group_key: groupKeyJson(key),
          snapshots: snapshots.map((snapshot) => ({ ...storedSnapshotJson(snapshot), ...proofJson(snapshot, proofs) })),
        }))
        output.message(isGrouped ? lists : lists.flatMap(({ snapshots }) => snapshots))
      } else
        for (const { key, snapshots } of groups) {
          if (isGrouped) output.result(snapshotGroupHeader(key))
          output.result(renderSnapshotTable(snapshots, { compact: options.compact, proofs, environment }))
        }
      return chosen.exitCode
    })
  },
}

/** What is known of a snapshot besides what restic knows; nothing for one that was never verified. */
function proofJson({ tree }: StoredSnapshot, proofs: ReadonlyMap<Id, Proof>): object {
  const proof = tree && proofs.get(tree)
  if (!proof) return {}
  return { proof: { level: proof.level, failed: proof.failed, verified_at: formatTime(proof.at) } }
}

/** The newest of a group, oldest first. */
function latest(snapshots: readonly StoredSnapshot[], count: number, isGrouped: boolean): StoredSnapshot[] {
  const newest =
    count === 0 ? snapshots : isGrouped ? newestSnapshots(snapshots, count) : newestOfEach(snapshots, count)
  return newest.toSorted((a, b) => compareTimes(a.time, b.time))
}
