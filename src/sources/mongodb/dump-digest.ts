import { Sha256Stream } from '../../engine/kernels/sha256.ts'
import { toHex } from '../../lib/bytes.ts'
import type { DumpedData } from './manifest.ts'

/**
 * What the manifest says of the bytes of a file. Parts that were read at the same time cannot go into one running hash: theirs is that of the
 * hashes of the parts.
 */
export class DumpDigest {
  readonly #parts: readonly number[]
  readonly #digests: Uint8Array[] = []
  #hash = new Sha256Stream()
  #length = 0

  /** `parts`: as the manifest has them. */
  constructor({ parts }: Pick<DumpedData, 'parts'>) {
    this.#parts = (parts ?? []).map(({ bytes }) => bytes)
  }

  update(bytes: Uint8Array): void {
    let rest = bytes
    this.#closeFull()
    while (this.#left < rest.length) {
      const head = rest.subarray(0, this.#left)
      this.#add(head)
      rest = rest.subarray(head.length)
      this.#closeFull()
    }
    this.#add(rest)
  }

  /** As the manifest has it, of all bytes; nothing may be added afterwards. */
  digest(): string {
    if (this.#parts.length === 0) return toHex(this.#hash.digest())
    this.#closeFull()
    // Of a file that is too short.
    if (this.#digests.length < this.#parts.length) this.#close()
    return digestOfParts(this.#digests)
  }

  /** Bytes until the part ends; the last one takes all there is. */
  get #left(): number {
    const part = this.#digests.length
    return part >= this.#parts.length - 1 ? Number.POSITIVE_INFINITY : this.#parts[part]! - this.#length
  }

  #add(bytes: Uint8Array): void {
    this.#hash.update(bytes)
    this.#length += bytes.length
  }

  /** Parts may be empty. */
  #closeFull(): void {
    while (this.#left === 0) this.#close()
  }

  #close(): void {
    this.#digests.push(this.#hash.digest())
    this.#hash = new Sha256Stream()
    this.#length = 0
  }
}

/** @param digests SHA-256 of each part, in their order */
export function digestOfParts(digests: readonly Uint8Array[]): string {
  const hash = new Sha256Stream()
  for (const digest of digests) hash.update(digest)
  return toHex(hash.digest())
}
