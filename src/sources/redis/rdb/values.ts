import { damaged, unknownFormat } from './damage.ts'
import { DIGEST_BYTES, DigestSum, Message } from './digest.ts'
import type { Content, RdbInput, Waiting } from './input.ts'
import { moduleName, readModuleParts } from './module.ts'
import { IntsetCursor, type ItemCursor, ListpackCursor, parseScore, ZiplistCursor, ZipmapCursor } from './packed.ts'
import { digestStream } from './stream-value.ts'

export type RedisType = 'string' | 'list' | 'set' | 'hash' | 'zset' | 'stream' | 'module'

/** What a value comes to, however it is encoded. */
export interface RedisValue {
  readonly type: RedisType
  /** Equal for equal values; undefined for what only its module could compare. */
  readonly digest: Uint8Array | undefined
  /** Whose value it is: `ReJSON-RL`. */
  readonly module?: string | undefined
  /** When the first of its fields expires, in milliseconds since 1970: from then on it may be another value. */
  readonly fieldsExpireFrom?: bigint | undefined
}

/** Which server's type numbers a file has: Redis and Valkey both gave away 22 and later. */
export type RdbDialect = 'redis' | 'valkey'

/** What is hashed; a kind is part of the hash and must never change. */
const KIND = { string: 1, list: 2, set: 3, hash: 4, zset: 5, member: 16, field: 17, scored: 18 } as const

/** Of fields and keys that do not expire. */
export const NEVER = -1n

const PLAIN_NODE = 1
const PACKED_NODE = 2

/**
 * Reads values of all types (rdb.c of Redis 7.0 and 7.4: rdbLoadObject; Valkey 9.1 for its type 22). What a value came to stands in the reader until
 * the next one is read.
 */
export class ValueReader implements RedisValue {
  type: RedisType = 'string'
  digest: Uint8Array | undefined
  module: string | undefined
  fieldsExpireFrom: bigint | undefined
  readonly #input: RdbInput
  readonly #dialect: RdbDialect
  readonly #value = new Message()
  readonly #item = new Message()
  readonly #members = new Members()

  constructor(input: RdbInput, dialect: RdbDialect) {
    this.#input = input
    this.#dialect = dialect
  }

  /** Reads a value that is one string and is here; false when it is another or not all here, with nothing read. */
  tryRead(code: number): boolean {
    this.#begin()
    const isString = code === 0
    if (!isString && !isPacked(code)) return false
    const { offset } = this.#input
    const string = this.#input.tryString()
    if (string === undefined) return false
    if (isString) this.#string(string)
    else this.#packed(code, string, offset)
    return true
  }

  *read(code: number): Waiting<void> {
    this.#begin()
    const input = this.#input
    const offset = input.offset
    if (isPacked(code)) {
      this.#packed(code, yield* input.whole(), offset)
      return
    }
    switch (code) {
      case 0:
        this.#string(yield* input.string())
        return
      case 1:
        yield* this.#plainList()
        return
      case 2:
        yield* this.#plainSet()
        return
      case 3:
      case 5:
        yield* this.#plainSortedSet(code === 3)
        return
      case 4:
        yield* this.#plainHash()
        return
      case 7:
        this.type = 'module'
        this.module = moduleName(yield* input.unsigned())
        yield* readModuleParts(input)
        return
      case 14:
      case 18:
        yield* this.#quicklist(code === 18)
        return
      case 15:
      case 19:
      case 21:
        this.type = 'stream'
        this.digest = yield* digestStream(input, this.#value, code === 15 ? 1 : code === 19 ? 2 : 3)
        return
    }
    if (code === 22 && this.#dialect === 'valkey') {
      yield* this.#expiringHash('after')
      return
    }
    if (this.#dialect === 'redis') {
      if (code === 22 || code === 24) {
        yield* this.#expiringHash(code === 22 ? 'before' : 'relative')
        return
      }
      if (code === 23 || code === 25) {
        // The earliest expiry; the fields have it too.
        if (code === 25) yield* input.int64()
        this.#hash(new ListpackCursor(yield* input.whole(), offset), true)
        return
      }
    }
    throw unknownFormat(offset - 1, `${code} is no type of value of ${this.#dialect} that is known`)
  }

  #begin(): void {
    this.digest = this.module = this.fieldsExpireFrom = undefined
    this.#members.clear()
  }

  /** A value that is encoded in one string; `offset`: where that stands. */
  #packed(code: number, bytes: Buffer, offset: number): void {
    switch (code) {
      case 9:
        this.#hash(new ZipmapCursor(bytes, offset))
        break
      case 10:
        this.#value.start(KIND.list)
        this.#list(this.#append(new ZiplistCursor(bytes, offset)))
        break
      case 11:
        this.#set(new IntsetCursor(bytes, offset))
        break
      case 12:
        this.#sortedSet(new ZiplistCursor(bytes, offset), offset)
        break
      case 13:
        this.#hash(new ZiplistCursor(bytes, offset))
        break
      case 16:
        this.#hash(new ListpackCursor(bytes, offset))
        break
      case 17:
        this.#sortedSet(new ListpackCursor(bytes, offset), offset)
        break
      default:
        this.#set(new ListpackCursor(bytes, offset))
    }
  }

  #string(content: Content): void {
    this.type = 'string'
    this.digest = this.#value.start(KIND.string).content(content).digest()
  }

  *#plainList(): Waiting<void> {
    const input = this.#input
    const count = yield* input.length()
    this.#value.start(KIND.list)
    for (let i = 0; i < count; i++) this.#value.content(input.tryString() ?? (yield* input.string()))
    this.#list(count)
  }

  *#quicklist(hasContainers: boolean): Waiting<void> {
    const input = this.#input
    const nodes = yield* input.length()
    let count = 0
    this.#value.start(KIND.list)
    for (let i = 0; i < nodes; i++) {
      const container = hasContainers ? yield* input.length() : PACKED_NODE
      const offset = input.offset
      if (container === PLAIN_NODE) {
        this.#value.content(input.tryString() ?? (yield* input.string()))
        count++
      } else if (container !== PACKED_NODE) throw damaged(offset, `no node of a list is a ${container}`)
      else {
        const node = input.tryString() ?? (yield* input.whole())
        count += this.#append(hasContainers ? new ListpackCursor(node, offset) : new ZiplistCursor(node, offset))
      }
    }
    this.#list(count)
  }

  /** Adds all items to the list; how many there were. */
  #append(cursor: ItemCursor): number {
    let count = 0
    for (; cursor.advance(); count++) cursor.addTo(this.#value)
    return count
  }

  #list(count: number): void {
    this.type = 'list'
    this.digest = this.#value.integer(count).digest()
  }

  *#plainSet(): Waiting<void> {
    const input = this.#input
    for (let left = yield* input.length(); left > 0; left--) {
      this.#item.start(KIND.member).content(input.tryString() ?? (yield* input.string()))
      this.#members.add(this.#item)
    }
    this.#end('set', KIND.set)
  }

  #set(cursor: ItemCursor): void {
    while (cursor.advance()) {
      cursor.addTo(this.#item.start(KIND.member))
      this.#members.add(this.#item)
    }
    this.#end('set', KIND.set)
  }

  *#plainSortedSet(hasTextScores: boolean): Waiting<void> {
    const input = this.#input
    for (let left = yield* input.length(); left > 0; left--) {
      this.#item.start(KIND.scored).content(input.tryString() ?? (yield* input.string()))
      const offset = input.offset
      this.#addScored(hasTextScores ? yield* this.#textScore() : yield* input.double(), offset)
    }
    this.#end('zset', KIND.zset)
  }

  #sortedSet(cursor: ItemCursor, offset: number): void {
    while (cursor.advance()) {
      cursor.addTo(this.#item.start(KIND.scored))
      if (!cursor.advance()) throw damaged(offset, 'a member of a sorted set has no score')
      this.#addScored(cursor.score(), offset)
    }
    this.#end('zset', KIND.zset)
  }

  /** A score as text after its length, 253 to 255 for what is no number to be written down. */
  *#textScore(): Waiting<number> {
    const length = yield* this.#input.byte()
    if (length === 255) return Number.NEGATIVE_INFINITY
    if (length === 254) return Number.POSITIVE_INFINITY
    if (length === 253) return Number.NaN
    return parseScore((yield* this.#input.take(length)).toString('latin1'))
  }

  *#plainHash(): Waiting<void> {
    const input = this.#input
    for (let left = yield* input.length(); left > 0; left--) {
      this.#item.start(KIND.field).content(input.tryString() ?? (yield* input.string()))
      this.#item.content(input.tryString() ?? (yield* input.string()))
      this.#addField(NEVER)
    }
    this.#end('hash', KIND.hash)
  }

  #hash(cursor: ItemCursor, hasExpiries = false): void {
    const lacking = (): Error => damaged(this.#input.offset, 'a field of a hash has no value')
    while (cursor.advance()) {
      cursor.addTo(this.#item.start(KIND.field))
      if (!cursor.advance()) throw lacking()
      cursor.addTo(this.#item)
      if (!hasExpiries) {
        this.#addField(NEVER)
        continue
      }
      if (!cursor.advance()) throw lacking()
      const expiry = cursor.integer()
      this.#addField(expiry === 0n ? NEVER : expiry)
    }
    this.#end('hash', KIND.hash)
  }

  /**
   * A hash whose fields may expire, in the order of `place`: Redis 7.4 and later write the expiry before name and value, relative to the earliest (its
   * release candidates absolute), 0 for none; Valkey 9 after them, -1 for none.
   */
  *#expiringHash(place: 'relative' | 'before' | 'after'): Waiting<void> {
    const input = this.#input
    const base = place === 'relative' ? (yield* input.int64()) - 1n : 0n
    for (let left = yield* input.length(); left > 0; left--) {
      const before = place === 'after' ? 0n : yield* input.unsigned()
      this.#item.start(KIND.field).content(input.tryString() ?? (yield* input.string()))
      this.#item.content(input.tryString() ?? (yield* input.string()))
      this.#addField(place === 'after' ? yield* input.int64() : before === 0n ? NEVER : base + before)
    }
    this.#end('hash', KIND.hash)
  }

  /** Adds the field that is in `#item`. */
  #addField(expiry: bigint): void {
    if (expiry !== NEVER && (this.fieldsExpireFrom === undefined || expiry < this.fieldsExpireFrom))
      this.fieldsExpireFrom = expiry
    this.#members.add(this.#item.int64(expiry))
  }

  /** Adds the member that is in `#item`. */
  #addScored(score: number, offset: number): void {
    if (Number.isNaN(score)) throw damaged(offset, 'a score is no number')
    this.#members.add(this.#item.double(score))
  }

  /** All members have been added. */
  #end(type: RedisType, kind: number): void {
    this.type = type
    this.digest = this.#members.addTo(this.#value.start(kind)).digest()
  }
}

/** Whether a value of this type is encoded in one string, whatever the dialect. */
const isPacked = (code: number): boolean => (code >= 9 && code <= 13) || code === 16 || code === 17 || code === 20

/** Members of a value in any order. */
class Members {
  readonly #sum = new DigestSum()
  readonly #value = new Uint8Array(DIGEST_BYTES)
  #count = 0

  clear(): void {
    this.#sum.clear()
    this.#count = 0
  }

  add(member: Message): void {
    member.addTo(this.#sum)
    this.#count++
  }

  addTo(message: Message): Message {
    this.#sum.valueInto(this.#value)
    return message.integer(this.#count).raw(this.#value)
  }
}
