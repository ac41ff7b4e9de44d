import type { Id } from '../../../lib/id.ts'
import type { UsedBlobs } from '../used-blobs.ts'

/** What prune may and may not do. Sizes in bytes. */
export interface PruneOptions {
  /** How much unused data may stay, given how much is used: leaving some avoids rewriting packs for little gain. */
  readonly maxUnusedBytes: (usedBytes: number) => number
  /** Rewrite at most this much. */
  readonly maxRepackBytes: number
  /** Packs below this size are rewritten together; 0: found out from the sizes of all packs. */
  readonly smallPackBytes: number
  /** Rewrite only packs that a cache keeps (trees): for storage that is slow or dear to read. */
  readonly repackCacheableOnly: boolean
  /** Rewrite packs that hold uncompressed data. */
  readonly repackUncompressed: boolean
  /** The storage is full: delete the index first to get room, rewrite nothing. A crash then needs `repair index`. */
  readonly unsafeRecovery: boolean
}

/** Counts under restic's names, which `prune --json` prints. */
export interface PruneStats {
  readonly blobs: {
    used: number
    duplicate: number
    unused: number
    total: number
    repack: number
    repack_remove: number
    remove: number
    remove_total: number
    remaining: number
  }
  readonly bytes: {
    used: number
    duplicate: number
    unused: number
    unreferenced: number
    uncompressed: number
    total: number
    repack: number
    repack_remove: number
    remove: number
    remove_total: number
    remaining: number
    remaining_unused: number
  }
  readonly packfiles: {
    used: number
    unused: number
    partly_used: number
    unreferenced: number
    total: number
    keep: number
    repack: number
    remove: number
    remove_total: number
  }
}

/** Packs that stay because the store retains them, or an index file that lists them. */
export interface RetainedSpace {
  packs: number
  /** What they hold that nobody needs. */
  bytes: number
  /** When the first of them may go, since 1970; infinity when none ever may, or there is none. */
  earliestMs: number
}

/** What prune will do. Made by `planPrune`, carried out once by `executePrune` under the same exclusive lock. */
export interface PrunePlan {
  readonly options: PruneOptions
  readonly stats: PruneStats
  /** Packs in no index: leftovers of interrupted runs. */
  readonly removeFirst: readonly Id[]
  /** Packs whose blobs in use are rewritten; then they go. */
  readonly repack: readonly Id[]
  /** Packs with nothing in use. */
  readonly remove: readonly Id[]
  /** Packs an index lists that are not there and not needed. */
  readonly forget: readonly Id[]
  /** What would be removed if the store let anybody. */
  readonly retained: RetainedSpace
  /** Blobs in use; during repacking those that lie in no pack that stays. */
  readonly used: UsedBlobs
}

export const emptyStats = (): PruneStats => ({
  blobs: {
    used: 0,
    duplicate: 0,
    unused: 0,
    total: 0,
    repack: 0,
    repack_remove: 0,
    remove: 0,
    remove_total: 0,
    remaining: 0,
  },
  bytes: {
    used: 0,
    duplicate: 0,
    unused: 0,
    unreferenced: 0,
    uncompressed: 0,
    total: 0,
    repack: 0,
    repack_remove: 0,
    remove: 0,
    remove_total: 0,
    remaining: 0,
    remaining_unused: 0,
  },
  packfiles: {
    used: 0,
    unused: 0,
    partly_used: 0,
    unreferenced: 0,
    total: 0,
    keep: 0,
    repack: 0,
    remove: 0,
    remove_total: 0,
  },
})
