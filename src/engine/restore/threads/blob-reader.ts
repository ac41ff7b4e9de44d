import { HoldfastError } from '../../../lib/errors.ts'
import { type Cipher, CRYPTO_OVERHEAD_BYTES } from '../../kernels/cipher.ts'
import { hashTogether, type Sha256Job } from '../../kernels/sha256.ts'
import { createZstd, type Zstd } from '../../kernels/zstd.ts'
import { DIRECT_BLOCK_BYTES, directMemory } from '../../posix/async-io.ts'
import type { Placements } from '../content-plan.ts'
import type { DataBlobs } from '../data-blobs.ts'
import type { ReadWindow } from './read-windows.ts'

/** Plaintext that is hashed together: enough blobs to keep all lanes busy, little enough to stay near the processor. */
const BATCH_BYTES = 8 * 1024 * 1024
const MAX_BATCH_BLOBS = 256

/** How the stored bytes of a window are had, or those of a single blob of a window that failed. */
export type ReadPiece = (window: ReadWindow) => Uint8Array

export interface BlobSink {
  /**
   * A blob that is what its id says, and the placements that want it. `bytes` are valid until `endBatch` has let go of its batch. Blobs that
   * follow each other in a file often do so in memory.
   */
  write(bytes: Uint8Array, from: number, to: number): void
  /** A blob that could not be had intact. */
  damaged(error: unknown, from: number, to: number): void
  /** Some blobs have been handed over. On return only the latest `held` batches are still in use. */
  endBatch(held: number): void
}

interface PendingBlob {
  readonly row: number
  readonly from: number
  readonly to: number
  readonly bytes: Uint8Array
}

/** One is filled while the others are on their way to the disk. */
const BUFFERS_FOR_DIRECT_WRITES = 3

/** Opens, decompresses and checks the blobs of a task. Keeps its buffers; belongs to one thread. */
export class BlobReader {
  readonly #cipher: Cipher
  readonly #zstd: Zstd = createZstd({ level: 1 })
  /** Plaintext of batches, in turn. */
  readonly #buffers: Uint8Array[]
  readonly #alignment: number
  #current = 0
  #compressed = new Uint8Array(BATCH_BYTES)
  #used = 0
  #pending: PendingBlob[] = []
  readonly #digests: readonly Uint8Array[]

  /** @param direct whether what is read is written directly: memory then lies as the files do, and is kept for longer */
  constructor(cipher: Cipher, direct: boolean) {
    this.#cipher = cipher
    const count = direct ? BUFFERS_FOR_DIRECT_WRITES : 1
    this.#alignment = direct ? DIRECT_BLOCK_BYTES : 1
    this.#buffers = Array.from({ length: count }, () => directMemory(BATCH_BYTES))
    const digests = new Uint8Array(MAX_BATCH_BLOBS * 32)
    this.#digests = Array.from({ length: MAX_BATCH_BLOBS }, (_, i) => digests.subarray(i * 32, i * 32 + 32))
  }

  /** Wipes the keys. */
  close(): void {
    this.#cipher.close()
    this.#zstd.close()
  }

  /** Reads the blobs of some windows and hands each, once, to `sink`, in the order of the placements. */
  read(
    placements: Placements,
    rows: DataBlobs,
    windows: Iterable<ReadWindow>,
    readPiece: ReadPiece,
    sink: BlobSink,
  ): void {
    for (const window of windows) {
      const piece = tryRead(readPiece, window)
      if (piece instanceof Uint8Array) this.#openBlobs(placements, rows, window, piece, sink)
      else this.#readSingly(placements, rows, window, readPiece, sink)
    }
    this.#flush(rows, sink)
  }

  /** Part of a window that cannot be read may be there all the same. */
  #readSingly(placements: Placements, rows: DataBlobs, window: ReadWindow, readPiece: ReadPiece, sink: BlobSink): void {
    for (const [from, to] of blobRuns(placements, window)) {
      const row = placements.row[from]!
      const single = { offset: rows.offset(row), length: rows.length(row), from, to }
      const piece = tryRead(readPiece, single)
      if (piece instanceof Uint8Array) this.#openBlobs(placements, rows, single, piece, sink)
      else sink.damaged(piece.error, from, to)
    }
  }

  #openBlobs(placements: Placements, rows: DataBlobs, window: ReadWindow, piece: Uint8Array, sink: BlobSink): void {
    for (const [from, to] of blobRuns(placements, window)) {
      const row = placements.row[from]!
      const length = rows.plaintextLength(row)
      const position = placements.offset[from]!
      if (this.#pending.length === MAX_BATCH_BLOBS || this.#place(position) + length > this.#plain.length)
        this.#flush(rows, sink)
      try {
        const at = this.#place(position)
        if (at + length > this.#plain.length) this.#plain = directMemory(at + length)
        const bytes = this.#plain.subarray(at, at + length)
        const start = rows.offset(row) - window.offset
        this.#open(rows, row, piece.subarray(start, start + rows.length(row)), bytes)
        this.#pending.push({ row, from, to, bytes })
        this.#used = at + length
      } catch (error) {
        sink.damaged(error, from, to)
      }
    }
  }

  get #plain(): Uint8Array {
    return this.#buffers[this.#current]!
  }

  set #plain(buffer: Uint8Array) {
    this.#buffers[this.#current] = buffer
  }

  /** Where the next blob comes to lie in memory: as far into a block of it as into one of the file. */
  #place(position: number): number {
    const beyond = (position - this.#used) % this.#alignment
    return this.#used + (beyond < 0 ? beyond + this.#alignment : beyond)
  }

  #open(rows: DataBlobs, row: number, sealed: Uint8Array, bytes: Uint8Array): void {
    if (sealed.length < CRYPTO_OVERHEAD_BYTES) throw damaged(rows, row, 'is too short')
    if (rows.uncompressedLength(row) === 0) {
      this.#cipher.open(sealed, bytes)
      return
    }
    const length = sealed.length - CRYPTO_OVERHEAD_BYTES
    if (length > this.#compressed.length) this.#compressed = new Uint8Array(length)
    const compressed = this.#compressed.subarray(0, length)
    this.#cipher.open(sealed, compressed)
    if (this.#zstd.decompress(compressed, bytes) !== bytes.length)
      throw damaged(rows, row, 'is shorter than it should be')
  }

  #flush(rows: DataBlobs, sink: BlobSink): void {
    const pending = this.#pending
    if (pending.length === 0) return
    const jobs: Sha256Job[] = []
    for (let i = 0; i < pending.length; i++) jobs.push({ bytes: pending[i]!.bytes, digest: this.#digests[i]! })
    hashTogether(jobs)
    for (let i = 0; i < pending.length; i++) {
      const { row, from, to, bytes } = pending[i]!
      if (rows.isId(row, this.#digests[i]!)) sink.write(bytes, from, to)
      else sink.damaged(damaged(rows, row, 'does not have the content its id stands for'), from, to)
    }
    pending.length = 0
    this.#used = 0
    if (this.#plain.length > 4 * BATCH_BYTES) this.#plain = directMemory(BATCH_BYTES)
    sink.endBatch(this.#buffers.length - 1)
    this.#current = (this.#current + 1) % this.#buffers.length
  }
}

function tryRead(readPiece: ReadPiece, window: ReadWindow): Uint8Array | { readonly error: unknown } {
  try {
    return readPiece(window)
  } catch (error) {
    return { error }
  }
}

/** The placements of each blob of a window. */
function* blobRuns({ row }: Placements, { from, to }: ReadWindow): IterableIterator<readonly [number, number]> {
  for (let start = from; start < to; ) {
    let end = start + 1
    while (end < to && row[end] === row[start]) end++
    yield [start, end]
    start = end
  }
}

function damaged(rows: DataBlobs, row: number, what: string): HoldfastError {
  return new HoldfastError('HF_DATA_DAMAGED', `blob ${rows.id(row)} ${what}`)
}
