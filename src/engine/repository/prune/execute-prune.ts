import { HoldfastError } from '../../../lib/errors.ts'
import type { Id } from '../../../lib/id.ts'
import { forEachParallel } from '../../../lib/parallel.ts'
import type { Progress } from '../../../lib/progress.ts'
import { rewriteIndex } from '../index/rewrite-index.ts'
import type { Repository } from '../repository.ts'
import type { PrunePlan } from './prune-plan.ts'
import { type BlobToRepack, repackBlobs } from './repack.ts'

/**
 * Carries out a plan, in an order that a crash at any moment leaves at worst duplicates and unreferenced packs behind: unreferenced packs
 * go first, then blobs are rewritten, then the index, and only what no index lists any more is deleted. The exclusive lock under which the
 * plan was made must still be held.
 */
export async function executePrune(
  repository: Repository,
  plan: PrunePlan,
  progress: Progress,
  signal?: AbortSignal,
): Promise<void> {
  if (plan.removeFirst.length > 0) {
    progress.note('deleting unreferenced packs')
    await deletePacks(repository, plan.removeFirst, progress, signal)
  }
  const gone = new Set<Id>([...plan.forget, ...plan.remove])
  if (plan.repack.length > 0) {
    progress.note('repacking packs')
    const repacked = new Set(plan.repack)
    await repackBlobs(repository, blobsToRepack(repository, plan, repacked), progress, signal)
    for (const id of plan.repack) gone.add(id)
  }
  if (plan.options.unsafeRecovery) await recoverSpace(repository, gone, plan, progress, signal)
  else if (gone.size > 0) {
    progress.note('rebuilding index')
    await rewriteIndex(repository, { removePacks: gone, progress, signal })
    await removeOldPacks(repository, plan, progress, signal)
  }
  progress.note('done')
}

/** One copy of each blob in use that lies in no pack which stays, sorted by pack. */
function blobsToRepack(repository: Repository, plan: PrunePlan, repacked: ReadonlySet<Id>): Map<Id, BlobToRepack[]> {
  const leaves = new Set<Id>([...repacked, ...plan.remove, ...plan.forget])
  const byPack = new Map<Id, BlobToRepack[]>()
  for (const type of ['data', 'tree'] as const) {
    const table = plan.used.tables[type]
    for (let first = 0; first < table.count; ) {
      let end = first + 1
      while (table.repeats(end)) end++
      let source = -1
      let stays = plan.used.marks[type][first] !== 1
      for (let row = first; row < end && !stays; row++) {
        const pack = repository.index.packId(table.pack(row))
        if (!leaves.has(pack)) stays = true
        else if (repacked.has(pack)) source = row
      }
      if (!stays) {
        if (source < 0)
          throw new HoldfastError(
            'HF_INTERNAL',
            `prune would lose ${type} blob ${table.idHex(first)}; nothing was deleted`,
          )
        const pack = repository.index.packId(table.pack(source))
        const blob = {
          type,
          id: table.idHex(source),
          offset: table.offset(source),
          length: table.length(source),
          uncompressedLength: table.uncompressedLength(source),
        }
        const list = byPack.get(pack)
        if (list) list.push(blob)
        else byPack.set(pack, [blob])
      }
      first = end
    }
  }
  return byPack
}

async function removeOldPacks(
  repository: Repository,
  plan: PrunePlan,
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<void> {
  const packs = [...plan.remove, ...plan.repack]
  if (packs.length === 0) return
  progress.note(`removing ${packs.length} old packs`)
  await deletePacks(repository, packs, progress, signal)
}

/** Frees space before writing anything: first the index files go, then the packs, then one fresh index is written. */
async function recoverSpace(
  repository: Repository,
  gone: ReadonlySet<Id>,
  plan: PrunePlan,
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<void> {
  progress.note('deleting index files')
  const listings = repository.index.listings((pack) => !gone.has(pack))
  await forEachParallel(await repository.list('index', signal), repository.storage.properties.connections, (name) =>
    repository.storage.delete({ kind: 'index', name }, { signal }),
  )
  await removeOldPacks(repository, plan, progress, signal)
  await rewriteIndex(repository, { removePacks: new Set(), addPacks: listings, progress, signal })
}

/** Deletes packs nothing refers to. What cannot be deleted stays as an unreferenced pack for the next prune. */
async function deletePacks(
  repository: Repository,
  packs: readonly Id[],
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<void> {
  const step = progress.step('files deleted', packs.length)
  await forEachParallel(packs, repository.storage.properties.connections, async (name) => {
    try {
      await repository.storage.delete({ kind: 'data', name }, { signal })
    } catch (error) {
      if (signal?.aborted) throw error
      progress.warn(
        `unable to remove data/${name} from the repository: ${error instanceof Error ? error.message : error}`,
      )
    }
    step.add()
  })
  step.done()
}
