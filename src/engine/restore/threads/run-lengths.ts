import type { Placements } from '../content-plan.ts'
import type { DataBlobs } from '../data-blobs.ts'
import type { EntryTable } from '../entry-table.ts'

/** Smaller files say nothing: all of one may be a short run. */
const LEAST_FILE_BYTES = 1024 * 1024
const LEAST_AVERAGE_BYTES = 128 * 1024

/**
 * Whether placements `from` to `to` follow each other in large files for long enough that each run is worth a write of its own. Blocks that
 * many incremental backups have changed are not: in the system's cache they come to lie beside those of other packs.
 */
export function isInLongRuns(
  { row, entry, offset }: Placements,
  rows: DataBlobs,
  table: EntryTable,
  from: number,
  to: number,
): boolean {
  let bytes = 0
  let runs = 0
  let lastEntry = -1
  let end = -1
  for (let at = from; at < to; at++) {
    const e = entry[at]!
    if (table.memory.number[e]! < LEAST_FILE_BYTES) continue
    if (e !== lastEntry || offset[at] !== end) runs++
    const length = rows.plaintextLength(row[at]!)
    lastEntry = e
    end = offset[at]! + length
    bytes += length
  }
  return bytes >= runs * LEAST_AVERAGE_BYTES
}
