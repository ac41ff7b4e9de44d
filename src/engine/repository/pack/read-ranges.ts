import type { Id } from '../../../lib/id.ts'
import type { Storage } from '../../storage/storage.ts'

/** Unneeded bytes up to this many between two blobs are read with them: cheaper than another request. */
const MAX_GAP_BYTES = 1024 * 1024
/** One request brings at most this much, so that memory stays flat. */
const MAX_REQUEST_BYTES = 32 * 1024 * 1024

interface Placed {
  readonly offset: number
  readonly length: number
}

/** Reads some blobs of a pack with few requests, in order of their place. `sealed` is a view on memory shared by neighbours. */
export async function* readRanges<Blob extends Placed>(
  storage: Storage,
  pack: Id,
  blobs: readonly Blob[],
  signal?: AbortSignal,
): AsyncGenerator<{ readonly blob: Blob; readonly sealed: Uint8Array }> {
  const sorted = blobs.toSorted((a, b) => a.offset - b.offset)
  for (let first = 0; first < sorted.length; ) {
    const start = sorted[first]!.offset
    let end = start + sorted[first]!.length
    let next = first + 1
    for (; next < sorted.length; next++) {
      const blob = sorted[next]!
      if (blob.offset - end > MAX_GAP_BYTES || blob.offset + blob.length - start > MAX_REQUEST_BYTES) break
      end = Math.max(end, blob.offset + blob.length)
    }
    const bytes = await storage.get({ kind: 'data', name: pack }, { offset: start, length: end - start }, { signal })
    for (const blob of sorted.slice(first, next))
      yield { blob, sealed: bytes.subarray(blob.offset - start, blob.offset - start + blob.length) }
    first = next
  }
}
