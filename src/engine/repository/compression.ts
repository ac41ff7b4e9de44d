import { constants } from 'node:zlib'
import { createZstd, type Zstd, type ZstdSettings } from '../kernels/zstd.ts'
import type { BlobType } from './blob.ts'
import type { RepositoryVersion } from './config.ts'

/** restic's names: `off` stores data blobs as they are, the others choose between speed and size. */
export type CompressionMode = 'auto' | 'off' | 'fastest' | 'better' | 'max'

export const compressionModes: readonly CompressionMode[] = ['auto', 'off', 'fastest', 'better', 'max']

/** Whether blobs of `type` are compressed: never in version 1, trees always in version 2. */
export const compresses = (version: RepositoryVersion, mode: CompressionMode, type: BlobType): boolean =>
  version === 2 && (type === 'tree' || mode !== 'off')

/**
 * Blobs up to this size gain most from a higher level and cost least: on the benchmark tree this split is as small as restic's default
 * for two thirds of the time that level 3 takes for everything.
 */
const SMALL_BLOB_BYTES = 768 * 1024

/** The compressor of a mode, for one thread. */
export function createCompressor(mode: CompressionMode): Zstd {
  switch (mode) {
    case 'fastest':
      return createZstd({ level: 1 })
    case 'better':
      return createZstd({ level: 8 })
    case 'max':
      return createZstd({ level: 19, windowLog: 23 })
    default:
      return bySize([SMALL_BLOB_BYTES, { level: 3 }], [Number.POSITIVE_INFINITY, { level: 2 }])
  }
}

/** Up to this size a blob is taken for pages of a database. */
const PAGE_BLOB_BYTES = 32 * 1024
/** Up to this size level 2 is made for blobs of dumps, but for one thing: from 128 KiB on it looks for matches twice. */
const STREAM_BLOB_BYTES = 256 * 1024

/**
 * The compressor for what was cut on purpose: pages of databases, small pieces of dumps. Their blobs are small and nearly alike in size, and
 * on pages and rows level 2 leaves no more than level 3, for two thirds of its time; looking once, as it does for the smallest blobs,
 * leaves as much for a seventh less.
 *
 * For inputs as small as pages zstd's own parameters have a hash table larger than the input, and up to 16 KiB matches of four bytes, which
 * cost more than they save beside the digits and letters of rows. Pages take 0.4 % less at 32 KiB, 2 % less at 16 KiB, and less time.
 */
export const createStreamCompressor = (mode: CompressionMode): Zstd =>
  mode === 'auto'
    ? bySize(
        [PAGE_BLOB_BYTES, { level: 1, strategy: constants.ZSTD_fast, minMatch: 5, hashLog: 12 }],
        [STREAM_BLOB_BYTES, { level: 2, strategy: constants.ZSTD_fast, hashLog: 15 }],
        [Number.POSITIVE_INFINITY, { level: 2 }],
      )
    : createCompressor(mode)

/** Settings for inputs of up to so many bytes, ascending; the last are for all others. */
function bySize(...steps: readonly (readonly [upToBytes: number, settings: ZstdSettings])[]): Zstd {
  const made: (Zstd | undefined)[] = []
  const at = (step: number): Zstd => {
    made[step] ??= createZstd(steps[step]![1])
    return made[step]
  }
  return {
    compress: (input, output) => {
      let step = 0
      while (input.length > steps[step]![0]) step++
      return at(step).compress(input, output)
    },
    decompress: (input, output) => at(0).decompress(input, output),
    close: () => {
      for (const zstd of made) zstd?.close()
    },
  }
}
