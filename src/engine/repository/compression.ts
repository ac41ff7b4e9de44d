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
      return bySize(SMALL_BLOB_BYTES, { level: 3 }, { level: 2 })
  }
}

/** Up to this size level 2 is made for blobs of dumps and pages, but for one thing: from 128 KiB on it looks for matches twice. */
const STREAM_BLOB_BYTES = 256 * 1024

/**
 * The compressor for what was cut on purpose: pages of databases, small pieces of dumps. Their blobs are small and nearly alike in size, and
 * on pages and rows level 2 leaves no more than level 3, for two thirds of its time; looking once, as it does for the smallest blobs,
 * leaves as much for a seventh less.
 */
export const createStreamCompressor = (mode: CompressionMode): Zstd =>
  mode === 'auto'
    ? bySize(STREAM_BLOB_BYTES, { level: 2, strategy: constants.ZSTD_fast, hashLog: 15 }, { level: 2 })
    : createCompressor(mode)

function bySize(smallBytes: number, small: ZstdSettings, large: ZstdSettings): Zstd {
  const forSmall = createZstd(small)
  let forLarge: Zstd | undefined
  return {
    compress: (input, output) => {
      if (input.length <= smallBytes) return forSmall.compress(input, output)
      forLarge ??= createZstd(large)
      return forLarge.compress(input, output)
    },
    decompress: (input, output) => forSmall.decompress(input, output),
    close: () => {
      forSmall.close()
      forLarge?.close()
    },
  }
}
