import { type CachedRepository, listCaches, removeOldCaches } from '../../engine/repository/cache-directory.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { formatTime, utcTimestamp } from '../../lib/go-time.ts'
import { formatSize } from '../../lib/sizes.ts'
import type { Command } from '../command.ts'
import { type CacheOptions, cacheDescription } from '../descriptions/cache.ts'
import { usageError } from '../descriptions/usage.ts'
import { renderTable } from '../output/table.ts'
import { cacheDirectoryOf } from '../repository-session.ts'

export const cacheCommand: Command<CacheOptions> = {
  ...cacheDescription,
  async run(context, options) {
    const { output, clock, global } = context
    const directory = cacheDirectoryOf(context)
    if (directory === undefined)
      throw global.noCache
        ? usageError('there is nothing to do with --no-cache')
        : new HoldfastError('HF_USAGE', 'there is no place for caches: neither HOME nor XDG_CACHE_HOME is set', {
            hint: 'give --cache-dir',
          })
    const age = { maxAgeDays: options.maxAgeDays, clock }
    if (!options.cleanup && !global.cleanupCache) {
      const caches = await listCaches(directory, age)
      if (output.json) output.message(caches.map((cache) => cacheJson(cache, options)))
      else output.result(cachesText(directory, caches, options))
      return 0
    }
    let failed = 0
    const removed = await removeOldCaches(directory, {
      ...age,
      onFailure: ({ path }, error) => {
        failed++
        output.warn(`unable to remove ${path}: ${error.message}`)
      },
    })
    if (output.json) output.message({ message_type: 'summary', removed_caches: removed.length })
    else
      output.print(removed.length === 0 ? 'no old cache dirs found' : `removed ${removed.length} old cache directories`)
    return failed === 0 ? 0 : 1
  },
}

function cachesText(directory: string, caches: readonly CachedRepository[], { noSize }: CacheOptions): string {
  if (caches.length === 0) return `no cache dirs found, basedir is ${directory}`
  const columns: (readonly [header: string, cell: (cache: CachedRepository) => string])[] = [
    ['Repo ID', ({ repositoryId }) => repositoryId.slice(0, 10)],
    ['Last Used', ({ ageDays }) => `${ageDays} days ago`],
    ['Old', ({ isOld }) => (isOld ? 'yes' : '')],
  ]
  if (!noSize) columns.push(['Size', ({ sizeBytes }) => formatSize(sizeBytes).padStart(11)])
  const table = renderTable({
    headers: columns.map(([header]) => header),
    rows: caches.map((cache) => columns.map(([, cell]) => cell(cache))),
  })
  return `${table}${caches.length} cache dirs in ${directory}`
}

const cacheJson = (cache: CachedRepository, { noSize }: CacheOptions): object => ({
  repository_id: cache.repositoryId,
  path: cache.path,
  last_used: formatTime(utcTimestamp(cache.lastUsed)),
  old: cache.isOld,
  size: noSize ? undefined : cache.sizeBytes,
})
