import { closeSync, readSync } from 'node:fs'
import { HoldfastError, systemErrorCode } from '../../../lib/errors.ts'
import { ID_BYTES } from '../../../lib/id.ts'
import { plainError } from '../../../lib/worker-pool.ts'
import { createCipher } from '../../kernels/cipher.ts'
import { createRabinScanner, MAX_CHUNK_BYTES, MIN_CHUNK_BYTES, type RabinScanner } from '../../kernels/rabin.ts'
import { hashTogether, type Sha256Job } from '../../kernels/sha256.ts'
import type { Zstd } from '../../kernels/zstd.ts'
import { willRead } from '../../posix/advice.ts'
import { type FileAttributes, fstat, sameContentAttributes } from '../../posix/attributes.ts'
import { compresses, createCompressor, createStreamCompressor } from '../../repository/compression.ts'
import { BlobTable } from '../../repository/index/blob-table.ts'
import { type FinishedPack, PackWriter } from '../../repository/pack/pack-writer.ts'
import { SharedIdSet, type SharedIdSetMemory } from '../../repository/write/shared-id-set.ts'
import { BlobPatcher } from './blob-patcher.ts'
import { type FileBatch, isAsListed, RESULT_FIELDS, sizeInBatch } from './file-batch.ts'
import type { DataRange, FileRemark, NewData, SavedBlobs, SavedContent, SaverData, SaverResult } from './messages.ts'
import { OpenSources } from './open-sources.ts'
import type { PatchBatch } from './patch-batch.ts'

/** Room for one chunk of the largest size and enough beside it that several are hashed together. */
const BUFFER_BYTES = 2 * MAX_CHUNK_BYTES

/** A file that changes while it is read is read again, at most this often. */
const MAX_READS = 3

/** 512 KiB of zeros: where a file has a hole this is every chunk, known without looking. */
const ZERO_CHUNK_ID: Uint8Array = Buffer.from('07854d2fef297a06ba81685e660c332de36d5d18d546927d30daad6d7fda1541', 'hex')

/** A stretch of the buffer that becomes a blob. */
interface Chunk {
  readonly start: number
  readonly end: number
  /** Where the cost of a new blob is counted. */
  readonly added: NewData
}

/** An open file whose content lies in the buffer. */
interface StableRead extends Disposable {
  readonly fd: number
  readonly size: number
  readonly whole: boolean
  readonly attributes: FileAttributes | undefined
  readonly unstable: boolean
}

/** How a saver gets rid of full packs. */
export interface PackStore {
  /**
   * Stores a pack durably, at once or later; packs of which it is not yet known are few. Returns memory for the next pack when that of this
   * one is still needed; `newMemory` makes some.
   */
  store(pack: FinishedPack, newMemory: () => Uint8Array): Uint8Array | undefined
  /** Returns once all packs are stored. */
  settle(): void
}

/**
 * The write path of file content, synchronous, on one thread: read, cut, hash, skip what is known, compress, seal, verify, pack. All
 * buffers are kept for ever; file bytes are read into the scanner's memory and not copied until they are compressed.
 */
export class Saver {
  readonly #data: SaverData
  readonly #scanner: RabinScanner
  readonly #pack: PackWriter
  /** Made when the first cut bytes come: files do without. */
  #streamZstd: Zstd | undefined
  #patcher: BlobPatcher | undefined
  readonly #stored: readonly BlobTable[]
  readonly #claimed: SharedIdSet
  readonly #store: PackStore
  #ids: Uint8Array = new Uint8Array(256 * ID_BYTES)
  #idCount = 0
  #added: NewData = noData()

  constructor(data: SaverData, store: PackStore) {
    this.#data = data
    this.#store = store
    this.#scanner = createRabinScanner(data.chunkerPolynomial, BUFFER_BYTES)
    this.#stored = data.index.tables.data.map((memory) => new BlobTable(memory))
    this.#claimed = new SharedIdSet(data.claimed)
    this.#pack = new PackWriter({
      type: 'data',
      cipher: createCipher(data.key),
      zstd: compresses(data.version, data.compression, 'data') ? createCompressor(data.compression) : undefined,
      targetBytes: data.packBytes,
      extraVerify: data.extraVerify,
    })
  }

  adopt(claimed: SharedIdSetMemory): void {
    this.#claimed.adopt(claimed)
  }

  /** Saves whole files. A file that cannot be read fails alone. */
  saveFiles(batch: FileBatch): SaverResult {
    using sources = new OpenSources(batch, this.#data.preserveAccessTimes)
    const results = new Float64Array(batch.count * RESULT_FIELDS)
    const remarks: FileRemark[] = []
    const added = Array.from({ length: batch.count }, noData)
    const chunks: Chunk[] = []
    let at = 0
    for (let file = 0; file < batch.count; file++) {
      if (at > 0 && at + sizeInBatch(batch, file) + 1 > BUFFER_BYTES) {
        this.#saveChunks(chunks)
        at = 0
      }
      const idsBefore = this.#idCount + chunks.length
      try {
        using read = this.#readStable(batch, file, sources.take(file), at)
        let { size } = read
        if (read.whole) {
          this.#cut(at, at + size, true, added[file]!, chunks)
          at += size
        } else {
          // It has outgrown what it was when listed: piece by piece, from the start.
          this.#saveChunks(chunks)
          at = 0
          size = this.#saveLong(read.fd, added[file]!)
        }
        results[file * RESULT_FIELDS + 1] = size
        if (read.attributes) remarks.push({ file, attributes: read.attributes, unstable: read.unstable })
      } catch (error) {
        if (systemErrorCode(error) === undefined || error instanceof HoldfastError) throw error
        remarks.push({ file, error: plainError(error) })
      }
      results[file * RESULT_FIELDS] = this.#idCount + chunks.length - idsBefore
    }
    this.#saveChunks(chunks)
    for (const [file, { newBlobs, newBytes, storedBytes }] of added.entries())
      results.set([newBlobs, newBytes, storedBytes], file * RESULT_FIELDS + 2)
    return { kind: 'files', results, remarks, content: this.#takeContent() }
  }

  /**
   * Saves the part of an open file from `offset` on that fits the buffer. `onCut` is called as soon as the next part's beginning is known,
   * so that another thread can start on it while this one compresses.
   */
  saveSegment(
    fd: number,
    offset: number,
    dataRanges: readonly DataRange[] | undefined,
    onCut: (nextOffset: number, end: boolean) => void,
  ): SaverResult {
    const holes = this.#skipHole(offset, dataRanges)
    const from = offset + holes
    // Read by whichever thread takes the next part, at the latest when this one compresses.
    willRead(fd, from + BUFFER_BYTES, BUFFER_BYTES)
    let read: number
    try {
      read = readFully(fd, this.#scanner.memory, 0, BUFFER_BYTES, from, dataRanges)
    } catch (error) {
      // The ids of the hole are nobody's: least of all those of the next file.
      this.#takeContent()
      throw error
    }
    const end = read < BUFFER_BYTES
    const chunks: Chunk[] = []
    const used = this.#cut(0, read, end, noData(), chunks)
    onCut(from + used, end)
    this.#saveChunks(chunks)
    return { kind: 'segment', content: this.#takeContent(), bytes: holes + used }
  }

  /** Saves bytes that were cut by somebody else: `ends` are the ends of the blobs, ascending. */
  saveCut(bytes: Uint8Array, ends: Uint32Array): SaverResult {
    const places: { start: number; end: number }[] = []
    let start = 0
    for (const end of ends) {
      places.push({ start, end })
      start = end
    }
    return { kind: 'cut', content: this.#saveEach(places, bytes) }
  }

  /** Saves blobs that come of others by changes. */
  savePatched(patches: PatchBatch): SaverResult {
    this.#patcher ??= new BlobPatcher(createCipher(this.#data.key))
    const { memory, blobs, differences, failed } = this.#patcher.patch(patches)
    return { kind: 'patch', content: this.#saveEach(blobs, memory), differences, failed }
  }

  /** Saves stretches of `memory`, one blob each, and tells what each costs. */
  #saveEach(places: readonly { readonly start: number; readonly end: number }[], memory: Uint8Array): SavedBlobs {
    const chunks = places.map((place): Chunk => ({ ...place, added: noData() }))
    const each = chunks.map(({ added }) => added)
    this.#saveChunks(chunks, memory, this.#streamCompressor())
    return { ...this.#takeContent(), stored: Uint32Array.from(each, ({ storedBytes }) => storedBytes) }
  }

  /** Hands over the pack in the making, once all others are stored. */
  finish(): SaverResult {
    this.#store.settle()
    return { kind: 'finish', ...this.#pack.takePartial() }
  }

  /** Reads an open file, which it closes, to `at` until it is read without having changed; `whole` is false when it does not fit. */
  #readStable(batch: FileBatch, file: number, fd: number, at: number): StableRead {
    try {
      let before: FileAttributes | undefined
      for (let reads = 1; ; reads++) {
        const room = BUFFER_BYTES - at
        const size = readFully(fd, this.#scanner.memory, at, room, 0, undefined)
        const after = fstat(fd)
        if (after.type !== 'file') throw Object.assign(new Error('it is no longer a regular file'), { code: 'EINVAL' })
        const asBefore = before ? sameContentAttributes(before, after) : isAsListed(batch, file, after)
        const stable = asBefore && size === after.size
        if (stable || reads === MAX_READS || size === room) {
          const attributes = stable && !before ? undefined : after
          return { fd, size, whole: size < room, attributes, unstable: !stable, [Symbol.dispose]: () => closeSync(fd) }
        }
        before = after
      }
    } catch (error) {
      closeSync(fd)
      throw error
    }
  }

  /** Saves an open file of any size from its beginning; returns its size. */
  #saveLong(fd: number, added: NewData): number {
    let offset = 0
    for (let end = false; !end; ) {
      const read = readFully(fd, this.#scanner.memory, 0, BUFFER_BYTES, offset, undefined)
      end = read < BUFFER_BYTES
      const chunks: Chunk[] = []
      offset += this.#cut(0, read, end, added, chunks)
      this.#saveChunks(chunks)
    }
    return offset
  }

  /** Cuts buffer bytes [start, end) into chunks; the rest without a cut becomes one too when the file ends there. Returns bytes used. */
  #cut(start: number, end: number, isEnd: boolean, added: NewData, chunks: Chunk[]): number {
    let from = start
    while (end - from > MIN_CHUNK_BYTES) {
      const cut = this.#scanner.findCut(from, from, end)
      if (cut < 0) break
      chunks.push({ start: from, end: cut, added })
      from = cut
    }
    if (isEnd && end > from) {
      chunks.push({ start: from, end, added })
      from = end
    }
    return from - start
  }

  /** Records the zero chunks of a hole that begins at `offset`; returns their bytes. */
  #skipHole(offset: number, dataRanges: readonly DataRange[] | undefined): number {
    if (!dataRanges) return 0
    const next = dataRanges.find((range) => range.end > offset)
    if (!next || next.start <= offset) return 0
    const count = Math.floor((next.start - offset) / MIN_CHUNK_BYTES)
    if (count === 0) return 0
    this.#scanner.memory.fill(0, 0, MIN_CHUNK_BYTES)
    this.#reserveIds(count)
    for (let i = 0; i < count; i++) this.#ids.set(ZERO_CHUNK_ID, this.#idCount++ * ID_BYTES)
    this.#saveNew(ZERO_CHUNK_ID, 0, { start: 0, end: MIN_CHUNK_BYTES, added: noData() }, this.#scanner.memory)
    return count * MIN_CHUNK_BYTES
  }

  /** Hashes `chunks` of `memory` together with the pack's new bytes, saves the unknown ones, and empties the list. */
  #saveChunks(chunks: Chunk[], memory: Uint8Array = this.#scanner.memory, zstd?: Zstd): void {
    if (chunks.length === 0) return
    this.#reserveIds(chunks.length)
    const jobs: Sha256Job[] = this.#pack.hashJobs()
    const first = this.#idCount
    for (const { start, end } of chunks) {
      const at = this.#idCount++ * ID_BYTES
      jobs.push({ bytes: memory.subarray(start, end), digest: this.#ids.subarray(at, at + ID_BYTES) })
    }
    hashTogether(jobs)
    for (const [i, chunk] of chunks.entries()) this.#saveNew(this.#ids, (first + i) * ID_BYTES, chunk, memory, zstd)
    chunks.length = 0
  }

  #saveNew(ids: Uint8Array, at: number, { start, end, added }: Chunk, memory: Uint8Array, zstd?: Zstd): void {
    for (const table of this.#stored) if (table.find(ids, at) >= 0) return
    if (!this.#claimed.claim(ids, at)) return
    const storedBytes = this.#pack.add(ids, at, memory.subarray(start, end), zstd)
    for (const sum of [added, this.#added]) {
      sum.newBlobs++
      sum.newBytes += end - start
      sum.storedBytes += storedBytes
    }
    if (!this.#pack.isFull) return
    const pack = this.#pack.finish()
    if (this.#data.dryRun) return
    try {
      const next = this.#store.store(pack, () => this.#pack.newMemory())
      if (next) this.#pack.useMemory(next)
    } catch (error) {
      // It may still be on its way.
      this.#pack.useMemory(this.#pack.newMemory())
      throw error
    }
  }

  #streamCompressor(): Zstd | undefined {
    const { version, compression } = this.#data
    if (!compresses(version, compression, 'data')) return undefined
    this.#streamZstd ??= createStreamCompressor(compression)
    return this.#streamZstd
  }

  #reserveIds(count: number): void {
    const needed = (this.#idCount + count) * ID_BYTES
    if (needed <= this.#ids.length) return
    const ids = new Uint8Array(Math.max(needed, this.#ids.length * 2))
    ids.set(this.#ids.subarray(0, this.#idCount * ID_BYTES))
    this.#ids = ids
  }

  #takeContent(): SavedContent {
    const content = { ids: this.#ids.slice(0, this.#idCount * ID_BYTES), ...this.#added }
    this.#idCount = 0
    this.#added = noData()
    return content
  }
}

/**
 * Reads up to `length` bytes of the file from `position` into `target` at `at`; fewer only at the end of the file. Holes are not read but
 * written as zeros.
 */
function readFully(
  fd: number,
  target: Uint8Array,
  at: number,
  length: number,
  position: number,
  dataRanges: readonly DataRange[] | undefined,
): number {
  let done = 0
  while (done < length) {
    const offset = position + done
    let want = length - done
    const range = dataRanges?.find((candidate) => candidate.end > offset)
    if (range && range.start > offset) {
      const zeros = Math.min(want, range.start - offset)
      target.fill(0, at + done, at + done + zeros)
      done += zeros
      continue
    }
    if (range) want = Math.min(want, range.end - offset)
    const read = readSync(fd, target, at + done, want, offset)
    if (read === 0) break
    done += read
  }
  return done
}

const noData = (): NewData => ({ newBlobs: 0, newBytes: 0, storedBytes: 0 })
