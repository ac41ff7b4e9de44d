import type { Placements } from '../content-plan.ts'
import type { DataBlobs } from '../data-blobs.ts'

/** More unneeded bytes than this between two blobs are worth a read of their own. */
const MAX_GAP_BYTES = 1024 * 1024
/** Bytes read at a time; only a blob that is larger by itself makes a larger read. */
export const WINDOW_BYTES: number = 8 * 1024 * 1024

/** Bytes of a pack that are read at once, and the placements of the blobs in them. */
export interface ReadWindow {
  readonly offset: number
  readonly length: number
  readonly from: number
  readonly to: number
}

/** How the blobs of placements `from` to `to`, all in one pack, are read: in large pieces that leave out large gaps. */
export function* readWindows(
  { row }: Placements,
  rows: DataBlobs,
  from: number,
  to: number,
): IterableIterator<ReadWindow> {
  let windowFrom = from
  let offset = 0
  let end = 0
  for (let at = from; at < to; at++) {
    if (at > windowFrom && row[at] === row[at - 1]) continue
    const blobStart = rows.offset(row[at]!)
    const blobEnd = blobStart + rows.length(row[at]!)
    if (at === windowFrom) offset = blobStart
    else if (blobStart - end > MAX_GAP_BYTES || blobEnd - offset > WINDOW_BYTES) {
      yield { offset, length: end - offset, from: windowFrom, to: at }
      windowFrom = at
      offset = blobStart
      end = 0
    }
    end = Math.max(end, blobEnd)
  }
  if (to > from) yield { offset, length: end - offset, from: windowFrom, to }
}
