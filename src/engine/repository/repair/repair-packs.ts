import { isHoldfastError } from '../../../lib/errors.ts'
import type { Id } from '../../../lib/id.ts'
import { forEachParallel } from '../../../lib/parallel.ts'
import type { Progress } from '../../../lib/progress.ts'
import type { BlobType } from '../blob.ts'
import { rewriteIndex } from '../index/rewrite-index.ts'
import { entriesOf } from '../pack/blob-rows.ts'
import type { PackEntry } from '../pack/header.ts'
import { readPackHeader } from '../pack/read-header.ts'
import { readRanges } from '../pack/read-ranges.ts'
import type { Repository } from '../repository.ts'
import { BlobWriter } from '../write/blob-writer.ts'
import { copyPack } from './copy-pack.ts'
import { readAgain } from './read-again.ts'

export interface RepairPacksOptions {
  readonly packs: readonly Id[]
  /** Folder in which each pack is copied to `pack-<id>` before anything is changed. Absent: no copies are made. */
  readonly copyTo?: string | undefined
  readonly progress: Progress
  readonly signal?: AbortSignal | undefined
}

/** What became of one pack. */
export interface RepairedPack {
  readonly pack: Id
  /** Blobs that are in new packs now. */
  readonly saved: number
  /** Blobs of it that are in no pack any more. */
  readonly lost: readonly { readonly type: BlobType; readonly id: Id }[]
}

/**
 * Saves every blob of the packs that still is what its id says to new packs, then removes the packs from the index, and deletes them. In
 * this order, so it can be cut off anywhere and run again. What is lost can be cut out of the snapshots by `repairSnapshots`, or comes back
 * when the same files are backed up again. Loads the index afterwards.
 *
 * The index must be loaded. Wants the exclusive lock.
 *
 * @throws HoldfastError HF_TARGET_INVALID when a copy cannot be made: nothing has changed then; storage errors of writing
 */
export async function repairPacks(repository: Repository, options: RepairPacksOptions): Promise<RepairedPack[]> {
  const { copyTo, progress, signal } = options
  const packs = new Set(options.packs)
  if (copyTo !== undefined) await copyPacks(repository, packs, copyTo, progress, signal)
  progress.note('salvaging intact data from specified pack files')
  const sizes = await sizesOf(repository, packs, signal)
  const indexed = new Map(repository.index.listings((pack) => packs.has(pack)).map(({ pack, rows }) => [pack, rows]))
  const writer = new BlobWriter(repository, signal)
  const attempts: { readonly pack: Id; readonly blobs: readonly PackEntry[]; readonly saved: ReadonlySet<string> }[] =
    []
  const step = progress.step('pack files', packs.size)
  for (const pack of packs) {
    const sizeBytes = sizes.get(pack)
    const rows = indexed.get(pack)
    // An entry of the index may be wrong or missing where the pack itself is right.
    const blobs = distinct([
      ...(rows ? entriesOf(rows) : []),
      ...(await headerEntries(repository, pack, sizeBytes, signal)),
    ])
    if (blobs.length === 0) progress.warn(`no blobs found for pack ${pack}`)
    attempts.push({ pack, blobs, saved: await saveIntact(writer, pack, blobs, sizeBytes ?? 0, progress, signal) })
    step.add()
  }
  await writer.flush()
  step.done()

  progress.note('rebuilding index')
  await rewriteIndex(repository, { removePacks: packs, progress, signal })
  progress.note('removing salvaged pack files')
  await deletePacks(repository, sizes, progress, signal)
  await repository.loadIndex(signal)
  return attempts.map(({ pack, blobs, saved }) => ({ pack, saved: saved.size, lost: lostBlobs(repository, blobs) }))
}

async function copyPacks(
  repository: Repository,
  packs: ReadonlySet<Id>,
  folder: string,
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<void> {
  progress.note(`saving backup copies of pack files to ${folder}`)
  for (const pack of packs) {
    const failure = await copyPack(repository, pack, folder, signal)
    if (failure) progress.warn(`will remove pack file ${pack}, which cannot be read: ${failure.message}`)
  }
}

/** Sizes of those packs that are there. */
async function sizesOf(
  repository: Repository,
  packs: ReadonlySet<Id>,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<Id, number>> {
  const sizes = new Map<Id, number>()
  await forEachParallel(packs, repository.storage.properties.connections, async (pack) => {
    try {
      sizes.set(pack, (await repository.storage.stat({ kind: 'data', name: pack }, { signal })).sizeBytes)
    } catch (error) {
      if (!isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) throw error
    }
  })
  return sizes
}

/** What the pack says of itself; nothing when that is damaged, too. */
async function headerEntries(
  repository: Repository,
  pack: Id,
  sizeBytes: number | undefined,
  signal: AbortSignal | undefined,
): Promise<readonly PackEntry[]> {
  if (sizeBytes === undefined) return []
  try {
    return await readAgain(() => readPackHeader(repository, pack, sizeBytes, signal))
  } catch (error) {
    if (!isHoldfastError(error) || error.code === 'HF_INTERRUPTED') throw error
    return []
  }
}

const distinct = (entries: readonly PackEntry[]): readonly PackEntry[] => [
  ...new Map(
    entries.map((entry) => [`${keyOf(entry)} ${entry.offset} ${entry.length} ${entry.uncompressedLength}`, entry]),
  ).values(),
]

const keyOf = ({ type, id }: { readonly type: BlobType; readonly id: Id }): string => `${type} ${id}`

/** Saves the blobs that are intact; returns which. */
async function saveIntact(
  writer: BlobWriter,
  pack: Id,
  blobs: readonly PackEntry[],
  sizeBytes: number,
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<ReadonlySet<string>> {
  const { repository } = writer
  const saved = new Set<string>()
  const there = blobs.filter(({ offset, length }) => offset + length <= sizeBytes)
  for await (const { blob, sealed } of readWhatCanBe(repository, pack, there, signal)) {
    const intact = await intactBytes(repository, pack, blob, sealed, progress, signal)
    if (!intact) continue
    await writer.saveSealed(blob.type, blob.id, intact, blob.uncompressedLength, { duplicate: true })
    saved.add(keyOf(blob))
  }
  return saved
}

/** The sealed bytes of a blob: those given, or, when they are damaged, what a second reading brings; undefined when that is damaged, too. */
async function intactBytes(
  repository: Repository,
  pack: Id,
  blob: PackEntry,
  sealed: Uint8Array,
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<Uint8Array | undefined> {
  const { type, id, offset, length } = blob
  let bytes: Uint8Array | undefined = sealed
  const open = async (): Promise<Uint8Array> => {
    const given = bytes ?? (await repository.storage.get({ kind: 'data', name: pack }, { offset, length }, { signal }))
    bytes = undefined
    repository.openBlob(type, id, { pack, ...blob }, given)
    return given
  }
  try {
    return await readAgain(open)
  } catch (error) {
    if (!isHoldfastError(error) || error.code === 'HF_INTERRUPTED') throw error
    progress.warn(error.message)
    return undefined
  }
}

/** Reads blobs together where that works, one by one where it does not: a bad sector must not take its neighbours along. */
async function* readWhatCanBe(
  repository: Repository,
  pack: Id,
  blobs: readonly PackEntry[],
  signal: AbortSignal | undefined,
): AsyncGenerator<{ readonly blob: PackEntry; readonly sealed: Uint8Array }> {
  const left = new Set(blobs)
  try {
    for await (const piece of readRanges(repository.storage, pack, blobs, signal)) {
      left.delete(piece.blob)
      yield piece
    }
    return
  } catch (error) {
    if (!isHoldfastError(error) || error.code === 'HF_INTERRUPTED') throw error
  }
  for (const blob of left) {
    try {
      const { offset, length } = blob
      yield { blob, sealed: await repository.storage.get({ kind: 'data', name: pack }, { offset, length }, { signal }) }
    } catch (error) {
      if (!isHoldfastError(error) || error.code === 'HF_INTERRUPTED') throw error
    }
  }
}

/** Deletes packs nothing refers to any more. One that cannot be deleted is left to the next prune. */
async function deletePacks(
  repository: Repository,
  packs: ReadonlyMap<Id, number>,
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<void> {
  const step = progress.step('files deleted', packs.size)
  await forEachParallel(packs.keys(), repository.storage.properties.connections, async (pack) => {
    try {
      await repository.storage.delete({ kind: 'data', name: pack }, { signal })
    } catch (error) {
      if (!isHoldfastError(error) || error.code === 'HF_INTERRUPTED') throw error
      progress.warn(`failed to delete pack file ${pack}: ${error.message}`)
    }
    step.add()
  })
  step.done()
}

function lostBlobs(repository: Repository, blobs: readonly PackEntry[]): RepairedPack['lost'] {
  const lost = new Map<string, { type: BlobType; id: Id }>()
  for (const { type, id } of blobs) if (!repository.index.has(type, id)) lost.set(keyOf({ type, id }), { type, id })
  return [...lost.values()]
}
