import { fromHex } from '../../../lib/bytes.ts'
import { isHoldfastError } from '../../../lib/errors.ts'
import type { Id } from '../../../lib/id.ts'
import { sha256Hex } from '../../kernels/sha256.ts'
import { type BlobType, blobTypes } from '../blob.ts'
import { BlobRows, rowCount } from '../pack/blob-rows.ts'
import { type FinishedPack, PackWriter, type PartialPack } from '../pack/pack-writer.ts'
import type { Repository } from '../repository.ts'
import { IndexWriter } from './index-writer.ts'
import type { PackSink } from './pack-sink.ts'
import { SharedIdSet } from './shared-id-set.ts'

/** What saving a blob came to. */
export interface SavedBlob {
  readonly id: Id
  /** False when the repository, or this run before, had it already. */
  readonly isNew: boolean
  /** Bytes the blob takes in its pack, header entry included; 0 when it was there already. */
  readonly storedBytes: number
}

export interface SaveOptions {
  /** Save it once more although the repository has it: for repacking. */
  readonly duplicate?: boolean
}

/** Counts of what a run has stored. */
export interface StoredCounts {
  readonly blobs: Record<BlobType, number>
  readonly packs: Record<BlobType, number>
  /** Bytes of all packs stored. */
  packBytes: number
}

/** A full pack that is being stored while the next one is made. */
interface PackOnItsWay {
  /** Resolves also when it failed, which `#failure` knows. */
  readonly stored: Promise<void>
  /** All of the memory it lies in. */
  readonly memory: Uint8Array
}

/**
 * Saves blobs on this thread: skips known ones, packs the others, stores full packs and keeps the index up to date. Used for trees and
 * by everything that rewrites blobs; file content in bulk goes through worker threads that share `claimed` and report their packs here.
 */
export class BlobWriter {
  readonly repository: Repository
  readonly counts: StoredCounts = { blobs: { data: 0, tree: 0 }, packs: { data: 0, tree: 0 }, packBytes: 0 }
  /** Ids of data and tree blobs this run has saved or is about to save. */
  readonly claimed: Readonly<Record<BlobType, SharedIdSet>> = { data: new SharedIdSet(), tree: new SharedIdSet() }
  readonly index: IndexWriter
  readonly #packs: Readonly<Record<BlobType, PackWriter>>
  readonly #signal: AbortSignal | undefined
  readonly #sink: PackSink | undefined
  /** The last full pack of each type: one is enough to hide the time that a far store takes to answer. */
  readonly #onItsWay = new Map<BlobType, PackOnItsWay>()
  #turn: Promise<unknown> = Promise.resolve()
  /** Blobs that were in a pack which could not be stored are lost: nothing may be flushed as if they were not. */
  #failure: { readonly error: unknown } | undefined

  constructor(repository: Repository, signal?: AbortSignal, sink?: PackSink) {
    this.repository = repository
    this.#signal = signal
    this.#sink = sink
    this.index = new IndexWriter(repository)
    const writer = (type: BlobType): PackWriter =>
      new PackWriter({
        type,
        cipher: repository.cipher,
        zstd: repository.compressorFor(type),
        targetBytes: repository.packBytes,
        extraVerify: repository.extraVerify,
      })
    this.#packs = { data: writer('data'), tree: writer('tree') }
  }

  /** Whether the blob is stored, or about to be by this run. */
  has(type: BlobType, id: Id): boolean {
    return this.repository.index.has(type, id) || this.claimed[type].has(fromHex(id))
  }

  /** As `has`, for an id of 32 bytes. */
  hasBytes(type: BlobType, id: Uint8Array): boolean {
    return this.repository.index.hasBytes(type, id) || this.claimed[type].has(id)
  }

  /** Saves `plaintext`, whose id may be given when it is known, unless it is stored already. */
  async save(
    type: BlobType,
    plaintext: Uint8Array,
    id: Id = sha256Hex(plaintext),
    options: SaveOptions = {},
  ): Promise<SavedBlob> {
    return await this.#saveNew(type, id, options, (pack) => pack.add(fromHex(id), 0, plaintext))
  }

  /** Saves a blob that is sealed with this repository's key, as it is, unless it is stored already. */
  async saveSealed(
    type: BlobType,
    id: Id,
    sealed: Uint8Array,
    uncompressedLength: number,
    options: SaveOptions = {},
  ): Promise<SavedBlob> {
    return await this.#saveNew(type, id, options, (pack) => pack.addSealed(fromHex(id), 0, sealed, uncompressedLength))
  }

  /** Goes on with the unfinished pack of a worker thread. */
  async savePartial(type: BlobType, partial: PartialPack): Promise<void> {
    await this.#inTurn(async () => {
      const pack = this.#packs[type]
      const blobs = new BlobRows(partial.rows)
      for (let row = 0; row < blobs.count; row++) {
        const sealed = partial.bytes.subarray(blobs.offset(row), blobs.offset(row) + blobs.length(row))
        pack.addSealed(blobs.bytes, blobs.idAt(row), sealed, blobs.uncompressedLength(row))
        await this.#added(type)
      }
    })
  }

  /** Stores a pack that a worker thread has finished and could not store itself. */
  async storePack(pack: FinishedPack): Promise<void> {
    const kept = this.#sink?.keep?.(pack)
    try {
      const options = { signal: this.#signal, cacheable: pack.type === 'tree' }
      await this.repository.storage.put({ kind: 'data', name: pack.id }, pack.bytes, options)
    } catch (error) {
      // The name is the hash of the content: what is there is this pack, from an earlier try.
      if (!isHoldfastError(error, 'HF_STORAGE_EXISTS')) {
        this.#failure ??= { error }
        throw error
      }
    } finally {
      await kept
    }
    await this.packStored({ ...pack, sizeBytes: pack.bytes.length })
  }

  /** Notes a pack that is stored durably. */
  async packStored(pack: Omit<FinishedPack, 'bytes'> & { readonly sizeBytes: number }): Promise<void> {
    this.counts.packs[pack.type]++
    this.counts.blobs[pack.type] += rowCount(pack.rows)
    this.counts.packBytes += pack.sizeBytes
    this.#sink?.onStored({ pack: pack.id, type: pack.type, rows: pack.rows })
    await this.index.add({ pack: pack.id, rows: pack.rows })
  }

  /**
   * Stores what is not yet a full pack, then the index. Nothing may refer to a saved blob before this. Once a pack could not be stored, this
   * and all saving fail.
   */
  async flush(): Promise<void> {
    await this.#inTurn(async () => {
      const stored = await Promise.allSettled([
        ...blobTypes
          .filter((type) => !this.#packs[type].isEmpty)
          .map((type) => this.storePack(this.#packs[type].finish())),
        ...blobTypes.map((type) => this.#onItsWay.get(type)?.stored),
      ])
      for (const result of stored) if (result.status === 'rejected') throw result.reason
      if (this.#failure) throw this.#failure.error
      await this.index.flush(this.#signal)
    })
  }

  async #saveNew(
    type: BlobType,
    id: Id,
    { duplicate = false }: SaveOptions,
    add: (pack: PackWriter) => number,
  ): Promise<SavedBlob> {
    if (!duplicate && this.repository.index.has(type, id)) return { id, isNew: false, storedBytes: 0 }
    this.claimed[type].grow()
    if (!this.claimed[type].claim(fromHex(id))) return { id, isNew: false, storedBytes: 0 }
    return await this.#inTurn(async () => {
      const storedBytes = add(this.#packs[type])
      await this.#added(type)
      return { id, isNew: true, storedBytes }
    })
  }

  async #added(type: BlobType): Promise<void> {
    const writer = this.#packs[type]
    if (!writer.isFull) return
    const pack = writer.finish()
    if (this.repository.storage.properties.directory !== undefined) {
      await this.storePack(pack)
      return
    }
    const before = this.#onItsWay.get(type)
    const stored = this.storePack(pack).catch((error: unknown) => {
      this.#failure ??= { error }
    })
    this.#onItsWay.set(type, { stored, memory: new Uint8Array(pack.bytes.buffer) })
    await before?.stored
    writer.useMemory(before?.memory ?? writer.newMemory())
  }

  /** Pack memory is one, or two for a far store; whoever fills it waits until a full pack is stored. */
  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(() => {
      if (this.#failure) throw this.#failure.error
      return work()
    })
    this.#turn = turn.catch(() => undefined)
    return await turn
  }
}
