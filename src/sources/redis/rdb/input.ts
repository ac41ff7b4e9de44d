import { Sha256Stream } from '../../../engine/kernels/sha256.ts'
import { damaged } from './damage.ts'
import { decompressLzf, LzfStream, mayExpandTo } from './lzf.ts'

/**
 * Something that can go on only with more bytes: it yields to ask for them. What is needed often has two forms, `tryX`, which
 * returns undefined (or SHORT) when it is not all there, and `x`, which waits: `input.tryString() ?? (yield* input.string())`.
 */
export type Waiting<T> = Generator<undefined, T, undefined>

/** What a string of an RDB file holds; of a long one, what it comes to. */
export type Content = Buffer | LongContent

export interface LongContent {
  readonly length: number
  readonly sha256: Uint8Array
}

/** Longer strings are not held in memory, unless they are keys or encode a whole value. */
export const LONG_BYTES: number = 1024 * 1024
/** No server writes a longer one in those cases: Redis keeps strings below 512 MiB and listpacks below 1 GiB. */
const MAX_WHOLE_BYTES = 1 << 30
const SHORT = -1
/** Of the encoded strings: SPECIAL - kind. */
const SPECIAL = -2
const INT8 = SPECIAL
const INT16 = SPECIAL - 1
const LZF = SPECIAL - 3
const MIN_BUFFER_BYTES = 128 * 1024

/**
 * The bytes of an RDB file as they come, and its smallest parts: lengths, strings, numbers (rdb.c of Redis 7.0: rdbLoadLen,
 * rdbGenericLoadStringObject). A string is valid until the next one is read, since compressed ones share their memory.
 */
export class RdbInput {
  #bytes: Buffer = Buffer.alloc(0)
  #at = 0
  #end = 0
  /** Whether `#bytes` is ours, so that what comes may be written behind what is there. */
  #isOurs = false
  /** Where in the file `#bytes` begins. */
  #base = 0
  /** The last string that was decompressed. */
  #content: Buffer = Buffer.alloc(0)

  /** Where in the file the next byte stands. */
  get offset(): number {
    return this.#base + this.#at
  }

  /** Bytes that are here and not yet read. */
  get available(): number {
    return this.#end - this.#at
  }

  /** Adds what comes next. `chunk` must not be written again by its owner. */
  push(chunk: Uint8Array): void {
    const left = this.available
    if (left === 0) {
      this.#base += this.#at
      this.#bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
      this.#at = 0
      this.#end = chunk.length
      this.#isOurs = false
      return
    }
    if (!this.#isOurs || this.#bytes.length - this.#end < chunk.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(MIN_BUFFER_BYTES, 2 * left) + chunk.length)
      grown.set(this.#bytes.subarray(this.#at, this.#end))
      this.#base += this.#at
      this.#bytes = grown
      this.#at = 0
      this.#end = left
      this.#isOurs = true
    }
    this.#bytes.set(chunk, this.#end)
    this.#end += chunk.length
  }

  /** The next `count` bytes, all of them held. */
  *take(count: number): Waiting<Buffer> {
    while (this.available < count) yield
    const start = this.#at
    this.#at += count
    return this.#bytes.subarray(start, this.#at)
  }

  /** The next byte; -1 when it is not here. */
  tryByte(): number {
    return this.#at === this.#end ? SHORT : this.#bytes[this.#at++]!
  }

  *byte(): Waiting<number> {
    while (this.#at === this.#end) yield
    return this.#bytes[this.#at++]!
  }

  *length(): Waiting<number> {
    for (;;) {
      const length = this.#tryHeader()
      if (length >= 0) return length
      if (length <= SPECIAL) throw damaged(this.offset, 'a length is expected')
      yield
    }
  }

  /** A length that is rather a number of 64 bits: part of an id, a counter. */
  *unsigned(): Waiting<bigint> {
    while (this.#at === this.#end) yield
    if (this.#bytes[this.#at] !== 0x81) return BigInt(yield* this.length())
    return (yield* this.take(9)).readBigUInt64BE(1)
  }

  /** The next string when it is here and not long. */
  tryString(): Buffer | undefined {
    const mark = this.#at
    const header = this.#tryHeader()
    const string = header === SHORT ? undefined : this.#tryContent(header, LONG_BYTES)
    if (string === undefined) this.#at = mark
    return string
  }

  *string(): Waiting<Content> {
    for (;;) {
      const mark = this.#at
      const header = this.#tryHeader()
      if (header > LONG_BYTES) return yield* this.#long(header, undefined)
      if (header === LZF) {
        const compressed = yield* this.length()
        const length = yield* this.length()
        if (length > LONG_BYTES) return yield* this.#long(compressed, length)
        return yield* this.#decompressed(compressed, length)
      }
      const string = header === SHORT ? undefined : this.#tryContent(header, LONG_BYTES)
      if (string !== undefined) return string
      this.#at = mark
      yield
    }
  }

  /** The next string in memory, however long: a key, or an encoding of a whole value. */
  *whole(): Waiting<Buffer> {
    for (;;) {
      const mark = this.#at
      const header = this.#tryHeader()
      if (header >= 0) {
        if (header > MAX_WHOLE_BYTES) throw tooLong(this.offset, header)
        return yield* this.take(header)
      }
      if (header === LZF) return yield* this.#decompressed(yield* this.length(), yield* this.length())
      const string = header === SHORT ? undefined : this.#tryContent(header, MAX_WHOLE_BYTES)
      if (string !== undefined) return string
      this.#at = mark
      yield
    }
  }

  *double(): Waiting<number> {
    return (yield* this.take(8)).readDoubleLE()
  }

  /** The next number of 64 bits; undefined when it is not here. */
  tryInt64(): bigint | undefined {
    if (this.available < 8) return undefined
    this.#at += 8
    return this.#bytes.readBigInt64LE(this.#at - 8)
  }

  *int64(): Waiting<bigint> {
    return (yield* this.take(8)).readBigInt64LE()
  }

  /** A length, SPECIAL - kind for an encoded string, or SHORT with nothing read. */
  #tryHeader(): number {
    const left = this.#end - this.#at
    if (left === 0) return SHORT
    const first = this.#bytes[this.#at]!
    const form = first >> 6
    if (form === 0) {
      this.#at++
      return first
    }
    if (form === 1) {
      if (left < 2) return SHORT
      this.#at += 2
      return ((first & 0x3f) << 8) | this.#bytes[this.#at - 1]!
    }
    if (form === 3) {
      if (first > 0xc3) throw damaged(this.offset, `no string is encoded as ${first & 0x3f}`)
      this.#at++
      return SPECIAL - (first & 0x3f)
    }
    if (first === 0x80) {
      if (left < 5) return SHORT
      this.#at += 5
      return this.#bytes.readUInt32BE(this.#at - 4)
    }
    if (first !== 0x81) throw damaged(this.offset, `${first} begins no length`)
    if (left < 9) return SHORT
    const length = this.#bytes.readBigUInt64BE(this.#at + 1)
    if (length > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged(this.offset, `a length of ${length} is impossible`)
    this.#at += 9
    return Number(length)
  }

  /** What follows `header`, if it is here and at most `limit` bytes; else undefined, with the position lost. */
  #tryContent(header: number, limit: number): Buffer | undefined {
    const start = this.#at
    if (header >= 0) {
      if (header > limit || this.available < header) return undefined
      this.#at += header
      return this.#bytes.subarray(start, this.#at)
    }
    if (header === LZF) {
      const compressed = this.#tryHeader()
      const length = compressed === SHORT ? SHORT : this.#tryHeader()
      if (compressed <= SPECIAL || length <= SPECIAL) throw damaged(this.offset, 'a length is expected')
      if (length === SHORT || length > limit) return undefined
      this.#checkCompressed(compressed, length)
      return this.available < compressed ? undefined : this.#decompress(compressed, length)
    }
    const bytes = header === INT8 ? 1 : header === INT16 ? 2 : 4
    if (this.available < bytes) return undefined
    this.#at += bytes
    return Buffer.from(String(this.#bytes.readIntLE(start, bytes)), 'latin1')
  }

  *#decompressed(compressed: number, length: number): Waiting<Buffer> {
    if (length > MAX_WHOLE_BYTES) throw tooLong(this.offset, length)
    this.#checkCompressed(compressed, length)
    while (this.available < compressed) yield
    return this.#decompress(compressed, length)
  }

  /** Redis stores a string compressed only if that saves something. */
  #checkCompressed(compressed: number, length: number): void {
    if (compressed >= length || !mayExpandTo(compressed, length))
      throw damaged(this.offset, `${compressed} compressed bytes cannot be a string of ${length}`)
  }

  #decompress(compressed: number, length: number): Buffer {
    const content = this.#room(length)
    if (!decompressLzf(this.#bytes.subarray(this.#at, this.#at + compressed), content))
      throw damaged(this.offset, `${compressed} compressed bytes do not come to ${length}`)
    this.#at += compressed
    return content
  }

  /** Memory for a string; rare ones that are long do not keep theirs. */
  #room(length: number): Buffer {
    if (length > LONG_BYTES) return Buffer.allocUnsafeSlow(length)
    if (this.#content.length < length)
      this.#content = Buffer.allocUnsafeSlow(Math.min(Math.max(2 * length, MIN_BUFFER_BYTES), LONG_BYTES))
    return this.#content.subarray(0, length)
  }

  /** Reads over `stored` bytes and hashes them, decompressed to `length` bytes if that is given. */
  *#long(stored: number, length: number | undefined): Waiting<LongContent> {
    const start = this.offset
    if (length !== undefined) this.#checkCompressed(stored, length)
    const hash = new Sha256Stream()
    const lzf = length === undefined ? undefined : new LzfStream()
    let given = 0
    const give = (piece: Uint8Array): void => {
      given += piece.length
      hash.update(piece)
    }
    for (let left = stored; left > 0; ) {
      while (this.#at === this.#end) yield
      const piece = this.#bytes.subarray(this.#at, Math.min(this.#end, this.#at + left))
      this.#at += piece.length
      left -= piece.length
      if (lzf === undefined) give(piece)
      else if (!lzf.write(piece, give)) throw damaged(start, 'a compressed string refers to what was never there')
    }
    if (lzf !== undefined && !(lzf.isComplete && given === length))
      throw damaged(start, `a compressed string comes to ${given} bytes, not ${length}`)
    return { length: given, sha256: hash.digest() }
  }
}

const tooLong = (offset: number, length: number): Error =>
  damaged(offset, `a string of ${length} bytes is longer than any server writes`)
