import { Sha256Stream, sha256 } from '../../../engine/kernels/sha256.ts'
import { toHex } from '../../../lib/bytes.ts'
import { type Content, LONG_BYTES } from './input.ts'

/** Of every SHA-256 this much is kept: enough that nothing coincides by chance, and sums of it are quick. */
export const DIGEST_BYTES = 16

const SPILL_BYTES = 64 * 1024
const IS_LONG = 1 << 16

/**
 * SHA-256 of a sequence of strings and numbers, each of which is delimited. A long string stands for itself by its own hash, so that it
 * need never be held.
 */
export class Message {
  #scratch: Buffer = Buffer.allocUnsafeSlow(SPILL_BYTES)
  #used = 0
  #spilled: Sha256Stream | undefined

  /** Begins anew; `kind` keeps messages of one kind apart from those of any other. */
  start(kind: number): this {
    this.#used = 1
    this.#spilled = undefined
    this.#scratch[0] = kind
    return this
  }

  content(content: Content): this {
    const { length } = content
    const isLong = length > LONG_BYTES
    const bytes = content instanceof Uint8Array ? (isLong ? sha256(content) : content) : content.sha256
    this.#reserve(8)
    this.#scratch.writeUInt32LE(length >>> 0, this.#used)
    this.#scratch.writeUInt32LE(Math.floor(length / 0x1_0000_0000) + (isLong ? IS_LONG : 0), this.#used + 4)
    this.#used += 8
    if (bytes.length > SPILL_BYTES) {
      this.#spill()
      this.#spilled!.update(bytes)
      return this
    }
    this.#reserve(bytes.length)
    this.#scratch.set(bytes, this.#used)
    this.#used += bytes.length
    return this
  }

  integer(value: number): this {
    return this.double(value)
  }

  /** The two zeros are the same. */
  double(value: number): this {
    this.#reserve(8)
    this.#scratch.writeDoubleLE(value + 0, this.#used)
    this.#used += 8
    return this
  }

  int64(value: bigint): this {
    this.#reserve(8)
    this.#scratch.writeBigInt64LE(BigInt.asIntN(64, value), this.#used)
    this.#used += 8
    return this
  }

  /** Bytes whose number follows from what comes before. */
  raw(bytes: Uint8Array): this {
    this.#reserve(bytes.length)
    this.#scratch.set(bytes, this.#used)
    this.#used += bytes.length
    return this
  }

  digest(): Uint8Array {
    const rest = this.#scratch.subarray(0, this.#used)
    const whole = this.#spilled === undefined ? sha256(rest) : this.#spilled.update(rest).digest()
    return whole.subarray(0, DIGEST_BYTES)
  }

  #reserve(bytes: number): void {
    if (this.#used + bytes > SPILL_BYTES) this.#spill()
  }

  #spill(): void {
    this.#spilled ??= new Sha256Stream()
    this.#spilled.update(this.#scratch.subarray(0, this.#used))
    this.#used = 0
  }
}

/** Additions after which the words are put in order: they stay exact as doubles. */
const MAX_PENDING = 1 << 20
const WORD = 0x1_0000_0000

/** The sum modulo 2^128 of digests, which does not depend on their order. */
export class DigestSum {
  readonly #words = new Float64Array(4)
  #pending = 0

  add(digest: Uint8Array): void {
    const words = this.#words
    for (let i = 0; i < 4; i++) {
      const at = 4 * i
      words[i]! += (digest[at]! | (digest[at + 1]! << 8) | (digest[at + 2]! << 16) | (digest[at + 3]! << 24)) >>> 0
    }
    if (++this.#pending === MAX_PENDING) this.#carry()
  }

  /** 16 bytes, the least significant first. */
  value(): Uint8Array {
    this.#carry()
    const bytes = Buffer.alloc(DIGEST_BYTES)
    for (const [i, word] of this.#words.entries()) bytes.writeUInt32LE(word, 4 * i)
    return bytes
  }

  hex(): string {
    return toHex(this.value())
  }

  #carry(): void {
    let carry = 0
    for (const [i, word] of this.#words.entries()) {
      const sum = word + carry
      carry = Math.floor(sum / WORD)
      this.#words[i] = sum - carry * WORD
    }
    this.#pending = 0
  }
}
