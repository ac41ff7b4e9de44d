import { ID_BYTES } from '../../../lib/id.ts'
import { copyBytes } from '../../kernels/copy-bytes.ts'
import { differenceOf, shift } from '../../kernels/crc32c.ts'

/** A stretch that takes the place of what was there. Both `at` and the length are multiples of eight. */
export interface BlobChange {
  /** Within the blob. */
  readonly at: number
  readonly bytes: Uint8Array
}

/** A blob the repository has, and what becomes of it. */
export interface BlobPatch {
  /** 32 bytes. */
  readonly id: Uint8Array
  /** As it lies in its pack. */
  readonly sealed: Uint8Array
  /** 0 when it is stored as it is. */
  readonly uncompressedLength: number
  /** Of the new blob: what is more than the old one had is zeros, what is less is cut off. */
  readonly size: number
  readonly changes: readonly BlobChange[]
}

/** Patches in flat memory, which costs one message for all of them. */
export interface PatchBatch {
  /** Shared: sealed blobs and changed stretches, each at a multiple of eight. */
  readonly bytes: Uint8Array
  /** For each patch: where the sealed blob lies, its length, the uncompressed length, the size, how many changes; for each of these: where in the blob, where in `bytes`, its length. */
  readonly layout: Uint32Array
  /** Of the old blobs, 32 bytes each. */
  readonly ids: Uint8Array
}

/** New blobs that go to a thread at a time. */
const BATCH_PLAINTEXT_BYTES = 4 * 1024 * 1024

export const roundUp8 = (value: number): number => (value + 7) & ~7

/** Gathers patches in shared memory. */
export class PatchBatchBuilder {
  readonly memory: Uint8Array
  #used = 0
  #plaintextBytes = 0
  readonly #layout: number[] = []
  #ids = new Uint8Array(64 * ID_BYTES)
  #count = 0

  constructor(memory: Uint8Array) {
    this.memory = memory
  }

  /** Whether the patch should wait for the next batch. */
  isFullFor({ sealed, size, changes }: BlobPatch): boolean {
    if (this.#count === 0) return false
    let needed = roundUp8(sealed.length)
    for (const { bytes } of changes) needed += roundUp8(bytes.length)
    return this.#used + needed > this.memory.length || this.#plaintextBytes + size > BATCH_PLAINTEXT_BYTES
  }

  add({ id, sealed, uncompressedLength, size, changes }: BlobPatch): void {
    if ((this.#count + 1) * ID_BYTES > this.#ids.length) {
      const larger = new Uint8Array(2 * this.#ids.length)
      larger.set(this.#ids)
      this.#ids = larger
    }
    this.#ids.set(id, this.#count++ * ID_BYTES)
    this.#layout.push(this.#copy(sealed), sealed.length, uncompressedLength, size, changes.length)
    for (const { at, bytes } of changes) this.#layout.push(at, this.#copy(bytes), bytes.length)
    this.#plaintextBytes += size
  }

  get batch(): PatchBatch {
    const bytes = this.memory.subarray(0, this.#used)
    return { bytes, layout: Uint32Array.from(this.#layout), ids: this.#ids.slice(0, this.#count * ID_BYTES) }
  }

  #copy(bytes: Uint8Array): number {
    const at = this.#used
    copyBytes(this.memory, bytes, at)
    this.#used = roundUp8(at + bytes.length)
    return at
  }
}

/** A patch as it lies in a batch. */
export interface PlacedPatch {
  readonly sealed: Uint8Array
  readonly uncompressedLength: number
  readonly size: number
  readonly id: Uint8Array
  readonly changes: readonly BlobChange[]
}

export function* patchesOf({ bytes, layout, ids }: PatchBatch): Generator<PlacedPatch> {
  for (let at = 0, patch = 0; at < layout.length; patch++) {
    const sealed = bytes.subarray(layout[at]!, layout[at]! + layout[at + 1]!)
    const [uncompressedLength, size, count] = [layout[at + 2]!, layout[at + 3]!, layout[at + 4]!]
    at += 5
    const changes: BlobChange[] = []
    for (let i = 0; i < count; i++, at += 3)
      changes.push({ at: layout[at]!, bytes: bytes.subarray(layout[at + 1]!, layout[at + 1]! + layout[at + 2]!) })
    yield { sealed, uncompressedLength, size, id: ids.subarray(patch * ID_BYTES, (patch + 1) * ID_BYTES), changes }
  }
}

/**
 * Carries changes out on the old blob, which lies at the beginning of `blob` with zeros behind it.
 * @returns the CRC-32C register of the difference, without initial value, at the end of the new blob
 */
export function applyChanges(blob: Uint8Array, changes: readonly BlobChange[]): number {
  let difference = 0
  for (const { at, bytes } of changes) {
    const before = new Int32Array(blob.buffer, blob.byteOffset + at, bytes.length / 4)
    const after = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
    difference ^= shift(differenceOf(before, after), blob.length - at - bytes.length)
    blob.set(bytes, at)
  }
  return difference
}
