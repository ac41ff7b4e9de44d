import { asBuffer } from '../../../lib/bytes.ts'
import { type HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import { type Id, shortId } from '../../../lib/id.ts'
import { forEachParallel } from '../../../lib/parallel.ts'
import type { Progress } from '../../../lib/progress.ts'
import { sha256Hex } from '../../kernels/sha256.ts'
import { blobTypes } from '../blob.ts'
import type { IndexedPack } from '../index/index-file.ts'
import { readIndexFile } from '../index/load-index.ts'
import { MasterIndex } from '../index/master-index.ts'
import { rowsOf } from '../pack/blob-rows.ts'
import type { PackEntry } from '../pack/header.ts'
import type { Repository } from '../repository.ts'
import type { Report } from './finding.ts'

/** Index files that list a pack, and the different lists they give: SHA-256 of their rows ascending by offset. */
export interface PackListings {
  readonly files: Id[]
  readonly contents: Set<string>
}

/** All that index files say, and which of them say nothing because they are damaged. */
export interface ReadIndexes {
  readonly index: MasterIndex
  /** Ids of intact index files. */
  readonly files: ReadonlySet<Id>
  readonly unreadable: ReadonlyMap<Id, HoldfastError>
  readonly byPack: ReadonlyMap<Id, PackListings>
}

/**
 * Reads all index files from the storage, never from a local cache. Failures other than being cancelled are part of the result.
 */
export async function readIndexes(
  repository: Repository,
  progress: Progress,
  signal?: AbortSignal,
): Promise<ReadIndexes> {
  const index = new MasterIndex()
  const byPack = new Map<Id, PackListings>()
  const files = new Set<Id>()
  const unreadable = new Map<Id, HoldfastError>()
  const names = await repository.list('index', signal)
  const step = progress.step('index files loaded', names.length, 'brief')
  await forEachParallel(names, repository.storage.properties.connections, async (name) => {
    const packs = new Map<Id, PackEntry[]>()
    try {
      await readIndexFile(repository, name, (pack) => collect(packs, pack), signal)
    } catch (error) {
      if (!isHoldfastError(error) || error.code === 'HF_INTERRUPTED') throw error
      unreadable.set(name, error)
      return
    }
    for (const [pack, blobs] of packs) {
      // Order within a listing means nothing.
      const rows = rowsOf(blobs.sort((a, b) => a.offset - b.offset || (a.id < b.id ? -1 : 1)))
      index.load({ pack, rows })
      note(byPack, pack, name, sha256Hex(asBuffer(rows)))
    }
    files.add(name)
    step.add()
  })
  step.done()
  return { index, files, unreadable, byPack }
}

/**
 * Reads the index anew and makes it the index of `repository`. Reports what cannot be read and packs that are listed twice, differently, or
 * with both types of blob. Returns what is listed; undefined when a file was damaged: what builds on the index would then report the
 * consequences rather than the cause.
 */
export async function checkIndex(
  repository: Repository,
  report: Report,
  progress: Progress,
  signal?: AbortSignal,
): Promise<ReadonlyMap<Id, PackListings> | undefined> {
  const { index, files, unreadable, byPack } = await readIndexes(repository, progress, signal)
  repository.useIndex(index, files)
  for (const [name, error] of unreadable)
    report({
      kind: 'index-damaged',
      severity: 'error',
      object: { type: 'index', id: name },
      message: `error loading index ${name}: ${error.message}`,
      details: [],
      hint: 'run "holdfast repair index", then check again',
    })
  reportListings(byPack, report)
  reportMixedPacks(index, report)
  return unreadable.size === 0 ? byPack : undefined
}

function collect(packs: Map<Id, PackEntry[]>, { pack, blobs }: IndexedPack): void {
  const known = packs.get(pack)
  if (known) for (const blob of blobs) known.push(blob)
  else packs.set(pack, [...blobs])
}

function note(byPack: Map<Id, PackListings>, pack: Id, file: Id, content: string): void {
  const known = byPack.get(pack)
  if (known) {
    known.files.push(file)
    known.contents.add(content)
  } else byPack.set(pack, { files: [file], contents: new Set([content]) })
}

function reportListings(byPack: ReadonlyMap<Id, PackListings>, report: Report): void {
  for (const [pack, { files, contents }] of byPack) {
    if (files.length === 1) continue
    const inFiles = files.sort().map(shortId).join(', ')
    if (contents.size > 1)
      report({
        kind: 'pack-listings-differ',
        severity: 'error',
        object: { type: 'data', id: pack },
        message: `pack ${pack} has different data in indexes: ${inFiles}`,
        details: [],
        hint: `run "holdfast repair packs ${pack}"`,
      })
    else
      report({
        kind: 'pack-in-several-indexes',
        severity: 'hint',
        object: { type: 'data', id: pack },
        message: `pack ${pack} contained in several indexes: ${inFiles}`,
        details: [],
        hint: 'duplicate entries do no harm; "holdfast repair index" removes them',
      })
  }
}

function reportMixedPacks(index: MasterIndex, report: Report): void {
  const types = new Uint8Array(index.packCount)
  for (const [bit, type] of blobTypes.entries())
    for (const table of index.tables(type))
      for (let row = 0; row < table.count; row++) types[table.pack(row)]! |= 1 << bit
  for (const { id, number } of index.packs())
    if (types[number] === 3)
      report({
        kind: 'pack-mixed',
        severity: 'hint',
        object: { type: 'data', id },
        message: `pack ${id} contains a mix of tree and data blobs`,
        details: [],
        hint: 'mixed packs do no harm; "holdfast prune" takes them apart',
      })
}
