import { damaged } from './damage.ts'
import type { Message } from './digest.ts'

/** Reads the items of a value that is encoded in one string, front to back. */
export interface ItemCursor {
  /** Goes to the next item; false after the last one, when the encoding has been found whole. */
  advance(): boolean
  /** The item as the string it stands for. */
  content(): Buffer
  /** Adds that string to a message. */
  addTo(message: Message): void
  /** The item as the whole number it has to be. */
  integer(): bigint
  /** The item as the score of a member; NaN when it is none. */
  score(): number
}

/** The number that a server means by this text (`inf`, `-1e3`); NaN when it is none. */
export function parseScore(text: string): number {
  const special = /^([+-]?)inf(?:inity)?$/i.exec(text)
  if (special !== null) return special[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
  return text.trim() === '' ? Number.NaN : Number(text)
}

/** What cursors have in common: the current item is bytes `start` to `end`, or an integer. */
abstract class Cursor implements ItemCursor {
  protected readonly bytes: Buffer
  protected at: number
  protected start = 0
  protected end = 0
  protected number: number | bigint | undefined
  protected readonly offset: number
  readonly #name: string

  /** `offset`: where in the file the value stands. */
  constructor(name: string, bytes: Buffer, offset: number, at: number) {
    this.#name = name
    this.bytes = bytes
    this.offset = offset
    this.at = at
  }

  abstract advance(): boolean

  content(): Buffer {
    return this.number === undefined ? this.bytes.subarray(this.start, this.end) : Buffer.from(String(this.number))
  }

  addTo(message: Message): void {
    if (this.number === undefined) message.range(this.bytes, this.start, this.end)
    else message.decimal(this.number)
  }

  score(): number {
    if (this.number !== undefined) return Number(this.number)
    return parseScore(this.bytes.toString('latin1', this.start, this.end))
  }

  integer(): bigint {
    if (this.number !== undefined) return BigInt(this.number)
    const text = this.bytes.toString('latin1', this.start, this.end)
    return /^-?\d{1,20}$/.test(text) ? BigInt(text) : this.fail('an item is no number')
  }

  /** Makes the next `length` bytes, after `header` bytes, the item. */
  protected string(header: number, length: number): void {
    this.number = undefined
    this.start = this.at + header
    this.end = this.start + length
  }

  protected signed(header: number, bytes: number): void {
    const at = this.at + header
    this.within(at + bytes)
    this.number = bytes === 8 ? this.bytes.readBigInt64LE(at) : this.bytes.readIntLE(at, bytes)
    this.end = at + bytes
  }

  protected small(header: number, value: number): void {
    this.number = value
    this.end = this.at + header
  }

  /** Fails unless bytes up to `end` are there, with the end mark behind them. */
  protected within(end: number): void {
    if (end >= this.bytes.length) this.fail('an item reaches beyond the end')
  }

  protected fail(what: string): never {
    throw damaged(this.offset, `${this.#name}, at its byte ${this.at}: ${what}`)
  }
}

const END_MARK = 0xff
const UNKNOWN_COUNT = 0xffff

/**
 * A listpack (listpack.md of antirez, listpack.c of Redis 7.0): length in bytes, number of items, then items each followed by its own length for
 * reading backwards, FF.
 */
export class ListpackCursor extends Cursor {
  #left: number

  constructor(bytes: Buffer, offset: number) {
    super('listpack', bytes, offset, 6)
    if (bytes.length < 7 || bytes.readUInt32LE(0) !== bytes.length || bytes.at(-1) !== END_MARK)
      this.fail('its length is not that of the string it is in')
    const count = bytes.readUInt16LE(4)
    this.#left = count === UNKNOWN_COUNT ? Number.POSITIVE_INFINITY : count
  }

  advance(): boolean {
    const { bytes, at } = this
    const first = bytes[at]!
    if (first === END_MARK) {
      if (at !== bytes.length - 1) this.fail('it ends too early')
      if (this.#left !== 0 && this.#left !== Number.POSITIVE_INFINITY) this.fail(`${this.#left} items are missing`)
      return false
    }
    if (this.#left-- === 0) this.fail('it has more items than it says')
    if (first < 0x80) this.small(1, first)
    else if (first < 0xc0) this.string(1, first & 0x3f)
    else if (first < 0xe0) {
      this.within(at + 2)
      const value = ((first & 0x1f) << 8) | bytes[at + 1]!
      this.small(2, value >= 0x1000 ? value - 0x2000 : value)
    } else if (first < 0xf0) {
      this.within(at + 2)
      this.string(2, ((first & 0x0f) << 8) | bytes[at + 1]!)
    } else if (first === 0xf0) {
      this.within(at + 5)
      this.string(5, bytes.readUInt32LE(at + 1))
    } else if (first <= 0xf4) this.signed(1, first === 0xf4 ? 8 : first - 0xf0 + 1)
    else this.fail(`no item begins with ${first}`)
    this.within(this.end)
    this.#checkBackwardLength(this.end - at)
    return true
  }

  /** Sevens of bits, the lowest last; all but the first byte have their top bit set. */
  #checkBackwardLength(length: number): void {
    if (length < 0x80) {
      this.within(this.end + 1)
      if (this.bytes[this.end] !== length) this.fail('the two lengths of an item differ')
      this.at = this.end + 1
      return
    }
    let bytes = 1
    for (let rest = length; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++
    this.within(this.end + bytes)
    for (let i = bytes - 1, rest = length; i >= 0; i--, rest = Math.floor(rest / 0x80))
      if (this.bytes[this.end + i] !== (rest & 0x7f) + (i > 0 ? 0x80 : 0))
        this.fail('the two lengths of an item differ')
    this.at = this.end + bytes
  }
}

/** A ziplist (ziplist.c of Redis 6.2): length in bytes, offset of the last item, number of items, items each after the length of the one before, FF. */
export class ZiplistCursor extends Cursor {
  #left: number
  #previousAt = 0

  constructor(bytes: Buffer, offset: number) {
    super('ziplist', bytes, offset, 10)
    if (bytes.length < 11 || bytes.readUInt32LE(0) !== bytes.length || bytes.at(-1) !== END_MARK)
      this.fail('its length is not that of the string it is in')
    const count = bytes.readUInt16LE(8)
    this.#left = count === UNKNOWN_COUNT ? Number.POSITIVE_INFINITY : count
  }

  advance(): boolean {
    const { bytes } = this
    const itemAt = this.at
    if (bytes[itemAt] === END_MARK) {
      if (itemAt !== bytes.length - 1) this.fail('it ends too early')
      if (this.#left !== 0 && this.#left !== Number.POSITIVE_INFINITY) this.fail(`${this.#left} items are missing`)
      if (bytes.readUInt32LE(4) !== (this.#previousAt || 10)) this.fail('its last item is elsewhere')
      return false
    }
    if (this.#left-- === 0) this.fail('it has more items than it says')
    const isWide = bytes[itemAt] === 0xfe
    this.within(itemAt + (isWide ? 6 : 2))
    const previous = isWide ? bytes.readUInt32LE(itemAt + 1) : bytes[itemAt]!
    if (previous !== (this.#previousAt === 0 ? 0 : itemAt - this.#previousAt))
      this.fail('the length of the item before is wrong')
    this.at += isWide ? 5 : 1
    this.#read(bytes[this.at]!)
    this.within(this.end)
    this.#previousAt = itemAt
    this.at = this.end
    return true
  }

  #read(first: number): void {
    const { bytes, at } = this
    if (first < 0x40) this.string(1, first)
    else if (first < 0x80) {
      this.within(at + 2)
      this.string(2, ((first & 0x3f) << 8) | bytes[at + 1]!)
    } else if (first === 0x80) {
      this.within(at + 5)
      this.string(5, bytes.readUInt32BE(at + 1))
    } else if (first === 0xc0) this.signed(1, 2)
    else if (first === 0xd0) this.signed(1, 4)
    else if (first === 0xe0) this.signed(1, 8)
    else if (first === 0xf0) this.signed(1, 3)
    else if (first === 0xfe) this.signed(1, 1)
    else if (first > 0xf0 && first < 0xfe) this.small(1, first - 0xf1)
    else this.fail(`no item is encoded as ${first}`)
  }
}

/** A zipmap (zipmap.c of Redis 2.6): number of pairs, then name, value and unused bytes of each, FF. */
export class ZipmapCursor extends Cursor {
  #isValue = false

  constructor(bytes: Buffer, offset: number) {
    super('zipmap', bytes, offset, 1)
    if (bytes.length < 2 || bytes.at(-1) !== END_MARK) this.fail('it has no end')
  }

  advance(): boolean {
    const { bytes, at } = this
    const first = bytes[at]!
    if (first === END_MARK) {
      if (at !== bytes.length - 1 || this.#isValue) this.fail('it ends too early')
      return false
    }
    let header = 1
    let length = first
    if (first === 0xfe) {
      this.within(at + 5)
      header = 5
      length = bytes.readUInt32LE(at + 1)
    }
    let unused = 0
    if (this.#isValue) {
      this.within(at + header)
      unused = bytes[at + header]!
      header++
    }
    this.string(header, length)
    this.within(this.end + unused)
    this.at = this.end + unused
    this.#isValue = !this.#isValue
    return true
  }
}

/** An intset (intset.c): bytes per number, how many, the numbers. */
export class IntsetCursor extends Cursor {
  readonly #width: number

  constructor(bytes: Buffer, offset: number) {
    super('intset', bytes, offset, 8)
    this.#width = bytes.length < 8 ? 0 : bytes.readUInt32LE(0)
    if (![2, 4, 8].includes(this.#width) || bytes.readUInt32LE(4) * this.#width !== bytes.length - 8)
      this.fail('its length is not that of the string it is in')
  }

  advance(): boolean {
    if (this.at === this.bytes.length) return false
    this.number = this.#width === 8 ? this.bytes.readBigInt64LE(this.at) : this.bytes.readIntLE(this.at, this.#width)
    this.at += this.#width
    return true
  }
}
