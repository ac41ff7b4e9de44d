import { damaged, unknownFormat } from './damage.ts'
import { DigestSum, Message } from './digest.ts'
import type { Content, RdbInput, Waiting } from './input.ts'
import { moduleName, readModuleParts } from './module.ts'
import { IntsetCursor, type ItemCursor, ListpackCursor, ZiplistCursor, ZipmapCursor } from './packed.ts'
import { digestStream } from './stream-value.ts'

export type RedisType = 'string' | 'list' | 'set' | 'hash' | 'zset' | 'stream' | 'module'

/** What a value comes to, however it is encoded. */
export interface RedisValue {
  readonly type: RedisType
  /** Equal for equal values; undefined for what only its module could compare. */
  readonly digest: Uint8Array | undefined
  /** Whose value it is: `ReJSON-RL`. */
  readonly module?: string
  /** When the first of its fields expires, in milliseconds since 1970: from then on it may be another value. */
  readonly fieldsExpireFrom?: bigint
}

/** Which server's type numbers a file has: Redis and Valkey both gave away 22 and later. */
export type RdbDialect = 'redis' | 'valkey'

/** What is hashed; a kind is part of the hash and must never change. */
const KIND = { string: 1, list: 2, set: 3, hash: 4, zset: 5, member: 16, field: 17, scored: 18 } as const

/** Of fields and keys that do not expire. */
export const NEVER = -1n

const PLAIN_NODE = 1
const PACKED_NODE = 2

/** Reads values of all types (rdb.c of Redis 7.0 and 7.4: rdbLoadObject; Valkey 9.1 for its type 22). */
export class ValueReader {
  readonly #input: RdbInput
  readonly #dialect: RdbDialect
  readonly #value = new Message()
  readonly #item = new Message()

  constructor(input: RdbInput, dialect: RdbDialect) {
    this.#input = input
    this.#dialect = dialect
  }

  *read(code: number): Waiting<RedisValue> {
    const input = this.#input
    const offset = input.offset
    switch (code) {
      case 0: {
        const content = input.tryString() ?? (yield* input.string())
        return { type: 'string', digest: this.#value.start(KIND.string).content(content).digest() }
      }
      case 1:
        return yield* this.#plainList()
      case 2:
        return yield* this.#plainSet()
      case 3:
      case 5:
        return yield* this.#plainSortedSet(code === 3)
      case 4:
        return yield* this.#plainHash()
      case 7: {
        const module = moduleName(yield* input.unsigned())
        yield* readModuleParts(input)
        return { type: 'module', digest: undefined, module }
      }
      case 9:
        return this.#hash(new ZipmapCursor(yield* input.whole(), offset))
      case 10:
        this.#value.start(KIND.list)
        return this.#list(this.#append(new ZiplistCursor(yield* input.whole(), offset)))
      case 11:
        return this.#set(new IntsetCursor(yield* input.whole(), offset))
      case 12:
        return this.#sortedSet(new ZiplistCursor(yield* input.whole(), offset), offset)
      case 13:
        return this.#hash(new ZiplistCursor(yield* input.whole(), offset))
      case 14:
      case 18:
        return yield* this.#quicklist(code === 18)
      case 15:
      case 19:
      case 21:
        return {
          type: 'stream',
          digest: yield* digestStream(input, this.#value, code === 15 ? 1 : code === 19 ? 2 : 3),
        }
      case 16:
        return this.#hash(new ListpackCursor(yield* input.whole(), offset))
      case 17:
        return this.#sortedSet(new ListpackCursor(yield* input.whole(), offset), offset)
      case 20:
        return this.#set(new ListpackCursor(yield* input.whole(), offset))
    }
    if (code === 22 && this.#dialect === 'valkey') return yield* this.#expiringHash('after')
    if (this.#dialect === 'redis') {
      if (code === 22 || code === 24) return yield* this.#expiringHash(code === 22 ? 'before' : 'relative')
      if (code === 23 || code === 25) {
        // The earliest expiry; the fields have it too.
        if (code === 25) yield* input.int64()
        return this.#hash(new ListpackCursor(yield* input.whole(), offset), true)
      }
    }
    throw unknownFormat(offset - 1, `${code} is no type of value of ${this.#dialect} that is known`)
  }

  *#plainList(): Waiting<RedisValue> {
    const input = this.#input
    const count = yield* input.length()
    this.#value.start(KIND.list)
    for (let i = 0; i < count; i++) this.#value.content(input.tryString() ?? (yield* input.string()))
    return this.#list(count)
  }

  *#quicklist(hasContainers: boolean): Waiting<RedisValue> {
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
    return this.#list(count)
  }

  /** Adds all items to the list; how many there were. */
  #append(cursor: ItemCursor): number {
    let count = 0
    for (; cursor.advance(); count++) this.#value.content(cursor.content())
    return count
  }

  #list(count: number): RedisValue {
    return { type: 'list', digest: this.#value.integer(count).digest() }
  }

  *#plainSet(): Waiting<RedisValue> {
    const input = this.#input
    const members = new Members()
    for (let left = yield* input.length(); left > 0; left--)
      members.add(this.#member(input.tryString() ?? (yield* input.string())))
    return { type: 'set', digest: members.digest(this.#value.start(KIND.set)) }
  }

  #set(cursor: ItemCursor): RedisValue {
    const members = new Members()
    while (cursor.advance()) members.add(this.#member(cursor.content()))
    return { type: 'set', digest: members.digest(this.#value.start(KIND.set)) }
  }

  *#plainSortedSet(hasTextScores: boolean): Waiting<RedisValue> {
    const input = this.#input
    const members = new Members()
    for (let left = yield* input.length(); left > 0; left--) {
      const member = input.tryString() ?? (yield* input.string())
      const offset = input.offset
      const score = hasTextScores ? yield* this.#textScore() : yield* input.double()
      members.add(this.#scored(member, score, offset))
    }
    return { type: 'zset', digest: members.digest(this.#value.start(KIND.zset)) }
  }

  #sortedSet(cursor: ItemCursor, offset: number): RedisValue {
    const members = new Members()
    while (cursor.advance()) {
      const member = cursor.content()
      if (!cursor.advance()) throw damaged(offset, 'a member of a sorted set has no score')
      members.add(this.#scored(member, scoreOf(cursor.content().toString('latin1'), offset), offset))
    }
    return { type: 'zset', digest: members.digest(this.#value.start(KIND.zset)) }
  }

  /** A score as text after its length, 253 to 255 for what is no number to be written down. */
  *#textScore(): Waiting<number> {
    const length = yield* this.#input.byte()
    if (length === 255) return Number.NEGATIVE_INFINITY
    if (length === 254) return Number.POSITIVE_INFINITY
    if (length === 253) return Number.NaN
    const offset = this.#input.offset
    return scoreOf((yield* this.#input.take(length)).toString('latin1'), offset)
  }

  *#plainHash(): Waiting<RedisValue> {
    const input = this.#input
    const fields = new Members()
    for (let left = yield* input.length(); left > 0; left--) {
      const field = input.tryString() ?? (yield* input.string())
      fields.add(this.#field(field, input.tryString() ?? (yield* input.string()), NEVER))
    }
    return this.#hashOf(fields)
  }

  #hash(cursor: ItemCursor, hasExpiries = false): RedisValue {
    const fields = new Members()
    while (cursor.advance()) {
      const field = cursor.content()
      const value = cursor.advance() ? cursor.content() : undefined
      const expiry = !hasExpiries ? 0n : cursor.advance() ? cursor.integer() : undefined
      if (value === undefined || expiry === undefined)
        throw damaged(this.#input.offset, 'a field of a hash has no value')
      fields.add(this.#field(field, value, fields.expiry(expiry === 0n ? NEVER : expiry)))
    }
    return this.#hashOf(fields)
  }

  /**
   * A hash whose fields may expire, in the order of `place`: Redis 7.4 and later write the expiry before name and value, relative to the earliest (its
   * release candidates absolute), 0 for none; Valkey 9 after them, -1 for none.
   */
  *#expiringHash(place: 'relative' | 'before' | 'after'): Waiting<RedisValue> {
    const input = this.#input
    const fields = new Members()
    const base = place === 'relative' ? (yield* input.int64()) - 1n : 0n
    for (let left = yield* input.length(); left > 0; left--) {
      const before = place === 'after' ? 0n : yield* input.unsigned()
      const field = input.tryString() ?? (yield* input.string())
      const value = input.tryString() ?? (yield* input.string())
      const expiry = place === 'after' ? yield* input.int64() : before === 0n ? NEVER : base + before
      fields.add(this.#field(field, value, fields.expiry(expiry)))
    }
    return this.#hashOf(fields)
  }

  #hashOf(fields: Members): RedisValue {
    const value: RedisValue = { type: 'hash', digest: fields.digest(this.#value.start(KIND.hash)) }
    return fields.earliest === undefined ? value : { ...value, fieldsExpireFrom: fields.earliest }
  }

  #member(content: Content): Uint8Array {
    return this.#item.start(KIND.member).content(content).digest()
  }

  #field(name: Content, value: Content, expiry: bigint): Uint8Array {
    return this.#item.start(KIND.field).content(name).content(value).int64(expiry).digest()
  }

  #scored(member: Content, score: number, offset: number): Uint8Array {
    if (Number.isNaN(score)) throw damaged(offset, 'a score is no number')
    return this.#item.start(KIND.scored).content(member).double(score).digest()
  }
}

/** Members of a value in any order. */
class Members {
  readonly #sum = new DigestSum()
  #count = 0
  earliest: bigint | undefined

  add(digest: Uint8Array): void {
    this.#sum.add(digest)
    this.#count++
  }

  /** Remembers the earliest expiry of a field. */
  expiry(at: bigint): bigint {
    if (at !== NEVER && (this.earliest === undefined || at < this.earliest)) this.earliest = at
    return at
  }

  digest(message: Message): Uint8Array {
    return message.integer(this.#count).raw(this.#sum.value()).digest()
  }
}

function scoreOf(text: string, offset: number): number {
  const special = /^([+-]?)inf(?:inity)?$/i.exec(text)
  if (special !== null) return special[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
  const score = text.trim() === '' ? Number.NaN : Number(text)
  if (Number.isNaN(score)) throw damaged(offset, 'a score is no number')
  return score
}
