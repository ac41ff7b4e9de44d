import { describeRetention, type RetainedSnapshots } from '../engine/repository/retention/retained-files.ts'
import { HoldfastError } from '../lib/errors.ts'
import { shortId } from '../lib/id.ts'
import type { Output } from './output/output.ts'

/** Says how many snapshots stay, or stay as they are, because the store retains their files; nothing when there are none. */
export function printRetained(output: Output, { snapshots, earliestMs }: RetainedSnapshots, stays: string): void {
  if (snapshots.length === 0) return
  output.print(`${snapshots.length} snapshots ${stays}, as the storage retains them ${describeRetention(earliestMs)}`)
}

/** What was asked for by name and could not be done. @throws HoldfastError HF_INCOMPLETE when there are any */
export function refuseRetained({ snapshots, earliestMs }: RetainedSnapshots, done: string): void {
  if (snapshots.length === 0) return
  const ids = snapshots.map(({ id }) => id)
  throw new HoldfastError(
    'HF_INCOMPLETE',
    `${snapshots.length} snapshots could not be ${done}: the storage retains them ${describeRetention(earliestMs)}`,
    {
      hint: `they are ${ids.slice(0, 5).map(shortId).join(', ')}${ids.length > 5 ? ' and others' : ''}; run it again when they are no longer retained`,
      context: { snapshots: ids.length, earliestMs },
    },
  )
}
