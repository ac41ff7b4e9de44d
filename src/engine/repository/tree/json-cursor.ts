import { HoldfastError } from '../../../lib/errors.ts'
import { parseTimeAt, type Timestamp, zeroTime } from '../../../lib/go-time.ts'
import { unescapeJson } from './go-text.ts'
import type { ByteString, Uint64 } from './node.ts'

/** Deeper than any tree blob: only values of unknown keys and generic attributes nest at all. */
const MAX_DEPTH = 64

// 1: may stand in a JSON string as it is. Bytes of 128 and above go the slow way, which checks that they are UTF-8.
const plain = new Uint8Array(256)
for (let c = 0x20; c < 0x80; c++) plain[c] = 1
plain[0x22] = 0
plain[0x5c] = 0

const hexDigit = new Uint8Array(256)
/** 16 for what is no digit. */
const hexValue = new Uint8Array(256).fill(16)
for (const [value, c] of [...'0123456789abcdef'].entries()) {
  hexDigit[c.charCodeAt(0)] = 1
  hexValue[c.charCodeAt(0)] = value
}

/** A position in the bytes of a JSON text, and the few reading steps a tree needs. Nothing read is ever used as a property name. */
export class JsonCursor {
  readonly #bytes: Uint8Array
  readonly #buffer: Buffer
  readonly #subject: string
  #timeStart = 0
  #time: Timestamp = zeroTime
  at = 0

  /** `subject` names the text in messages: `tree 1a2b3c4d`. */
  constructor(bytes: Uint8Array, subject: string) {
    this.#bytes = bytes
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#subject = subject
  }

  fail(expected: string, position: number = this.at): never {
    const place = position < this.#bytes.length ? `at byte ${position}` : 'at its end'
    throw new HoldfastError('HF_TREE_INVALID', `${this.#subject} is damaged ${place}: expected ${expected}`, {
      hint: 'Run check --read-data to learn which packs are damaged, then repair.',
      context: { position, sizeBytes: this.#bytes.length },
    })
  }

  skipSpace(): void {
    for (;;) {
      const c = this.#bytes[this.at]
      if (c === undefined || c > 0x20 || (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09)) return
      this.at++
    }
  }

  /** The next byte that is no white space; undefined at the end. */
  peek(): number | undefined {
    const c = this.#bytes[this.at]
    if (c !== undefined && c > 0x20) return c
    this.skipSpace()
    return this.#bytes[this.at]
  }

  /** Steps over `byte` when it is next, after white space. */
  accept(byte: number): boolean {
    if (this.peek() !== byte) return false
    this.at++
    return true
  }

  expect(byte: number): void {
    if (!this.accept(byte)) this.fail(`'${String.fromCharCode(byte)}'`)
  }

  /** Steps over exactly these bytes when they are next. */
  acceptBytes(expected: Uint8Array): boolean {
    const bytes = this.#bytes
    const start = this.at
    const count = expected.length
    for (let i = 0; i < count; i++) if (bytes[start + i] !== expected[i]) return false
    this.at = start + count
    return true
  }

  /** Steps over `characters` and a closing quote when they are next and plain. */
  acceptQuoted(characters: string): boolean {
    const bytes = this.#bytes
    const start = this.at
    const count = characters.length
    if (bytes[start] !== 0x22 || bytes[start + count + 1] !== 0x22) return false
    for (let i = 0; i < count; i++) {
      const c = characters.charCodeAt(i)
      if (bytes[start + 1 + i] !== c || plain[c] !== 1) return false
    }
    this.at = start + count + 2
    return true
  }

  acceptNull(): boolean {
    if (this.peek() !== 0x6e) return false
    this.#literal('null')
    return true
  }

  /** Steps over the string that is next; returns where its closing quote stands. */
  #skipString(): number {
    const bytes = this.#bytes
    const start = this.at
    for (let i = start + 1; i < bytes.length; i++) {
      const c = bytes[i]!
      if (c === 0x22) {
        this.at = i + 1
        return i
      }
      if (c === 0x5c) i++
      else if (c < 0x20) this.fail('a string without control characters', i)
    }
    return this.fail('the end of a string', bytes.length)
  }

  /** The bytes a string stands for. */
  string(): ByteString {
    const bytes = this.#bytes
    if (this.peek() !== 0x22) this.fail('a string')
    const start = this.at + 1
    for (let i = start; i < bytes.length; i++) {
      const c = bytes[i]!
      if (plain[c] === 1) continue
      if (c !== 0x22) return this.#escapedString()
      this.at = i + 1
      return this.slice(start, i)
    }
    return this.fail('the end of a string', bytes.length)
  }

  #escapedString(): ByteString {
    const start = this.at + 1
    const inside = this.slice(start, this.#skipString())
    return unescapeJson(inside) ?? this.fail('a string with valid escapes', start)
  }

  /** 64 lower-case hex digits in quotes. */
  id(): string {
    const bytes = this.#bytes
    if (this.peek() !== 0x22) this.fail('an id')
    const start = this.at + 1
    for (let i = start; i < start + 64; i++) if (hexDigit[bytes[i]!] !== 1) this.fail('an id of 64 hex digits', start)
    if (bytes[start + 64] !== 0x22) this.fail('an id of 64 hex digits', start)
    this.at = start + 65
    return this.slice(start, start + 64)
  }

  /** The same, as 32 bytes at the start of `target`. */
  idBytes(target: Uint8Array): void {
    this.#idBytes(target, 0)
  }

  #idBytes(target: Uint8Array, to: number): void {
    const bytes = this.#bytes
    if (this.peek() !== 0x22) this.fail('an id')
    const start = this.at + 1
    let valid = 0
    for (let i = 0; i < 32; i++) {
      const high = hexValue[bytes[start + 2 * i]!]!
      const low = hexValue[bytes[start + 2 * i + 1]!]!
      valid |= high | low
      target[to + i] = (high << 4) | low
    }
    if (valid > 15 || bytes[start + 64] !== 0x22) this.fail('an id of 64 hex digits', start)
    this.at = start + 65
  }

  /** The rest of a list of ids that is not empty, from behind its opening bracket to its end: 32 bytes each. */
  ids(): Uint8Array {
    let ids = new Uint8Array(32 * 16)
    let length = 0
    do {
      if (length === ids.length) {
        const larger = new Uint8Array(2 * length)
        larger.set(ids)
        ids = larger
      }
      this.#idBytes(ids, length)
      length += 32
    } while (this.accept(0x2c))
    this.expect(0x5d)
    return ids.slice(0, length)
  }

  /** A time as `formatTime` writes it. One that repeats the time read before it (as atime repeats mtime) is the same object. */
  time(): Timestamp {
    const bytes = this.#bytes
    if (this.peek() !== 0x22) this.fail('a time')
    const start = this.at + 1
    const difference = start - this.#timeStart
    // Not when the cursor was set back.
    if (this.#timeStart > 0 && difference > 0) {
      let i = this.#timeStart
      while (bytes[i] === bytes[i + difference] && bytes[i] !== 0x22) i++
      if (bytes[i] === 0x22 && bytes[i + difference] === 0x22) {
        this.at = i + difference + 1
        return this.#time
      }
    }
    let end = start
    while (end < bytes.length && bytes[end] !== 0x22) end++
    const time = (bytes[end] === 0x22 ? parseTimeAt(bytes, start, end) : undefined) ?? this.fail('a time', start)
    this.at = end + 1
    this.#timeStart = start
    this.#time = time
    return time
  }

  /** A whole number from 0 to 2^64-1. */
  uint64(): Uint64 {
    const bytes = this.#bytes
    this.skipSpace()
    const start = this.at
    let value = 0
    let i = start
    for (; ; i++) {
      const digit = bytes[i]! - 0x30
      if (!(digit >= 0 && digit <= 9)) break
      value = value * 10 + digit
    }
    const count = i - start
    const next = bytes[i]
    if (count === 0 || count > 20 || (count > 1 && bytes[start] === 0x30)) this.fail('a whole number', start)
    if (next === 0x2e || next === 0x65 || next === 0x45) this.fail('a whole number', start)
    this.at = i
    if (value <= Number.MAX_SAFE_INTEGER) return value
    const exact = BigInt(this.slice(start, i))
    if (exact > 0xffff_ffff_ffff_ffffn) this.fail('a number below 2^64', start)
    return exact
  }

  /** A whole number from 0 to 2^32-1. */
  uint32(): number {
    const start = this.at
    const value = this.uint64()
    return typeof value === 'number' && value <= 0xffff_ffff ? value : this.fail('a number below 2^32', start)
  }

  /** Steps over any value. */
  skipValue(depth = 0): void {
    if (depth > MAX_DEPTH) this.fail(`values nested at most ${MAX_DEPTH} deep`)
    const c = this.peek()
    if (c === 0x22) this.string()
    else if (c === 0x7b) {
      this.at++
      if (this.accept(0x7d)) return
      do {
        if (this.peek() !== 0x22) this.fail('a key')
        this.string()
        this.expect(0x3a)
        this.skipValue(depth + 1)
      } while (this.accept(0x2c))
      this.expect(0x7d)
    } else if (c === 0x5b) {
      this.at++
      if (this.accept(0x5d)) return
      do this.skipValue(depth + 1)
      while (this.accept(0x2c))
      this.expect(0x5d)
    } else if (c === 0x74) this.#literal('true')
    else if (c === 0x66) this.#literal('false')
    else if (c === 0x6e) this.#literal('null')
    else this.#skipNumber()
  }

  /** Bytes `start` to `end` as a string of its own, which keeps nothing else alive. */
  slice(start: number, end: number): ByteString {
    return this.#buffer.toString('latin1', start, end)
  }

  #literal(word: string): void {
    for (let i = 0; i < word.length; i++)
      if (this.#bytes[this.at + i] !== word.charCodeAt(i)) this.fail('a value', this.at)
    this.at += word.length
  }

  #skipNumber(): void {
    const start = this.at
    while (/[-+.0-9eE]/.test(String.fromCharCode(this.#bytes[this.at] ?? 0))) this.at++
    if (!/^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?$/.test(this.slice(start, this.at))) this.fail('a value', start)
  }
}
