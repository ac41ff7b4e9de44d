import { flag, type OptionTable, type RetiredOption, value, valueOr } from './option.ts'
import { maxUnusedKind, sizeKind, smallerThanKind, type UnusedLimit } from './quantities.ts'

/** What `prune` and `forget --prune` rewrite and what they tolerate. */
export interface PruneLimitOptions {
  readonly maxUnused: UnusedLimit
  readonly maxRepackSizeBytes: number | undefined
  readonly repackCacheableOnly: boolean
  readonly repackUncompressed: boolean
  readonly repackSmallerThanBytes: number | undefined
}

export const pruneLimitOptions: OptionTable<PruneLimitOptions> = {
  maxUnused: valueOr(
    'max-unused',
    maxUnusedKind,
    '5%',
    'leave this much unused data in packs that are partly used: a size, a percentage of the repository or "unlimited"',
  ),
  maxRepackSizeBytes: value('max-repack-size', sizeKind('size'), 'rewrite at most this much data in one run'),
  repackCacheableOnly: flag(
    'repack-cacheable-only',
    'rewrite only packs of folders and snapshots, not of file contents',
  ),
  repackUncompressed: flag('repack-uncompressed', 'rewrite everything that is not compressed yet'),
  repackSmallerThanBytes: value('repack-smaller-than', smallerThanKind, 'rewrite packs smaller than this'),
}

export const retiredPruneOptions: readonly RetiredOption[] = [
  { long: 'repack-small', note: 'small packs are always merged; --repack-smaller-than sets what is small' },
]
