import type { Id } from '../../../lib/id.ts'
import type { Storage } from '../../storage/storage.ts'

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

/**
 * How packs of a store behind a network are read. Unneeded bytes are read along up to what crosses a connection in the time that another
 * request waits for its answer: 50 ms at 20 MiB/s. A request brings so much that waiting for it hardly counts, and so little that each
 * connection can have one under way in bounded memory.
 */
export const remoteRanges: RangeLimits = { gapBytes: 1024 * 1024, requestBytes: 8 * 1024 * 1024 }

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
  for (const { offset, length, blobs: wanted } of rangesOf(blobs, remoteRanges)) {
    const bytes = await storage.get({ kind: 'data', name: pack }, { offset, length }, { signal })
    for (const blob of wanted)
      yield { blob, sealed: bytes.subarray(blob.offset - offset, blob.offset - offset + blob.length) }
  }
}
