import { asBuffer } from '../../../lib/bytes.ts'
import { HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import type { Id } from '../../../lib/id.ts'
import { forEachParallel } from '../../../lib/parallel.ts'
import { type PackListing, rowsOf } from '../pack/blob-rows.ts'
import type { Repository } from '../repository.ts'
import type { IndexCache } from './index-cache.ts'
import { decodeIndex, type IndexedPack } from './index-file.ts'
import type { MasterIndex } from './master-index.ts'

/**
 * Loads every index file into `index`, from the local cache of decoded ones where it can. Returns their ids. A file that vanishes between
 * listing and reading was replaced by somebody's rewrite: the listing is taken anew, once.
 * @throws HoldfastError HF_DATA_DAMAGED, HF_CRYPTO_AUTH for a damaged index file
 */
export async function loadIndexFiles(
  repository: Repository,
  index: MasterIndex,
  cache: IndexCache | undefined,
  signal?: AbortSignal,
): Promise<ReadonlySet<Id>> {
  const loaded = new Set<Id>()
  for (let round = 0; ; round++) {
    const names = await repository.list('index', signal)
    try {
      const missing = names.filter((name) => !loaded.has(name))
      await forEachParallel(missing, repository.storage.properties.connections, async (name) => {
        await loadOne(repository, index, name, cache, signal)
        loaded.add(name)
      })
      await cache?.retain(loaded)
      return loaded
    } catch (error) {
      if (round > 0 || !isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) throw error
    }
  }
}

/** Reads and decodes one index file; `visit` gets each pack it lists. Nothing is cached. */
export async function readIndexFile(
  repository: Repository,
  name: Id,
  visit: (pack: IndexedPack) => void,
  signal?: AbortSignal,
): Promise<void> {
  const json = await repository.loadUnpacked('index', name, signal)
  if (repository.config.version === 1 && asBuffer(json).includes('"uncompressed_length"'))
    throw new HoldfastError('HF_DATA_DAMAGED', `index ${name} lists compressed blobs in a repository of version 1`)
  decodeIndex(json, name, visit)
}

async function loadOne(
  repository: Repository,
  index: MasterIndex,
  name: Id,
  cache: IndexCache | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const cached = await cache?.read(name)
  if (cached) {
    for (const listing of cached) index.load(listing)
    return
  }
  const packs: PackListing[] = []
  await readIndexFile(repository, name, ({ pack, blobs }) => packs.push({ pack, rows: rowsOf(blobs) }), signal)
  for (const listing of packs) index.load(listing)
  await cache?.write(name, packs)
}
