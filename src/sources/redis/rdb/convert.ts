import { HoldfastError } from '../../../lib/errors.ts'
import { damaged } from './damage.ts'
import { RdbInput, type Waiting } from './input.ts'
import { type ItemCursor, ListpackCursor } from './packed.ts'
import type { RdbDialect } from './values.ts'
import { encodeLength } from './writer.ts'

/** How a value is encoded: number of its type, in the dialect that gave it away. */
export interface ValueEncoding {
  readonly dialect: RdbDialect
  readonly code: number
}

/** What a value came to; its number is that of a hash without expiries when none of its fields expires after all. */
export interface ConvertedValue {
  readonly code: number
  readonly bytes: Uint8Array
}

const LIST = 1
const SET = 2
const HASH = 4
const ZSET = 5
const EXPIRING_HASH = { redis: 24, valkey: 22 } as const
const PLAIN_NODE = 1
const ID_BYTES = 16
const MAX_BYTES = 256 * 1024 * 1024
const NEVER = -1n

/** Numbers of older encodings of the same value, the newest first (rdb.h). */
const older: ReadonlyMap<number, readonly number[]> = new Map([
  [16, [HASH]],
  [17, [ZSET]],
  [18, [LIST]],
  [19, [15]],
  [20, [SET]],
  [21, [19, 15]],
])
const streamVersions: ReadonlyMap<number, 1 | 2 | 3> = new Map([
  [15, 1],
  [19, 2],
  [21, 3],
])

/** What a value can be converted to, the nearest first. Nothing is lost by it that a server knows which does not know the encoding itself. */
export function conversionsOf({ dialect, code }: ValueEncoding): readonly ValueEncoding[] {
  if (isExpiringHash({ dialect, code })) {
    const other = dialect === 'redis' ? 'valkey' : 'redis'
    return [{ dialect: other, code: EXPIRING_HASH[other] }]
  }
  return (older.get(code) ?? []).map((number) => ({ dialect: 'redis', code: number }))
}

/** Whether it is of hashes whose fields expire, which Redis (22 to 25) and Valkey (22) write each in its own way. */
const isExpiringHash = ({ dialect, code }: ValueEncoding): boolean =>
  dialect === 'valkey' ? code === 22 : code >= 22 && code <= 25

/** Whether it is of streams, of which older servers know less. */
export const isStream = (code: number): boolean => streamVersions.has(code)

/**
 * Encodes a value, which is held whole, in another of `conversionsOf` its own.
 * @throws HoldfastError HF_SOURCE_DAMAGED for what is no such value, HF_RESTORE_FAILED when it comes to more than 256 MiB
 */
export function convertValue(value: Uint8Array, from: ValueEncoding, to: ValueEncoding): ConvertedValue {
  const input = new RdbInput()
  input.push(value)
  const { done, value: converted } = convert(input, value, from, to).next()
  if (done !== true || converted === undefined || input.available > 0)
    throw damaged(value.length, 'a value does not end where it should')
  return converted
}

function* convert(input: RdbInput, value: Uint8Array, from: ValueEncoding, to: ValueEncoding): Waiting<ConvertedValue> {
  const output = new Output()
  if (isExpiringHash(from)) return yield* expiringHash(input, from, to, output)
  const { code } = to
  const known = streamVersions.get(from.code)
  if (known !== undefined) yield* stream(input, value, output, known, streamVersions.get(code)!)
  else if (from.code === 18) yield* list(input, output)
  else {
    const cursor = new ListpackCursor(yield* input.whole(), input.offset)
    if (code === ZSET) sortedSet(cursor, output)
    else members(cursor, output, code === HASH ? 2 : 1)
  }
  return { code, bytes: output.bytes }
}

function* list(input: RdbInput, output: Output): Waiting<void> {
  let count = 0
  for (let nodes = yield* input.length(); nodes > 0; nodes--) {
    const container = yield* input.length()
    const { offset } = input
    const node = yield* input.whole()
    if (container === PLAIN_NODE) {
      output.string(node)
      count++
    } else
      for (const cursor = new ListpackCursor(node, offset); cursor.advance(); count++) output.string(cursor.content())
  }
  output.prefix(encodeLength(count))
}

/** `items` strings make one member. */
function members(cursor: ItemCursor, output: Output, items: number): void {
  let count = 0
  for (; cursor.advance(); count++) output.string(cursor.content())
  output.prefix(encodeLength(count / items))
}

function sortedSet(cursor: ItemCursor, output: Output): void {
  let count = 0
  for (; cursor.advance(); count++) {
    output.string(cursor.content())
    cursor.advance()
    output.double(cursor.score())
  }
  output.prefix(encodeLength(count))
}

function* expiringHash(
  input: RdbInput,
  from: ValueEncoding,
  to: ValueEncoding,
  output: Output,
): Waiting<ConvertedValue> {
  const fields: { readonly name: Buffer; readonly value: Buffer; readonly expiry: bigint }[] = []
  if (from.dialect === 'redis' && (from.code === 23 || from.code === 25)) {
    if (from.code === 25) yield* input.int64()
    const cursor = new ListpackCursor(yield* input.whole(), input.offset)
    const next = (): Buffer => Buffer.from(cursor.content())
    while (cursor.advance()) {
      const name = next()
      const value = cursor.advance() ? next() : undefined
      if (value === undefined || !cursor.advance()) throw damaged(input.offset, 'a field of a hash has no value')
      const expiry = cursor.integer()
      fields.push({ name, value, expiry: expiry === 0n ? NEVER : expiry })
    }
  } else {
    const base = from.dialect === 'redis' && from.code === 24 ? (yield* input.int64()) - 1n : 0n
    for (let left = yield* input.length(); left > 0; left--) {
      const before = from.dialect === 'redis' ? yield* input.unsigned() : 0n
      const name = Buffer.from(yield* input.whole())
      const value = Buffer.from(yield* input.whole())
      const after = from.dialect === 'valkey' ? yield* input.int64() : before === 0n ? NEVER : base + before
      fields.push({ name, value, expiry: after })
    }
  }
  const earliest = fields.reduce<bigint>(
    (first, { expiry }) => (expiry !== NEVER && (first === NEVER || expiry < first) ? expiry : first),
    NEVER,
  )
  const code = earliest === NEVER ? HASH : to.code
  if (code !== HASH && to.dialect === 'redis') output.int64(earliest)
  output.raw(encodeLength(fields.length))
  for (const { name, value, expiry } of fields) {
    if (code !== HASH && to.dialect === 'redis')
      output.raw(encodeLength(expiry === NEVER ? 0 : Number(expiry - earliest + 1n)))
    output.string(name)
    output.string(value)
    if (code !== HASH && to.dialect === 'valkey') output.int64(expiry)
  }
  return { code, bytes: output.bytes }
}

/** Copies a stream but for what version `to` has not (rdbSaveObject in rdb.c of Redis 6.2, 7.0 and 7.2). */
function* stream(input: RdbInput, value: Uint8Array, output: Output, from: 1 | 2 | 3, to: 1 | 2 | 3): Waiting<void> {
  let copied = 0
  const keep = (): void => {
    output.raw(value.subarray(copied, input.offset))
    copied = input.offset
  }
  const leaveOut = (): void => {
    copied = input.offset
  }
  const numbers = function* (count: number): Waiting<void> {
    for (let i = 0; i < count; i++) yield* input.unsigned()
  }
  for (let nodes = yield* input.length(); nodes > 0; nodes--) {
    yield* input.whole()
    yield* input.whole()
  }
  yield* numbers(3)
  keep()
  // First id, highest deleted id, entries ever added.
  if (from >= 2) yield* numbers(5)
  if (to >= 2) keep()
  else leaveOut()
  for (let groups = yield* input.length(); groups > 0; groups--) {
    yield* input.whole()
    yield* numbers(2)
    keep()
    if (from >= 2) yield* input.unsigned()
    if (to >= 2) keep()
    else leaveOut()
    for (let pending = yield* input.length(); pending > 0; pending--) {
      yield* input.take(ID_BYTES + 8)
      yield* input.unsigned()
    }
    for (let consumers = yield* input.length(); consumers > 0; consumers--) {
      yield* input.whole()
      yield* input.int64()
      keep()
      // When it was last given something.
      if (from === 3) yield* input.int64()
      if (to === 3) keep()
      else leaveOut()
      for (let owned = yield* input.length(); owned > 0; owned--) yield* input.take(ID_BYTES)
    }
  }
  keep()
}

/** The bytes of a value that is being put together. */
class Output {
  #buffer = Buffer.allocUnsafe(4096)
  #used = 0
  #prefix: Uint8Array = new Uint8Array(0)

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#buffer.set(bytes, this.#used)
    this.#used += bytes.length
  }

  string(bytes: Uint8Array): void {
    this.raw(encodeLength(bytes.length))
    this.raw(bytes)
  }

  double(value: number): void {
    this.#reserve(8)
    this.#used = this.#buffer.writeDoubleLE(value, this.#used)
  }

  int64(value: bigint): void {
    this.#reserve(8)
    this.#used = this.#buffer.writeBigInt64LE(value, this.#used)
  }

  /** What is known last and stands first. */
  prefix(bytes: Uint8Array): void {
    this.#prefix = bytes
  }

  get bytes(): Uint8Array {
    const content = this.#buffer.subarray(0, this.#used)
    return this.#prefix.length === 0 ? content : Buffer.concat([this.#prefix, content])
  }

  #reserve(bytes: number): void {
    const needed = this.#used + bytes
    if (needed <= this.#buffer.length) return
    if (needed > MAX_BYTES)
      throw new HoldfastError('HF_RESTORE_FAILED', 'it comes to more than 256 MiB when it is converted', {
        hint: 'restore it into a server that is as new as the one it is from',
      })
    const grown = Buffer.allocUnsafe(Math.min(2 * needed, MAX_BYTES))
    grown.set(this.#buffer.subarray(0, this.#used))
    this.#buffer = grown
  }
}
