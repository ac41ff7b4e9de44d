import { isHoldfastError } from '../../../lib/errors.ts'
import { ID_BYTES } from '../../../lib/id.ts'
import { type Cipher, CRYPTO_OVERHEAD_BYTES } from '../../kernels/cipher.ts'
import { hashTogether, type Sha256Job } from '../../kernels/sha256.ts'
import { createZstd, type Zstd } from '../../kernels/zstd.ts'
import { type BlobType, blobTypes } from '../blob.ts'
import { type CompressionMode, compresses, createCompressor } from '../compression.ts'
import type { RepositoryVersion } from '../config.ts'
import { BlobRows } from '../pack/blob-rows.ts'
import { type ExtraVerify, type FinishedPack, PackWriter, type PartialPack } from '../pack/pack-writer.ts'

/** Opened blobs are hashed together: enough to keep all lanes busy, little enough to stay near the processor. */
const BATCH_BYTES = 4 * 1024 * 1024
const BATCH_BLOBS = 256

export interface CopierSettings {
  readonly source: Cipher
  readonly destination: Cipher
  /** Of the destination, as all that follows. */
  readonly version: RepositoryVersion
  readonly compression: CompressionMode
  readonly packBytes: number
  readonly extraVerify: ExtraVerify
}

interface PendingBlob {
  readonly row: number
  /** What was sealed: a zstd frame, or the plaintext. */
  readonly body: Uint8Array
  readonly plain: Uint8Array
}

/**
 * Moves blobs from packs of one repository into packs of another: opened, verified down to the hash of their content, sealed with the other
 * key. What is compressed stays as it is where the destination knows compression, which saves most of the work. Belongs to one thread.
 */
export class BlobCopier {
  readonly #settings: CopierSettings
  readonly #storePack: (pack: FinishedPack) => void
  readonly #packs: Readonly<Record<BlobType, PackWriter>>
  readonly #zstd: Zstd = createZstd({ level: 1 })
  readonly #digests: readonly Uint8Array[]
  readonly #pending: PendingBlob[] = []
  #memory = new Uint8Array(BATCH_BYTES)
  #used = 0

  /** `storePack` gets full packs; their memory is the copier's own. */
  constructor(settings: CopierSettings, storePack: (pack: FinishedPack) => void) {
    this.#settings = settings
    this.#storePack = storePack
    const { version, compression, destination, packBytes, extraVerify } = settings
    const zstd = createCompressor(compression)
    const writer = (type: BlobType): PackWriter =>
      new PackWriter({
        type,
        cipher: destination,
        zstd: compresses(version, compression, type) ? zstd : undefined,
        targetBytes: packBytes,
        extraVerify,
      })
    this.#packs = { data: writer('data'), tree: writer('tree') }
    const digests = new Uint8Array(BATCH_BLOBS * ID_BYTES)
    this.#digests = Array.from({ length: BATCH_BLOBS }, (_, i) => digests.subarray(i * ID_BYTES, (i + 1) * ID_BYTES))
  }

  /**
   * Copies the blobs of `rows`, which lie in `bytes`, the stretch of their pack from `offset` on. Returns the rows that are not what their
   * ids say; these are not copied.
   */
  copy(rows: Uint8Array, bytes: Uint8Array, offset: number): number[] {
    const blobs = new BlobRows(rows)
    const damaged: number[] = []
    for (let row = 0; row < blobs.count; row++) {
      const length = blobs.length(row)
      const room = Math.max(0, length - CRYPTO_OVERHEAD_BYTES) + blobs.uncompressedLength(row)
      if (this.#pending.length === BATCH_BLOBS || this.#used + room > this.#memory.length) {
        this.#flush(blobs, damaged)
        if (room > this.#memory.length) this.#memory = new Uint8Array(room)
      }
      const start = blobs.offset(row) - offset
      if (!this.#open(blobs, row, bytes.subarray(start, start + length))) damaged.push(row)
    }
    this.#flush(blobs, damaged)
    // One huge blob must not keep its memory for the rest of the run.
    if (this.#memory.length > 4 * BATCH_BYTES) this.#memory = new Uint8Array(BATCH_BYTES)
    return damaged
  }

  /** Hands over the packs that are not full; valid until the next call. The copier begins new ones afterwards. */
  finish(): Record<BlobType, PartialPack> {
    return { data: this.#packs.data.takePartial(), tree: this.#packs.tree.takePartial() }
  }

  /** Authenticates, decrypts and decompresses a blob, to be hashed with the next flush. False when that fails. */
  #open(blobs: BlobRows, row: number, sealed: Uint8Array): boolean {
    if (sealed.length < CRYPTO_OVERHEAD_BYTES) return false
    const body = this.#memory.subarray(this.#used, this.#used + sealed.length - CRYPTO_OVERHEAD_BYTES)
    const uncompressedLength = blobs.uncompressedLength(row)
    const end = this.#used + body.length + uncompressedLength
    let plain = body
    try {
      this.#settings.source.open(sealed, body)
      if (uncompressedLength > 0) {
        plain = this.#memory.subarray(this.#used + body.length, end)
        if (this.#zstd.decompress(body, plain) !== uncompressedLength) return false
      }
    } catch (error) {
      if (isHoldfastError(error, 'HF_CRYPTO_AUTH', 'HF_DATA_DAMAGED')) return false
      throw error
    }
    this.#pending.push({ row, body, plain })
    this.#used = end
    return true
  }

  /** Hashes what is pending, side by side with the packs in the making, and appends to them what is as it should be. */
  #flush(blobs: BlobRows, damaged: number[]): void {
    const jobs: Sha256Job[] = this.#pending.map(({ plain }, i) => ({ bytes: plain, digest: this.#digests[i]! }))
    for (const type of blobTypes) jobs.push(...this.#packs[type].hashJobs())
    hashTogether(jobs)
    for (const [i, pending] of this.#pending.entries()) {
      const idAt = blobs.idAt(pending.row)
      if (blobs.bytes.compare(this.#digests[i]!, 0, ID_BYTES, idAt, idAt + ID_BYTES) === 0) this.#append(blobs, pending)
      else damaged.push(pending.row)
    }
    this.#pending.length = 0
    this.#used = 0
  }

  #append(blobs: BlobRows, { row, body, plain }: PendingBlob): void {
    const pack = this.#packs[blobs.type(row)]
    const uncompressedLength = blobs.uncompressedLength(row)
    if (uncompressedLength > 0 && this.#settings.version > 1)
      pack.addCompressed(blobs.bytes, blobs.idAt(row), body, uncompressedLength)
    else pack.add(blobs.bytes, blobs.idAt(row), plain)
    if (pack.isFull) this.#storePack(pack.finish())
  }
}
