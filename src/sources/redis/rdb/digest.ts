import { Sha256Stream, sha256 } from '../../../engine/kernels/sha256.ts'
import { BLOCK_BYTES, type CompressBlocks, initialWords, pad } from '../../../engine/kernels/sha256-blocks.ts'
import { nativeSha256 } from '../../../engine/kernels/sha256-native.ts'
import { toHex } from '../../../lib/bytes.ts'
import { nativeLibrary } from '../../../lib/native.ts'
import { type Content, LONG_BYTES } from './input.ts'

/** Of every SHA-256 this much is kept: enough that nothing coincides by chance, and sums of it are quick. */
export const DIGEST_BYTES = 16

const SPILL_BYTES = 64 * 1024
const IS_LONG = 1 << 16
/** Shorter ones are copied byte by byte: a view of them would cost more. */
const SHORT_BYTES = 48
const HEADER_BYTES = 8
const WORD = 0x1_0000_0000
const DIGIT_ZERO = 0x30
const MINUS = 0x2d

const state = new Uint32Array(8)
/** undefined: not looked for yet; null: not available. */
let compress: CompressBlocks | null | undefined

function nativeCompress(): CompressBlocks | null {
  if (compress === undefined) {
    const library = nativeLibrary()
    compress = (library && nativeSha256(library)?.compress) ?? null
  }
  return compress
}

/**
 * SHA-256 of a sequence of strings and numbers, each of which is delimited. A long string stands for itself by its own hash, so that it
 * need never be held. There are several of them for each value of an RDB file: none makes an object that is not asked for.
 */
export class Message {
  readonly #scratch: Uint8Array = new Uint8Array(SPILL_BYTES + 2 * BLOCK_BYTES)
  readonly #view = new DataView(this.#scratch.buffer)
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
    if (content instanceof Uint8Array) return this.range(content, 0, content.length)
    return this.#header(content.length, IS_LONG).raw(content.sha256)
  }

  /** Bytes `start` to `end` of `bytes`, as a string. */
  range(bytes: Uint8Array, start: number, end: number): this {
    const length = end - start
    if (length > LONG_BYTES) return this.#header(length, IS_LONG).raw(sha256(bytes.subarray(start, end)))
    this.#header(length, 0)
    if (length > SPILL_BYTES) {
      this.#spill()
      this.#spilled!.update(bytes.subarray(start, end))
      return this
    }
    this.#reserve(length)
    this.#copy(bytes, start, end)
    return this
  }

  /** A whole number as the string of its digits. */
  decimal(value: number | bigint): this {
    if (typeof value === 'bigint' || !Number.isSafeInteger(value)) return this.content(Buffer.from(String(value)))
    let rest = Math.abs(value)
    let digits = 1
    for (let bound = 10; rest >= bound; bound *= 10) digits++
    const length = value < 0 ? digits + 1 : digits
    this.#header(length, 0).#reserve(length)
    if (value < 0) this.#scratch[this.#used] = MINUS
    this.#used += length
    for (let at = this.#used - 1; digits > 0; digits--, at--) {
      const tens = Math.floor(rest / 10)
      this.#scratch[at] = DIGIT_ZERO + (rest - 10 * tens)
      rest = tens
    }
    return this
  }

  integer(value: number): this {
    return this.double(value)
  }

  /** The two zeros are the same. */
  double(value: number): this {
    this.#reserve(8)
    this.#view.setFloat64(this.#used, value + 0, true)
    this.#used += 8
    return this
  }

  int64(value: bigint): this {
    this.#reserve(8)
    this.#view.setBigInt64(this.#used, value, true)
    this.#used += 8
    return this
  }

  /** Bytes whose number follows from what comes before; fewer than 64 KiB. */
  raw(bytes: Uint8Array): this {
    this.#reserve(bytes.length)
    this.#copy(bytes, 0, bytes.length)
    return this
  }

  digest(): Uint8Array {
    const digest = new Uint8Array(DIGEST_BYTES)
    this.digestInto(digest)
    return digest
  }

  digestInto(digest: Uint8Array): void {
    this.#finish()
    for (let i = 0; i < 4; i++) {
      const word = state[i]!
      digest[4 * i] = word >>> 24
      digest[4 * i + 1] = word >>> 16
      digest[4 * i + 2] = word >>> 8
      digest[4 * i + 3] = word
    }
  }

  addTo(sum: DigestSum): void {
    this.#finish()
    sum.addWords(state)
  }

  /** Leaves the words of the hash in `state`. */
  #finish(): void {
    const native = nativeCompress()
    if (this.#spilled === undefined && native !== null) {
      state.set(initialWords)
      native(state, this.#scratch, pad(this.#scratch, this.#used, this.#used))
      return
    }
    const rest = this.#scratch.subarray(0, this.#used)
    const whole = this.#spilled === undefined ? sha256(rest) : this.#spilled.update(rest).digest()
    const view = new DataView(whole.buffer, whole.byteOffset)
    for (let i = 0; i < 4; i++) state[i] = view.getUint32(4 * i)
  }

  #header(length: number, mark: number): this {
    this.#reserve(HEADER_BYTES)
    this.#view.setUint32(this.#used, length >>> 0, true)
    this.#view.setUint32(this.#used + 4, length < WORD ? mark : Math.floor(length / WORD) + mark, true)
    this.#used += HEADER_BYTES
    return this
  }

  #copy(bytes: Uint8Array, start: number, end: number): void {
    const scratch = this.#scratch
    if (end - start > SHORT_BYTES) scratch.set(bytes.subarray(start, end), this.#used)
    else for (let from = start, to = this.#used; from < end; ) scratch[to++] = bytes[from++]!
    this.#used += end - start
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

  /** The same for a digest in words of SHA-256, whose first byte is the highest. */
  addWords(digest: Uint32Array): void {
    const words = this.#words
    for (let i = 0; i < 4; i++) {
      const word = digest[i]!
      words[i]! += ((word >>> 24) | ((word >>> 8) & 0xff00) | ((word & 0xff00) << 8) | (word << 24)) >>> 0
    }
    if (++this.#pending === MAX_PENDING) this.#carry()
  }

  /** Begins anew. */
  clear(): void {
    this.#words.fill(0)
    this.#pending = 0
  }

  /** 16 bytes, the least significant first. */
  value(): Uint8Array {
    const bytes = new Uint8Array(DIGEST_BYTES)
    this.valueInto(bytes)
    return bytes
  }

  valueInto(bytes: Uint8Array): void {
    this.#carry()
    for (let i = 0; i < 4; i++) {
      const word = this.#words[i]!
      bytes[4 * i] = word
      bytes[4 * i + 1] = word >>> 8
      bytes[4 * i + 2] = word >>> 16
      bytes[4 * i + 3] = word >>> 24
    }
  }

  hex(): string {
    return toHex(this.value())
  }

  #carry(): void {
    let carry = 0
    for (let i = 0; i < 4; i++) {
      const sum = this.#words[i]! + carry
      carry = Math.floor(sum / WORD)
      this.#words[i] = sum - carry * WORD
    }
    this.#pending = 0
  }
}
