import type { Id } from '../../../lib/id.ts'
import { forEachParallel } from '../../../lib/parallel.ts'
import type { Progress } from '../../../lib/progress.ts'
import { type PackListing, rowCount, rowsOf } from '../pack/blob-rows.ts'
import type { Repository } from '../repository.ts'
import { retainedFiles } from '../retention/retained-files.ts'
import { encodeIndex, FULL_INDEX_BLOBS } from './index-file.ts'
import { readIndexFile } from './load-index.ts'

/** An index file with more blobs than this is written anew in parts, whatever is in it. */
const OVERSIZED_BLOBS = FULL_INDEX_BLOBS + 409_199

export interface RewriteIndexOptions {
  /** Packs of which index files are to say nothing any more of what they say. */
  readonly removePacks: ReadonlySet<Id>
  /** Packs to be listed anew, beside all that is left; they may be among `removePacks`. */
  readonly addPacks?: readonly PackListing[]
  /** Index files that are to go whatever is in them: unreadable ones. */
  readonly obsolete?: readonly Id[]
  readonly progress: Progress
  readonly signal?: AbortSignal | undefined
}

/**
 * Replaces the index files so that they list what they did, without some packs and with some others. Full files that need no change stay.
 * New files are stored before old ones are deleted: a crash in between leaves packs listed twice, which is harmless.
 */
export async function rewriteIndex(repository: Repository, options: RewriteIndexOptions): Promise<void> {
  const { removePacks, progress, signal } = options
  const listed = new Set<Id>()
  const obsolete: Id[] = [...(options.obsolete ?? [])]
  const skip = new Set(obsolete)
  let pending: PackListing[] = []
  let pendingBlobs = 0
  const save = async (): Promise<void> => {
    const packs = pending
    pending = []
    pendingBlobs = 0
    if (packs.length > 0) await repository.saveUnpacked('index', encodeIndex(packs), signal)
  }
  const add = async (listing: PackListing): Promise<void> => {
    if (listed.has(listing.pack)) return
    listed.add(listing.pack)
    pending.push(listing)
    pendingBlobs += rowCount(listing.rows)
    if (pendingBlobs >= FULL_INDEX_BLOBS) await save()
  }

  const names = (await repository.list('index', signal)).filter((name) => !skip.has(name))
  // Index files that the store retains stay as they are; `removePacks` has none of their packs, unless these are gone already.
  const retained = await retainedFiles(repository, 'index', names, signal)
  const rebuilding = progress.step('indexes processed', names.length)
  for (const name of names) {
    const packs: PackListing[] = []
    await readIndexFile(repository, name, ({ pack, blobs }) => packs.push({ pack, rows: rowsOf(blobs) }), signal)
    const blobs = packs.reduce((sum, { rows }) => sum + rowCount(rows), 0)
    const isFull = blobs >= FULL_INDEX_BLOBS && blobs <= OVERSIZED_BLOBS
    const stays = retained.has(name) || (isFull && !packs.some(({ pack }) => removePacks.has(pack) || listed.has(pack)))
    if (stays) for (const { pack } of packs) listed.add(pack)
    else {
      for (const listing of packs) if (!removePacks.has(listing.pack)) await add(listing)
      obsolete.push(name)
    }
    rebuilding.add()
  }
  for (const listing of options.addPacks ?? []) await add(listing)
  await save()
  rebuilding.done()

  const deleting = progress.step('old indexes deleted', obsolete.length)
  await forEachParallel(obsolete, repository.storage.properties.connections, async (name) => {
    await repository.storage.delete({ kind: 'index', name }, { signal })
    deleting.add()
  })
  deleting.done()
}
