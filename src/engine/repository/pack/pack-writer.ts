import { asBuffer, toHex } from '../../../lib/bytes.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import { ID_BYTES, type Id } from '../../../lib/id.ts'
import { randomBytes } from '../../../lib/random.ts'
import { type Cipher, CRYPTO_OVERHEAD_BYTES } from '../../kernels/cipher.ts'
import { hashTogether, type Sha256Job, Sha256Stream, sha256 } from '../../kernels/sha256.ts'
import { compressBound, type Zstd } from '../../kernels/zstd.ts'
import type { BlobType } from '../blob.ts'
import { BlobRowsBuilder } from './blob-rows.ts'
import { encodeHeader, entryBytes, MAX_PACK_ENTRIES, PACK_FRAME_BYTES } from './header.ts'

/**
 * What is done with each sealed blob before it counts as written: opened, decompressed and compared with the plaintext byte by byte; or
 * hashed again, which also notices a plaintext that changed in memory after its id was computed; or nothing.
 */
export type ExtraVerify = 'compare' | 'hash' | 'off'

export interface PackWriterOptions {
  readonly type: BlobType
  readonly cipher: Cipher
  /** Absent: blobs are stored as they are (version 1 repository, `--compression off`). */
  readonly zstd?: Zstd | undefined
  /** A pack is closed after the blob that reaches this size. */
  readonly targetBytes: number
  readonly extraVerify: ExtraVerify
}

/** A complete pack. `bytes` is the writer's own memory: valid until its next call, or for ever once it was given other memory. */
export interface FinishedPack {
  readonly id: Id
  readonly type: BlobType
  readonly bytes: Uint8Array
  readonly rows: Uint8Array
}

/** Ciphertext blobs of a pack that was not full, to be continued by another writer. */
export interface PartialPack {
  readonly bytes: Uint8Array
  readonly rows: Uint8Array
}

/**
 * The blob that fills a pack may be a chunk of 8 MiB; then comes the header. Memory that is never touched costs nothing, so the whole is
 * asked for at once.
 */
const USUAL_EXCESS_BYTES = 10 * 1024 * 1024

/** Room for the largest file chunk, compressed at its worst. */
const USUAL_SCRATCH_BYTES: number = compressBound(8 * 1024 * 1024)

const nothing = new Uint8Array(0)

const NONCE_BYTES = 16
const NONCES_AT_ONCE = 256

/**
 * Assembles packs of one type in memory: compress, seal, verify, append. Pure computation; storing a finished pack is the caller's part.
 * The pack's SHA-256 runs along with `hashJobs`, so that its lanes are filled together with those of blob ids.
 */
export class PackWriter {
  readonly #options: PackWriterOptions
  /** Had when the first blob comes: so much outside of its heap has V8 look for garbage. */
  #memory: Uint8Array = nothing
  #used = 0
  #hashed = 0
  #hash = new Sha256Stream()
  readonly #rows = new BlobRowsBuilder()
  #compressed = new Uint8Array(0)
  #verified = new Uint8Array(0)
  #nonces = randomBytes(NONCE_BYTES * NONCES_AT_ONCE)
  #nextNonce = 0

  constructor(options: PackWriterOptions) {
    this.#options = options
  }

  /** Memory for one pack, as the writer itself takes for its first one. */
  newMemory(): Uint8Array {
    return new Uint8Array(new SharedArrayBuffer(this.#options.targetBytes + USUAL_EXCESS_BYTES))
  }

  /** Makes the next pack in other memory, so that what `finish` gave stays as it is. Only for a writer that is empty. */
  useMemory(memory: Uint8Array): void {
    this.#memory = memory
  }

  /** Bytes of the pack in the making. */
  get usedBytes(): number {
    return this.#used
  }

  get isEmpty(): boolean {
    return this.#rows.count === 0
  }

  /** Whether the pack in the making has reached its size and has to be finished before the next blob. */
  get isFull(): boolean {
    return this.#used >= this.#options.targetBytes || this.#rows.count >= MAX_PACK_ENTRIES
  }

  /**
   * Appends a blob whose id is the 32 bytes of `id` at `idAt`. Returns the bytes it takes in the pack, its header entry included.
   * `zstd` takes the place of the pack's own compressor, if it has one.
   * @throws HoldfastError HF_INTERNAL when the sealed blob does not read back as what was given: nothing of it is kept.
   */
  add(id: Uint8Array, idAt: number, plaintext: Uint8Array, zstd: Zstd | undefined = this.#options.zstd): number {
    let body = plaintext
    let uncompressedLength = 0
    if (zstd && plaintext.length > 0) {
      this.#compressed = grown(this.#compressed, compressBound(plaintext.length))
      body = this.#compressed.subarray(0, zstd.compress(plaintext, this.#compressed))
      uncompressedLength = plaintext.length
    }
    const sealed = this.#seal(body)
    if (this.#options.extraVerify !== 'off')
      this.#verify(id.subarray(idAt, idAt + ID_BYTES), plaintext, sealed, uncompressedLength > 0)
    return this.#append(id, idAt, sealed.length, uncompressedLength)
  }

  /**
   * Appends a blob that is compressed already: `frame` is known to decompress to the `uncompressedLength` bytes with this id. Returns and
   * throws as `add`.
   */
  addCompressed(id: Uint8Array, idAt: number, frame: Uint8Array, uncompressedLength: number): number {
    const sealed = this.#seal(frame)
    if (this.#options.extraVerify !== 'off') {
      this.#verified = grown(this.#verified, frame.length)
      const opened = this.#verified.subarray(0, this.#options.cipher.open(sealed, this.#verified))
      if (!asBuffer(opened).equals(frame))
        throw unreadable(`${this.#options.type} blob ${toHex(id.subarray(idAt, idAt + ID_BYTES))}`)
    }
    return this.#append(id, idAt, sealed.length, uncompressedLength)
  }

  /** Appends a blob that is sealed already with the same master key, without opening it. Returns as `add`. */
  addSealed(id: Uint8Array, idAt: number, sealed: Uint8Array, uncompressedLength: number): number {
    this.#reserve(sealed.length)
    this.#memory.set(sealed, this.#used)
    return this.#append(id, idAt, sealed.length, uncompressedLength)
  }

  /** Hash work for the part of the pack written since the last call; run it with `hashTogether` among other jobs. */
  hashJobs(): Sha256Job[] {
    if (this.#hashed === this.#used) return []
    const bytes = this.#memory.subarray(this.#hashed, this.#used)
    this.#hashed = this.#used
    return [{ bytes, stream: this.#hash }]
  }

  /** Closes the pack: header, name. The writer is empty afterwards. */
  finish(): FinishedPack {
    const rows = this.#rows.take()
    const header = encodeHeader(rows)
    this.#reserve(header.length + PACK_FRAME_BYTES)
    const sealed = this.#memory.subarray(this.#used, this.#used + header.length + CRYPTO_OVERHEAD_BYTES)
    this.#options.cipher.seal(this.#nonce(), header, sealed)
    const check = new Uint8Array(header.length)
    this.#options.cipher.open(sealed, check)
    if (!asBuffer(check).equals(header)) throw unreadable('the header of a pack')
    const end = this.#used + sealed.length
    asBuffer(this.#memory).writeUInt32LE(sealed.length, end)
    this.#used = end + 4
    hashTogether(this.hashJobs())
    const id = toHex(this.#hash.digest())
    const bytes = this.#memory.subarray(0, this.#used)
    this.#reset()
    return { id, type: this.#options.type, bytes, rows }
  }

  /**
   * Hands over what is not yet a pack, with the memory it lies in; the writer is empty afterwards. Another thread reads it while this one may be
   * given more to do: after an interruption parts of large files are still under way.
   */
  takePartial(): PartialPack {
    const partial = { bytes: this.#memory.subarray(0, this.#used), rows: this.#rows.take() }
    this.#reset()
    this.#memory = nothing
    return partial
  }

  /** Seals `body` behind what the pack holds so far. */
  #seal(body: Uint8Array): Uint8Array {
    const length = body.length + CRYPTO_OVERHEAD_BYTES
    this.#reserve(length)
    const sealed = this.#memory.subarray(this.#used, this.#used + length)
    this.#options.cipher.seal(this.#nonce(), body, sealed)
    return sealed
  }

  #append(id: Uint8Array, idAt: number, length: number, uncompressedLength: number): number {
    this.#rows.append(this.#options.type, id, idAt, this.#used, length, uncompressedLength)
    this.#used += length
    return length + entryBytes(uncompressedLength)
  }

  #verify(id: Uint8Array, plaintext: Uint8Array, sealed: Uint8Array, compressed: boolean): void {
    const { zstd, cipher, extraVerify } = this.#options
    this.#compressed = grown(this.#compressed, sealed.length)
    const opened = this.#compressed.subarray(0, cipher.open(sealed, this.#compressed))
    let result = opened
    if (compressed && zstd) {
      this.#verified = grown(this.#verified, plaintext.length)
      result = this.#verified.subarray(0, zstd.decompress(opened, this.#verified))
    }
    const same =
      extraVerify === 'hash' ? asBuffer(sha256(result)).equals(id) : asBuffer(result).equals(asBuffer(plaintext))
    if (!same) throw unreadable(`${this.#options.type} blob ${toHex(id)}`)
  }

  #reserve(bytes: number): void {
    if (this.#memory.length === 0) this.#memory = this.newMemory()
    const needed = this.#used + bytes
    if (needed <= this.#memory.length) return
    const memory = new Uint8Array(new SharedArrayBuffer(needed + USUAL_EXCESS_BYTES))
    memory.set(this.#memory.subarray(0, this.#used))
    this.#memory = memory
  }

  #reset(): void {
    this.#used = 0
    this.#hashed = 0
    this.#hash = new Sha256Stream()
  }

  #nonce(): Uint8Array {
    if (this.#nextNonce === NONCES_AT_ONCE) {
      this.#nonces = randomBytes(NONCE_BYTES * NONCES_AT_ONCE)
      this.#nextNonce = 0
    }
    const at = this.#nextNonce++ * NONCE_BYTES
    return this.#nonces.subarray(at, at + NONCE_BYTES)
  }
}

/** Memory of at least `length` bytes: `memory` itself, or a larger one without its content. */
function grown(memory: Uint8Array<ArrayBuffer>, length: number): Uint8Array<ArrayBuffer> {
  if (memory.length >= length) return memory
  return new Uint8Array(Math.max(length, Math.min(memory.length * 2, USUAL_SCRATCH_BYTES)))
}

const unreadable = (what: string): HoldfastError =>
  new HoldfastError('HF_INTERNAL', `${what} does not read back as what was written; nothing of it was stored`, {
    hint: 'this points to faulty memory or processor; test the hardware before trusting this machine with backups',
    context: { idBytes: ID_BYTES },
  })
