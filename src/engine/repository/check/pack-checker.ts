import { toHex } from '../../../lib/bytes.ts'
import { ID_BYTES, type Id } from '../../../lib/id.ts'
import { type Cipher, CRYPTO_OVERHEAD_BYTES } from '../../kernels/cipher.ts'
import { hashTogether, type Sha256Job, Sha256Stream } from '../../kernels/sha256.ts'
import { createZstd, type Zstd } from '../../kernels/zstd.ts'
import { BlobRows } from '../pack/blob-rows.ts'
import { decodeHeaderRows, MIN_PACK_BYTES, sealedHeaderBytes } from '../pack/header.ts'
import { compareListings } from './compare-listings.ts'
import { Problems, reasonOf } from './finding.ts'

/** A pack is read in windows of whole blobs up to this size, so that memory stays flat however large packs are. */
const WINDOW_BYTES = 8 * 1024 * 1024

/** Plaintext that is hashed together: enough blobs to keep all lanes busy, little enough to stay near the processor. */
const BATCH_BYTES = 2 * 1024 * 1024
const BATCH_BLOBS = 256

/** Most headers are shorter than this, and it costs no more to read than a few bytes. */
const USUAL_HEADER_BYTES = 32 * 1024

/** The field behind the header that tells its length. */
const LENGTH_BYTES = 4

/** The part of a pack a checker wants next. What it gets must not change until it asks again. */
export interface PackWindow {
  readonly offset: number
  readonly length: number
}

export interface PackToCheck {
  readonly id: Id
  /** Size of the file. */
  readonly sizeBytes: number
}

/** What an inspection of a pack came to. */
export interface Inspection {
  readonly problems: Problems
  /** The blobs its header lists; undefined when the header cannot be read, and then nothing else was looked at. */
  readonly rows: Uint8Array | undefined
}

/**
 * Verifies packs: every blob against its id, the file against its name. Keeps its buffers; belongs to one thread and does one thing at a
 * time. It asks for what it wants to read, window by window; what the caller throws into it ends the check.
 */
export class PackChecker {
  readonly #cipher: Cipher
  readonly #zstd: Zstd = createZstd({ level: 1 })
  readonly #digests: readonly Uint8Array[]
  /** Row numbers of blobs whose hash has yet to be computed. */
  readonly #pending: number[] = []
  readonly #jobs: Sha256Job[] = []
  #plain = new Uint8Array(BATCH_BYTES)
  #compressed = new Uint8Array(BATCH_BYTES)
  #used = 0

  constructor(cipher: Cipher) {
    this.#cipher = cipher
    const digests = new Uint8Array(BATCH_BLOBS * ID_BYTES)
    this.#digests = Array.from({ length: BATCH_BLOBS }, (_, i) => digests.subarray(i * ID_BYTES, (i + 1) * ID_BYTES))
  }

  /** Reads a pack by its own header, without knowing what the index says. */
  *inspect(pack: PackToCheck): Generator<PackWindow, Inspection, Uint8Array> {
    const problems = new Problems()
    let rows: Uint8Array
    try {
      rows = decodeHeaderRows(yield* this.#readHeader(pack), pack.id)
    } catch (error) {
      problems.add(`pack header: ${reasonOf(error)}`)
      return { problems, rows: undefined }
    }
    yield* this.#readFile(pack, new BlobRows(rows), problems)
    return { problems, rows }
  }

  /** Reads a pack by what the index says of it, `rows` ascending by offset, and compares that with its header. */
  *check(pack: PackToCheck, rows: Uint8Array): Generator<PackWindow, Problems, Uint8Array> {
    const problems = new Problems()
    yield* this.#readFile(pack, new BlobRows(rows), problems)
    let listed: Uint8Array
    try {
      listed = decodeHeaderRows(yield* this.#readHeader(pack), pack.id)
    } catch (error) {
      problems.add(`pack header: ${reasonOf(error)}`)
      return problems
    }
    compareListings(listed, rows, problems)
    return problems
  }

  /** The plaintext header. */
  *#readHeader({ id, sizeBytes }: PackToCheck): Generator<PackWindow, Uint8Array, Uint8Array> {
    if (sizeBytes < MIN_PACK_BYTES) throw new RangeError(`there is no room for one in ${sizeBytes} bytes`)
    const usual = Math.min(sizeBytes, USUAL_HEADER_BYTES)
    let tail = yield { offset: sizeBytes - usual, length: usual }
    const length = sealedHeaderBytes(tail.subarray(-LENGTH_BYTES), sizeBytes, id)
    if (length + LENGTH_BYTES > tail.length)
      tail = yield { offset: sizeBytes - LENGTH_BYTES - length, length: length + LENGTH_BYTES }
    const header = new Uint8Array(length - CRYPTO_OVERHEAD_BYTES)
    const end = tail.length - LENGTH_BYTES
    this.#cipher.open(tail.subarray(end - length, end), header)
    return header
  }

  /** Reads the whole file and verifies the blobs in it. */
  *#readFile(pack: PackToCheck, blobs: BlobRows, problems: Problems): Generator<PackWindow, void, Uint8Array> {
    this.#forgetPending()
    const stream = new Sha256Stream()
    let position = 0
    if (isContiguous(blobs)) position = yield* this.#readContiguous(blobs, pack.sizeBytes, stream, problems)
    else {
      problems.add('index for pack contains gaps / overlapping blobs')
      yield* this.#readScattered(blobs, pack.sizeBytes, problems)
    }
    // What is left is the header. In a damaged pack it may be anything, as long as memory stays flat.
    while (position < pack.sizeBytes) {
      const length = Math.min(WINDOW_BYTES, pack.sizeBytes - position)
      stream.update(yield { offset: position, length })
      position += length
    }
    const name = toHex(stream.digest())
    if (name !== pack.id) problems.add(`unexpected pack id ${name}`)
  }

  /** Reads blobs that lie one behind the other from 0, and hashes the file along with them. Returns where the last whole one ends. */
  *#readContiguous(
    blobs: BlobRows,
    sizeBytes: number,
    stream: Sha256Stream,
    problems: Problems,
  ): Generator<PackWindow, number, Uint8Array> {
    let position = 0
    for (let first = 0; first < blobs.count; ) {
      let end = first
      let length = 0
      for (; end < blobs.count; end++) {
        const next = blobs.length(end)
        if (position + length + next > sizeBytes || (end > first && length + next > WINDOW_BYTES)) break
        length += next
      }
      if (end === first) {
        for (; end < blobs.count; end++) problems.add(`blob ${blobs.id(end)}: lies beyond the end of the file`)
        break
      }
      const window = yield { offset: position, length }
      let hashed = 0
      let at = 0
      for (let row = first; row < end; row++) {
        const next = blobs.length(row)
        if (!this.#hasRoom(blobs, row)) {
          this.#flush(blobs, problems, stream, window.subarray(hashed, at))
          hashed = at
        }
        this.#open(blobs, row, window.subarray(at, at + next), problems)
        at += next
      }
      this.#flush(blobs, problems, stream, window.subarray(hashed, length))
      position += length
      first = end
    }
    return position
  }

  /** Reads blobs one by one, wherever they are said to be. */
  *#readScattered(blobs: BlobRows, sizeBytes: number, problems: Problems): Generator<PackWindow, void, Uint8Array> {
    for (let row = 0; row < blobs.count; row++) {
      const [offset, length] = [blobs.offset(row), blobs.length(row)]
      if (offset + length > sizeBytes) {
        problems.add(`blob ${blobs.id(row)}: lies beyond the end of the file`)
        continue
      }
      const sealed = yield { offset, length }
      if (!this.#hasRoom(blobs, row)) this.#flush(blobs, problems)
      this.#open(blobs, row, sealed, problems)
    }
    this.#flush(blobs, problems)
  }

  #hasRoom(blobs: BlobRows, row: number): boolean {
    return this.#used + plaintextLength(blobs, row) <= this.#plain.length && this.#pending.length < BATCH_BLOBS
  }

  /** Authenticates, decrypts and decompresses a blob; its hash is computed with the next flush. */
  #open(blobs: BlobRows, row: number, sealed: Uint8Array, problems: Problems): void {
    try {
      const length = plaintextLength(blobs, row)
      if (length > this.#plain.length) this.#plain = new Uint8Array(length)
      const plain = this.#plain.subarray(this.#used, this.#used + length)
      if (blobs.uncompressedLength(row) === 0) this.#cipher.open(sealed, plain)
      else {
        if (sealed.length > this.#compressed.length) this.#compressed = new Uint8Array(sealed.length)
        const bytes = this.#cipher.open(sealed, this.#compressed)
        if (this.#zstd.decompress(this.#compressed.subarray(0, bytes), plain) !== length)
          throw new RangeError('it is shorter than the index says')
      }
      this.#jobs.push({ bytes: plain, digest: this.#digests[this.#pending.length]! })
      this.#pending.push(row)
      this.#used += length
    } catch (error) {
      problems.add(`blob ${blobs.id(row)}: ${reasonOf(error)}`)
    }
  }

  /** Hashes what is pending, side by side with the stretch of the file it was in. */
  #flush(blobs: BlobRows, problems: Problems, stream?: Sha256Stream, stretch?: Uint8Array): void {
    const pending = this.#pending
    if (stream && stretch) this.#jobs.push({ bytes: stretch, stream })
    hashTogether(this.#jobs)
    for (let i = 0; i < pending.length; i++) {
      const row = pending[i]!
      if (!isSameId(blobs.bytes, blobs.idAt(row), this.#digests[i]!))
        problems.add(`blob ${blobs.id(row)}: does not have the content its id stands for`)
    }
    this.#forgetPending()
    if (this.#plain.length > BATCH_BYTES * 4) this.#plain = new Uint8Array(BATCH_BYTES)
  }

  #forgetPending(): void {
    this.#pending.length = 0
    this.#jobs.length = 0
    this.#used = 0
  }
}

/** Whether blobs lie one behind the other from 0, as they should. */
function isContiguous(blobs: BlobRows): boolean {
  let position = 0
  for (let row = 0; row < blobs.count; row++) {
    if (blobs.offset(row) !== position) return false
    position += blobs.length(row)
  }
  return true
}

function plaintextLength(blobs: BlobRows, row: number): number {
  const uncompressedLength = blobs.uncompressedLength(row)
  return uncompressedLength > 0 ? uncompressedLength : Math.max(0, blobs.length(row) - CRYPTO_OVERHEAD_BYTES)
}

function isSameId(ids: Uint8Array, at: number, digest: Uint8Array): boolean {
  for (let i = 0; i < ID_BYTES; i++) if (ids[at + i] !== digest[i]) return false
  return true
}
