import { remoteRanges } from '../repository/pack/read-ranges.ts'
import type { PackTask, Placements } from './content-plan.ts'
import type { DataBlobs } from './data-blobs.ts'

/** A stretch of a pack that is fetched with one request, and the tasks that need it. */
export interface PackFetch {
  /** Number of the pack in the index. */
  readonly pack: number
  readonly offset: number
  readonly length: number
  readonly tasks: readonly PackTask[]
}

/**
 * With which requests the tasks of a plan, which each need one stretch of a pack, get their bytes: neighbours in a pack that together are no
 * more than a request brings share one.
 */
export function planFetches(tasks: readonly PackTask[], placements: Placements, rows: DataBlobs): PackFetch[] {
  const fetches: { pack: number; offset: number; length: number; tasks: PackTask[] }[] = []
  for (const task of tasks) {
    const { offset, length } = stretchOf(task, placements, rows)
    const last = fetches.at(-1)
    const end = last && last.offset + last.length
    if (
      last?.pack === task.pack &&
      offset - end! <= remoteRanges.gapBytes &&
      offset + length - last.offset <= Math.max(last.length, remoteRanges.requestBytes)
    ) {
      last.tasks.push(task)
      last.length = Math.max(end!, offset + length) - last.offset
    } else fetches.push({ pack: task.pack, offset, length, tasks: [task] })
  }
  return fetches
}

/** Where the first blob of a task begins, and the bytes to the end of the last one. */
function stretchOf(
  { from, to }: PackTask,
  { row }: Placements,
  rows: DataBlobs,
): { readonly offset: number; readonly length: number } {
  const offset = rows.offset(row[from]!)
  let end = offset
  for (let at = from; at < to; at++)
    if (at === from || row[at] !== row[at - 1]) end = Math.max(end, rows.offset(row[at]!) + rows.length(row[at]!))
  return { offset, length: end - offset }
}
