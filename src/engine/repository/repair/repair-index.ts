import { isHoldfastError } from '../../../lib/errors.ts'
import type { Id } from '../../../lib/id.ts'
import { forEachParallel } from '../../../lib/parallel.ts'
import type { Progress } from '../../../lib/progress.ts'
import { type ReadIndexes, readIndexes } from '../check/check-index.ts'
import { rewriteIndex } from '../index/rewrite-index.ts'
import { type PackListing, rowsOf } from '../pack/blob-rows.ts'
import { readPackHeader } from '../pack/read-header.ts'
import type { Repository } from '../repository.ts'
import { readAgain } from './read-again.ts'

export interface RepairIndexOptions {
  /** Believe nothing in the present index: read the header of every pack. */
  readonly readAllPacks?: boolean
  readonly progress: Progress
  readonly signal?: AbortSignal | undefined
}

/** What a repair of the index came to. */
export interface RepairIndexResult {
  /** Index files that could not be read and are gone. */
  readonly removedIndexes: readonly Id[]
  /** Packs whose headers were read and which the index now lists as these say. */
  readonly addedPacks: readonly Id[]
  /** Packs that are not there and that the index does not list any more. */
  readonly removedPacks: readonly Id[]
  /** Packs of a wrong size without a readable header. What the index says of them was kept, for "repair packs" to save what it can. */
  readonly damagedPacks: readonly Id[]
  /** Packs that are in no index and have no readable header: nothing can be done with them. */
  readonly unreadablePacks: readonly Id[]
}

/** What is to be done about the packs. */
interface Sorted {
  readonly toRead: Map<Id, number>
  readonly missing: Id[]
}

/**
 * Makes the index fit the packs that are there: packs it does not know, knows with another size or lists in two ways are read from their
 * own headers, packs that are gone are dropped, damaged index files are replaced. New index files are stored before old ones are deleted,
 * so it can be cut off anywhere and run again. Loads the index afterwards.
 *
 * restic also drops packs of a wrong size whose header is lost, and with them what is intact in them; see `damagedPacks`.
 *
 * Wants the exclusive lock.
 *
 * @throws HoldfastError storage errors; an index file that merely cannot be fetched is not taken for a damaged one
 */
export async function repairIndex(repository: Repository, options: RepairIndexOptions): Promise<RepairIndexResult> {
  const { readAllPacks = false, progress, signal } = options
  progress.note('loading indexes...')
  const known = await readIndexes(repository, progress, signal)
  const removedIndexes: Id[] = []
  for (const [name, error] of known.unreadable) {
    if (!isHoldfastError(error, 'HF_DATA_DAMAGED', 'HF_CRYPTO_AUTH')) throw error
    progress.warn(`removing invalid index ${name}: ${error.message}`)
    removedIndexes.push(name)
  }
  progress.note('getting pack files to read...')
  const { toRead, missing } = await sortPacks(repository, known, readAllPacks, progress, signal)
  const { added, unreadable } = await readHeaders(repository, toRead, progress, signal)
  const isKept = (pack: Id): boolean => !readAllPacks && known.index.hasPack(pack)
  const damagedPacks = unreadable.filter(isKept)
  for (const pack of damagedPacks) progress.warn(`pack ${pack} is damaged: run "holdfast repair packs ${pack}"`)

  progress.note('rebuilding index')
  await rewriteIndex(repository, {
    removePacks: new Set([...missing, ...added.map(({ pack }) => pack)]),
    addPacks: added,
    obsolete: readAllPacks ? [...known.files, ...removedIndexes] : removedIndexes,
    progress,
    signal,
  })
  await repository.loadIndex(signal)
  return {
    removedIndexes,
    addedPacks: added.map(({ pack }) => pack),
    removedPacks: missing,
    damagedPacks,
    unreadablePacks: unreadable.filter((pack) => !isKept(pack)),
  }
}

async function sortPacks(
  repository: Repository,
  { index, byPack }: ReadIndexes,
  readAllPacks: boolean,
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<Sorted> {
  const toRead = new Map<Id, number>()
  const present = new Set<Id>()
  for await (const { name, sizeBytes } of repository.storage.list('data', { signal })) {
    present.add(name)
    const expected = index.packFacts(name)?.sizeBytes
    if (expected === undefined) progress.warn(`adding pack file to index ${name}`)
    else if (expected !== sizeBytes)
      progress.warn(`reindexing pack file ${name} with unexpected size ${sizeBytes} instead of ${expected}`)
    else if (byPack.get(name)!.contents.size > 1)
      progress.warn(`reindexing pack file ${name}, which index files list differently`)
    else if (!readAllPacks) continue
    toRead.set(name, sizeBytes)
  }
  const missing: Id[] = []
  for (const { id } of index.packs()) {
    if (present.has(id)) continue
    progress.warn(`removing not found pack file ${id}`)
    missing.push(id)
  }
  return { toRead, missing }
}

async function readHeaders(
  repository: Repository,
  packs: ReadonlyMap<Id, number>,
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<{ readonly added: readonly PackListing[]; readonly unreadable: readonly Id[] }> {
  const added: PackListing[] = []
  const unreadable: Id[] = []
  if (packs.size === 0) return { added, unreadable }
  progress.note('reading pack files')
  const step = progress.step('packs', packs.size)
  await forEachParallel(packs, repository.storage.properties.connections, async ([pack, sizeBytes]) => {
    try {
      const header = await readAgain(() => readPackHeader(repository, pack, sizeBytes, signal))
      added.push({ pack, rows: rowsOf(header) })
    } catch (error) {
      if (!isHoldfastError(error, 'HF_PACK_DAMAGED', 'HF_STORAGE_NOT_FOUND', 'HF_STORAGE_SHORT')) throw error
      progress.note(`skipped incomplete pack file: ${pack}`, 'detail')
      unreadable.push(pack)
    }
    step.add()
  })
  step.done()
  return { added, unreadable }
}
