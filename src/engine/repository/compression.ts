import type { ZstdSettings } from '../kernels/zstd.ts'

/** restic's names: `off` stores data blobs as they are, the others choose between speed and size. */
export type CompressionMode = 'auto' | 'off' | 'fastest' | 'better' | 'max'

export const compressionModes: readonly CompressionMode[] = ['auto', 'off', 'fastest', 'better', 'max']

/**
 * zstd parameters of a mode. `auto` was chosen by measurement on the benchmark tree: as small as restic's default at less than half the time.
 */
export function zstdSettings(mode: CompressionMode): ZstdSettings {
  switch (mode) {
    case 'fastest':
      return { level: 1 }
    case 'better':
      return { level: 8 }
    case 'max':
      return { level: 19, windowLog: 23 }
    default:
      return { level: 2 }
  }
}
