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
      return bySize({ level: 3 }, { level: 2 })
  }
}

/**
 * The compressor for what was cut on purpose: pages of databases, small pieces of dumps. Their blobs are small and nearly alike in size, and
 * on pages and rows level 2 leaves no more than level 3, for two thirds of its time.
 */
export const createStreamCompressor = (mode: CompressionMode): Zstd =>
  mode === 'auto' ? createZstd({ level: 2 }) : createCompressor(mode)

function bySize(small: ZstdSettings, large: ZstdSettings): Zstd {
  const forSmall = createZstd(small)
  let forLarge: Zstd | undefined
  return {
    compress: (input, output) => {
      if (input.length <= SMALL_BLOB_BYTES) return forSmall.compress(input, output)
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
