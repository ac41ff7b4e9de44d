import type { SnapshotRepair } from '../../engine/repository/repair/repair-snapshots.ts'
import type { TreeChange } from '../../engine/repository/repair/tree-repairer.ts'
import { shortId } from '../../lib/id.ts'
import type { RepairSnapshotsOptions } from '../descriptions/repair-snapshots.ts'
import type { Output } from './output.ts'
import { snapshotLine } from './snapshot-line.ts'

/** What `repair snapshots` did about a snapshot, or would do. */
export function printRepair(
  output: Output,
  { snapshot, changes, outcome, saved }: SnapshotRepair,
  { dryRun, forget }: RepairSnapshotsOptions,
): void {
  if (output.json) {
    if (outcome !== 'whole')
      output.message({
        message_type: 'changed',
        old_snapshot_id: snapshot.id,
        new_snapshot_id: saved?.id,
        outcome,
        changes: changes.map(({ path, what }) => ({ path, change: what })),
      })
    return
  }
  output.print(`\n${snapshotLine(snapshot)}`)
  for (const change of changes) output.print(describe(change))
  if (outcome === 'whole') return
  if (outcome === 'lost') {
    if (!forget) output.warn('nothing of it can be read; it is left alone, --forget removes it')
    else output.print(dryRun ? 'would delete empty snapshot' : `removed empty snapshot ${shortId(snapshot.id)}`)
    return
  }
  if (saved !== undefined) output.print(`saved new snapshot ${shortId(saved.id)}`)
  else output.print('would save new snapshot')
  if (forget) output.print(dryRun ? 'would remove old snapshot' : `removed old snapshot ${shortId(snapshot.id)}`)
}

function describe({ path, what }: TreeChange): string {
  const name = JSON.stringify(path)
  switch (what) {
    case 'unreadable-root':
      return `  dir ${name}: not readable`
    case 'emptied-directory':
      return `  dir ${name}: replaced with empty directory`
    case 'removed-missing-content':
      return `  file ${name}: removed missing content`
    case 'fixed-size':
      return `  file ${name}: fixed incorrect size`
    case 'removed-invalid-type':
      return `  file ${name}: removed node with invalid type`
  }
}
