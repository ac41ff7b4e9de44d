import { BSON, Double } from 'mongodb'

/** Element types of BSON that this server has to tell apart. */
export const Type = {
  double: 0x01,
  string: 0x02,
  document: 0x03,
  array: 0x04,
  binary: 0x05,
  undefined: 0x06,
  objectId: 0x07,
  boolean: 0x08,
  date: 0x09,
  null: 0x0a,
  regex: 0x0b,
  dbPointer: 0x0c,
  code: 0x0d,
  symbol: 0x0e,
  codeWithScope: 0x0f,
  int32: 0x10,
  timestamp: 0x11,
  int64: 0x12,
  decimal: 0x13,
  minKey: 0xff,
  maxKey: 0x7f,
} as const

/** A value as it stands in a document: its type and its bytes without the name. */
export class RawValue {
  readonly type: number
  readonly bytes: Buffer

  constructor(type: number, bytes: Buffer) {
    this.type = type
    this.bytes = bytes
  }
}

export interface Element {
  readonly name: string
  readonly value: RawValue
}

const EMPTY = Buffer.alloc(0)
/** What stands where a field is missing. */
export const NULL: RawValue = new RawValue(Type.null, EMPTY)
export const MIN_KEY: RawValue = new RawValue(Type.minKey, EMPTY)
export const MAX_KEY: RawValue = new RawValue(Type.maxKey, EMPTY)

/**
 * The elements of a document or array in their order.
 * @throws RangeError when it is no BSON
 */
export function* elements(document: Buffer): Generator<Element> {
  const end = document.readInt32LE(0) - 1
  if (end + 1 !== document.length || document[end] !== 0)
    throw new RangeError('a document has another length than it says')
  for (let at = 4; at < end; ) {
    const type = document[at]!
    const nameEnd = document.indexOf(0, at + 1)
    if (nameEnd < 0 || nameEnd >= end) throw new RangeError('the name of a field does not end')
    const start = nameEnd + 1
    const next = start + valueLength(document, type, start)
    if (next > end) throw new RangeError('a field is longer than its document')
    yield {
      name: document.toString('utf8', at + 1, nameEnd),
      value: new RawValue(type, document.subarray(start, next)),
    }
    at = next
  }
}

/** Whether a document begins with `_id` and has no empty timestamp beside it: looked at without taking it apart. */
export function isStorable(document: Buffer): boolean {
  const end = document.readInt32LE(0) - 1
  if (document.length < 9 || document.readUInt32LE(5) !== ID_NAME) return false
  for (let at = 4; at < end; ) {
    const type = document[at]!
    const start = document.indexOf(0, at + 1) + 1
    if (start <= 0) return false
    if (type === Type.timestamp && document.readBigUInt64LE(start) === 0n) return false
    at = start + valueLength(document, type, start)
  }
  return !ODD_IDS.includes(document[4]!)
}

/** `_id` and the zero behind it. */
const ID_NAME = 0x00_64_69_5f
const ODD_IDS: readonly number[] = [Type.array, Type.regex, Type.undefined]

function valueLength(document: Buffer, type: number, start: number): number {
  switch (type) {
    case Type.double:
    case Type.date:
    case Type.timestamp:
    case Type.int64:
      return 8
    case Type.string:
    case Type.code:
    case Type.symbol:
      return 4 + positive(document.readInt32LE(start))
    case Type.document:
    case Type.array:
    case Type.codeWithScope:
      return positive(document.readInt32LE(start))
    case Type.binary:
      return 5 + positive(document.readInt32LE(start), 0)
    case Type.objectId:
      return 12
    case Type.boolean:
      return 1
    case Type.undefined:
    case Type.null:
    case Type.minKey:
    case Type.maxKey:
      return 0
    case Type.regex:
      return document.indexOf(0, document.indexOf(0, start) + 1) + 1 - start
    case Type.dbPointer:
      return 4 + positive(document.readInt32LE(start)) + 12
    case Type.int32:
      return 4
    case Type.decimal:
      return 16
    default:
      throw new RangeError(`unknown BSON type ${type}`)
  }
}

function positive(length: number, least = 1): number {
  if (length < least) throw new RangeError('a length in a document is too small')
  return length
}

/** The field `name` of a document, without looking below it. */
export function field(document: Buffer, name: string): RawValue | undefined {
  for (const element of elements(document)) if (element.name === name) return element.value
  return undefined
}

/** Whether a value is a document or an array. */
export const isNested = ({ type }: RawValue): boolean => type === Type.document || type === Type.array

/** The values of an array. */
export const arrayValues = (value: RawValue): readonly RawValue[] =>
  Array.from(elements(value.bytes), (item) => item.value)

/** A field to be written. */
export type Entry = readonly [name: string, value: unknown]

/** A document with these fields; those that are undefined are left out. Buffers stand for documents as they are. */
export function doc(fields: Readonly<Record<string, unknown>> | Iterable<Entry>): Buffer {
  const entries = Symbol.iterator in fields ? (fields as Iterable<Entry>) : Object.entries(fields)
  const written: Element[] = []
  let length = 5
  for (const [name, value] of entries) {
    if (value === undefined) continue
    const raw = encode(value)
    written.push({ name, value: raw })
    length += 2 + Buffer.byteLength(name) + raw.bytes.length
  }
  const document = Buffer.allocUnsafe(length)
  let at = document.writeInt32LE(length)
  for (const { name, value } of written) {
    document[at++] = value.type
    at += document.write(name, at)
    document[at++] = 0
    document.set(value.bytes, at)
    at += value.bytes.length
  }
  document[at] = 0
  return document
}

/** A document with the fields of another one behind its own. */
export function joined(document: Buffer, others: Buffer): Buffer {
  const length = document.length + others.length - 5
  const size = Buffer.allocUnsafe(4)
  size.writeInt32LE(length)
  return Buffer.concat([size, document.subarray(4, -1), others.subarray(4)], length)
}

/** A JavaScript value, or one of the driver's classes, as BSON. Integers become int32 where they fit. */
export function encode(value: unknown): RawValue {
  switch (typeof value) {
    case 'number':
      return encodeNumber(value)
    case 'bigint': {
      const bytes = Buffer.allocUnsafe(8)
      bytes.writeBigInt64LE(value)
      return new RawValue(Type.int64, bytes)
    }
    case 'string':
      return encodeString(value)
    case 'boolean':
      return new RawValue(Type.boolean, Buffer.of(value ? 1 : 0))
    default:
      return encodeObject(value)
  }
}

function encodeNumber(value: number): RawValue {
  if (Number.isInteger(value) && value === (value | 0) && !Object.is(value, -0)) {
    const bytes = Buffer.allocUnsafe(4)
    bytes.writeInt32LE(value)
    return new RawValue(Type.int32, bytes)
  }
  const bytes = Buffer.allocUnsafe(8)
  bytes.writeDoubleLE(value)
  return new RawValue(Type.double, bytes)
}

function encodeString(value: string): RawValue {
  const bytes = Buffer.allocUnsafe(5 + Buffer.byteLength(value))
  bytes.writeInt32LE(bytes.length - 4)
  bytes.write(value, 4)
  bytes[bytes.length - 1] = 0
  return new RawValue(Type.string, bytes)
}

function encodeObject(value: unknown): RawValue {
  if (value instanceof RawValue) return value
  if (value instanceof Uint8Array) return new RawValue(Type.document, value as Buffer)
  if (value === null) return NULL
  if (Array.isArray(value)) {
    return new RawValue(
      Type.array,
      doc(value.map((item, index): Entry => [String(index), item === undefined ? null : item])),
    )
  }
  if (value instanceof Map) return new RawValue(Type.document, doc(value as Map<string, unknown>))
  if (isPlain(value)) return new RawValue(Type.document, doc(value))
  const [element] = elements(Buffer.from(BSON.serialize({ v: value }, { serializeFunctions: false })))
  if (element === undefined) throw new TypeError('not a value of BSON')
  return element.value
}

function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
}

/** A value as the driver shows it to its users: numbers as numbers, int64 too, dates as dates. */
export function decode(value: RawValue): unknown {
  return BSON.deserialize(doc([['v', value]])).v
}

/** A whole document as the driver shows it. */
export const decodeDocument = (document: Buffer): Readonly<Record<string, unknown>> => BSON.deserialize(document)

/** The number in a value of one of the numeric types; decimals lose precision. */
export function asNumber(value: RawValue | undefined): number | undefined {
  switch (value?.type) {
    case Type.double:
      return value.bytes.readDoubleLE(0)
    case Type.int32:
      return value.bytes.readInt32LE(0)
    case Type.int64:
      return Number(value.bytes.readBigInt64LE(0))
    case Type.decimal:
      return Number(String(decode(value)))
    default:
      return undefined
  }
}

export function asString(value: RawValue | undefined): string | undefined {
  if (value?.type !== Type.string && value?.type !== Type.symbol && value?.type !== Type.code) return undefined
  return value.bytes.toString('utf8', 4, value.bytes.length - 1)
}

/** As the server reads flags: true, and every number but 0. */
export function asBoolean(value: RawValue | undefined): boolean {
  if (value === undefined) return false
  if (value.type === Type.boolean) return value.bytes[0] !== 0
  return (asNumber(value) ?? 0) !== 0
}

export function asDocument(value: RawValue | undefined): Buffer | undefined {
  return value?.type === Type.document ? value.bytes : undefined
}

/** `ok: 1` is a double in every reply. */
export const OK: Double = new Double(1)
