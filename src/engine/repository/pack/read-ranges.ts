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

/** A stretch of a pack, and the blobs in it that are wanted, in order of their place. */
export interface PackRange<Blob extends Placed> extends Placed {
  readonly blobs: readonly Blob[]
}

export interface RangeLimits {
  readonly gapBytes: number
  /** Only a blob that is larger by itself makes a larger range. */
  readonly requestBytes: number
}

/** How to read some blobs of one pack with few requests. */
export function* rangesOf<Blob extends Placed>(
  blobs: readonly Blob[],
  { gapBytes, requestBytes }: RangeLimits,
): Generator<PackRange<Blob>> {
  const sorted = blobs.toSorted((a, b) => a.offset - b.offset)
  for (let first = 0; first < sorted.length; ) {
    const { offset, length } = sorted[first]!
    let end = offset + length
    let next = first + 1
    for (; next < sorted.length; next++) {
      const blob = sorted[next]!
      if (blob.offset - end > gapBytes || blob.offset + blob.length - offset > requestBytes) break
      end = Math.max(end, blob.offset + blob.length)
    }
    yield { offset, length: end - offset, blobs: sorted.slice(first, next) }
    first = next
  }
}

/** Reads some blobs of a pack with few requests, in order of their place. `sealed` is a view on memory shared by neighbours. */
export async function* readRanges<Blob extends Placed>(
  storage: Storage,
  pack: Id,
  blobs: readonly Blob[],
  signal?: AbortSignal,
): AsyncGenerator<{ readonly blob: Blob; readonly sealed: Uint8Array }> {
  const limits = { gapBytes: MAX_GAP_BYTES, requestBytes: MAX_REQUEST_BYTES }
  for (const { offset, length, blobs: wanted } of rangesOf(blobs, limits)) {
    const bytes = await storage.get({ kind: 'data', name: pack }, { offset, length }, { signal })
    for (const blob of wanted)
      yield { blob, sealed: bytes.subarray(blob.offset - offset, blob.offset - offset + blob.length) }
  }
}
