import { type Clock, systemClock } from '../../lib/clock.ts'
import type { Id } from '../../lib/id.ts'
import {
  type CacheFolder,
  listCacheFolders,
  prepareCacheFolder,
  removeCacheFolder,
} from '../storage/layers/cache-directory.ts'

/*
 * What is kept locally between runs, below one cache directory for all repositories:
 *
 *   CACHEDIR.TAG                       so that backups leave it out
 *   <repository id>/                   its time of change is the time of its last use
 *     data/, index/, snapshots/        copies of files of a remote repository (storage/layers/with-cache.ts)
 *     decoded-index/                   index files in the form they have in memory (index/index-cache.ts)
 *   locks/<repository id>/            which lock files processes of this machine have written (lock-records.ts)
 *
 * All of it may be deleted at any time.
 */

/** A cache that was not used for so many days is old. */
export const DEFAULT_MAX_AGE_DAYS = 30

const DAY_NANOSECONDS = 86_400_000_000_000n

/** The cache of one repository. */
export interface CachedRepository extends CacheFolder {
  /** Whole days since it was last used. */
  readonly ageDays: number
  readonly isOld: boolean
}

export interface CacheAgeOptions {
  readonly maxAgeDays?: number
  readonly clock?: Clock
}

/** All caches, the least recently used first. None when there is no such directory. */
export async function listCaches(directory: string, options: CacheAgeOptions = {}): Promise<CachedRepository[]> {
  const { maxAgeDays = DEFAULT_MAX_AGE_DAYS, clock = systemClock } = options
  return (await listCacheFolders(directory)).map((folder) => {
    const age = clock.now() - folder.lastUsed
    const ageDays = Math.max(0, Number(age / DAY_NANOSECONDS))
    return { ...folder, ageDays, isOld: age > BigInt(maxAgeDays) * DAY_NANOSECONDS }
  })
}

/** Removes the caches that are old. Returns them; `onFailure` gets those that could not be removed. */
export async function removeOldCaches(
  directory: string,
  options: CacheAgeOptions & { readonly onFailure?: (cache: CachedRepository, error: Error) => void } = {},
): Promise<CachedRepository[]> {
  const removed: CachedRepository[] = []
  for (const cache of await listCaches(directory, options)) {
    if (!cache.isOld) continue
    try {
      await removeCacheFolder(directory, cache.repositoryId)
      removed.push(cache)
    } catch (error) {
      options.onFailure?.(cache, error as Error)
    }
  }
  return removed
}

/**
 * Makes the folder of a repository and notes that it is used now. Returns its path; undefined when it cannot be made, which only means to
 * do without.
 */
export async function useCache(directory: string, repositoryId: Id, clock?: Clock): Promise<string | undefined> {
  return await prepareCacheFolder(directory, repositoryId, clock).catch(() => undefined)
}
