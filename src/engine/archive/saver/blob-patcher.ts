import { ID_BYTES } from '../../../lib/id.ts'
import { type Cipher, CRYPTO_OVERHEAD_BYTES } from '../../kernels/cipher.ts'
import { hashTogether, type Sha256Job } from '../../kernels/sha256.ts'
import { createZstd, type Zstd } from '../../kernels/zstd.ts'
import { applyChanges, type PatchBatch, type PlacedPatch, patchesOf, roundUp8 } from './patch-batch.ts'

/** What became of the patches of a batch. */
export interface PatchedMemory {
  /** Valid until the next batch. */
  readonly memory: Uint8Array
  /** Where new blobs lie, those of patches that failed left out. */
  readonly blobs: readonly { readonly start: number; readonly end: number }[]
  /** For each patch the CRC-32C register of the difference at the end of its blob, without initial value. */
  readonly differences: Int32Array
  /** 1 for each patch whose old blob did not open, or is another one. */
  readonly failed: Uint8Array
}

interface PlacedBlob extends PlacedPatch {
  readonly start: number
  /** Of the old blob; 0 when it could not be opened. */
  readonly oldLength: number
}

/** Opens stored blobs, checks them, and changes them, on one thread. Buffers are kept. */
export class BlobPatcher {
  readonly #cipher: Cipher
  readonly #zstd: Zstd = createZstd({ level: 1 })
  #memory = new Uint8Array(0)
  #opened = new Uint8Array(0)

  constructor(cipher: Cipher) {
    this.#cipher = cipher
  }

  patch(batch: PatchBatch): PatchedMemory {
    const count = batch.ids.length / ID_BYTES
    const blobs = this.#open([...patchesOf(batch)])
    const digests = new Uint8Array(batch.ids.length)
    const jobs = blobs.map(
      ({ start, oldLength }, i): Sha256Job => ({
        bytes: this.#memory.subarray(start, start + oldLength),
        digest: digests.subarray(i * ID_BYTES, (i + 1) * ID_BYTES),
      }),
    )
    hashTogether(jobs)
    const differences = new Int32Array(count)
    const failed = new Uint8Array(count)
    const made: { start: number; end: number }[] = []
    for (const [i, { start, size, oldLength, id, changes }] of blobs.entries()) {
      if (Buffer.compare(id, digests.subarray(i * ID_BYTES, (i + 1) * ID_BYTES)) !== 0) {
        failed[i] = 1
        continue
      }
      const end = start + size
      if (oldLength < size) this.#memory.fill(0, start + oldLength, end)
      differences[i] = applyChanges(this.#memory.subarray(start, end), changes)
      made.push({ start, end })
    }
    return { memory: this.#memory, blobs: made, differences, failed }
  }

  /** Opens all old blobs side by side. */
  #open(patches: readonly PlacedPatch[]): PlacedBlob[] {
    const lengthOf = ({ sealed, uncompressedLength }: PlacedPatch): number =>
      uncompressedLength > 0 ? uncompressedLength : Math.max(0, sealed.length - CRYPTO_OVERHEAD_BYTES)
    const needed = patches.reduce((sum, patch) => sum + roundUp8(Math.max(lengthOf(patch), patch.size)), 0)
    if (this.#memory.length < needed) this.#memory = new Uint8Array(needed)
    let start = 0
    return patches.map((patch) => {
      const length = lengthOf(patch)
      const oldLength = this.#openInto(this.#memory.subarray(start, start + length), patch) ? length : 0
      const placed = { ...patch, start, oldLength }
      start += roundUp8(Math.max(length, patch.size))
      return placed
    })
  }

  /** @returns whether the blob is intact and fills `target` */
  #openInto(target: Uint8Array, { sealed, uncompressedLength }: PlacedPatch): boolean {
    if (sealed.length < CRYPTO_OVERHEAD_BYTES) return false
    try {
      if (uncompressedLength === 0) return this.#cipher.open(sealed, target) === target.length
      if (this.#opened.length < sealed.length) this.#opened = new Uint8Array(2 * sealed.length)
      const opened = this.#opened.subarray(0, this.#cipher.open(sealed, this.#opened))
      return this.#zstd.decompress(opened, target) === target.length
    } catch {
      return false
    }
  }
}
