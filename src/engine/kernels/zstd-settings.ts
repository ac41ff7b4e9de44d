import { constants } from 'node:zlib'
import { HoldfastError } from '../../lib/errors.ts'

/** Compression parameters in zstd's own words; what is absent follows from the level. */
export interface ZstdSettings {
  /** 1 to 22, or -7 to -1 for faster and less than level 1. */
  readonly level: number
  /** Base 2 logarithm of the window, 10 to 23. */
  readonly windowLog?: number
  readonly hashLog?: number
  readonly chainLog?: number
  readonly searchLog?: number
  /** Shortest match looked for, 3 to 7; longer is faster. */
  readonly minMatch?: number
  readonly targetLength?: number
  /** 1 (fast) to 9 (btultra2). */
  readonly strategy?: number
}

/** Largest window used for writing: 8 MiB, the size of the largest chunk; every reader of restic's format has room for it. */
export const MAX_WINDOW_LOG = 23

/** From this level on zstd's own choice of a window may exceed MAX_WINDOW_LOG. */
const WIDE_WINDOW_LEVEL = 20

/** Pairs of parameter number (as in zstd.h) and value; HF_INTERNAL when the settings are out of range. */
export function zstdParameters(settings: ZstdSettings): readonly (readonly [parameter: number, value: number])[] {
  const { level } = settings
  if (!Number.isInteger(level) || level < -7 || level > 22 || level === 0) throw unusable('level', level)
  const windowLog = settings.windowLog ?? (level >= WIDE_WINDOW_LEVEL ? MAX_WINDOW_LOG : undefined)
  if (windowLog !== undefined && (windowLog < 10 || windowLog > MAX_WINDOW_LOG)) throw unusable('windowLog', windowLog)
  const optional: readonly (readonly [number, number | undefined])[] = [
    [constants.ZSTD_c_windowLog, windowLog],
    [constants.ZSTD_c_hashLog, settings.hashLog],
    [constants.ZSTD_c_chainLog, settings.chainLog],
    [constants.ZSTD_c_searchLog, settings.searchLog],
    [constants.ZSTD_c_minMatch, settings.minMatch],
    [constants.ZSTD_c_targetLength, settings.targetLength],
    [constants.ZSTD_c_strategy, settings.strategy],
  ]
  return [
    [constants.ZSTD_c_compressionLevel, level],
    [constants.ZSTD_c_contentSizeFlag, 1],
    [constants.ZSTD_c_checksumFlag, 0],
    [constants.ZSTD_c_dictIDFlag, 0],
    ...optional.filter((pair): pair is readonly [number, number] => pair[1] !== undefined),
  ]
}

function unusable(name: string, value: number): HoldfastError {
  return new HoldfastError('HF_INTERNAL', `zstd cannot be used with ${name} ${value}`)
}
