import type { RewriteOutcome } from '../../engine/repository/rewrite.ts'
import { shortId } from '../../lib/id.ts'
import type { RewriteOptions } from '../descriptions/rewrite.ts'
import type { Output } from './output.ts'
import { goTimeText, snapshotLine } from './snapshot-line.ts'

/** What `rewrite` did about a snapshot, or would do. */
export function printRewritten(
  output: Output,
  { snapshot, changed, saved }: RewriteOutcome,
  { dryRun, forget, newTime, newHost }: RewriteOptions,
): void {
  if (output.json) {
    if (changed !== undefined)
      output.message({ message_type: 'changed', old_snapshot_id: snapshot.id, new_snapshot_id: saved?.id })
    return
  }
  output.print(`\n${snapshotLine(snapshot)}`)
  if (changed === undefined) return
  if (dryRun) {
    output.print('would save new snapshot')
    if (forget) output.print('would remove old snapshot')
  }
  if (newTime !== undefined) output.print(`${dryRun ? 'would set' : 'setting'} time to ${goTimeText(newTime)}`)
  if (newHost !== undefined) output.print(`${dryRun ? 'would set hostname' : 'setting host'} to ${newHost}`)
  if (saved === undefined) return
  output.print(`saved new snapshot ${shortId(saved.id)}`)
  if (forget) output.print(`removed old snapshot ${shortId(snapshot.id)}`)
}

/** The last line of `rewrite` and `repair snapshots`. */
export function printChangedCount(output: Output, count: number, dryRun: boolean): void {
  if (output.json) {
    output.message({ message_type: 'summary', changed_snapshots: count, ...(dryRun ? { dry_run: true } : {}) })
    return
  }
  if (count === 0) output.print(`\nno snapshots ${dryRun ? 'would be' : 'were'} modified`)
  else output.print(`\n${dryRun ? 'would modify' : 'modified'} ${count} snapshots`)
}
