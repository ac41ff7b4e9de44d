import { HoldfastError } from '../../../lib/errors.ts'

/** Types of elements that are told apart here (bsonspec.org, version 1.1). */
export const BsonType = {
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

/** A value within a document, as it stands there. */
export interface RawValue {
  readonly type: number
  /** Without type and name. */
  readonly bytes: Buffer
}

export interface RawElement extends RawValue {
  readonly name: string
  /** From the type to the end of the value. */
  readonly whole: Buffer
}

/** The smallest document, `{}`. */
export const MIN_DOCUMENT_BYTES = 5
/** What servers store is at most 16 MiB; what they keep about it, as in the oplog, may be 16 KiB more. */
export const MAX_DOCUMENT_BYTES: number = 16 * 1024 * 1024 + 16 * 1024
export const EMPTY_DOCUMENT: Buffer = Buffer.from([5, 0, 0, 0, 0])

const damaged = (what: string): HoldfastError => new HoldfastError('HF_SOURCE_DAMAGED', `no valid BSON: ${what}`)

/**
 * The length of the document that begins at `at`, which ends at or before `limit`.
 * @throws HoldfastError HF_SOURCE_DAMAGED when it says it is longer, or does not end with a zero
 */
export function documentLength(bytes: Buffer, at: number, limit: number): number {
  if (at + MIN_DOCUMENT_BYTES > limit) throw damaged('a document is cut off')
  const length = bytes.readInt32LE(at)
  if (length < MIN_DOCUMENT_BYTES || at + length > limit) throw damaged(`a document says it has ${length} bytes`)
  if (bytes[at + length - 1] !== 0) throw damaged('a document does not end')
  return length
}

/** The elements of a document in their order, without a look into nested ones. @throws HoldfastError HF_SOURCE_DAMAGED */
export function* elements(document: Buffer): Generator<RawElement> {
  const length = documentLength(document, 0, document.length)
  const end = length - 1
  if (length !== document.length) throw damaged('a document has another length than it says')
  let at = 4
  while (at < end) {
    const nameEnd = document.indexOf(0, at + 1)
    if (nameEnd < 0 || nameEnd >= end) throw damaged('the name of a field does not end')
    const type = document[at]!
    const valueEnd = endOfValue(document, type, nameEnd + 1, end)
    yield {
      type,
      name: document.toString('utf8', at + 1, nameEnd),
      bytes: document.subarray(nameEnd + 1, valueEnd),
      whole: document.subarray(at, valueEnd),
    }
    at = valueEnd
  }
}

/** The first element of this name. */
export function field(document: Buffer, name: string): RawElement | undefined {
  for (const element of elements(document)) if (element.name === name) return element
  return undefined
}

/** Where the value that begins at `at` ends. */
function endOfValue(bytes: Buffer, type: number, at: number, limit: number): number {
  const end = at + valueLength(bytes, type, at, limit)
  if (end > limit) throw damaged('a value is cut off')
  return end
}

function valueLength(bytes: Buffer, type: number, at: number, limit: number): number {
  switch (type) {
    case BsonType.double:
    case BsonType.date:
    case BsonType.timestamp:
    case BsonType.int64:
      return 8
    case BsonType.string:
    case BsonType.code:
    case BsonType.symbol:
      return stringLength(bytes, at, limit)
    case BsonType.document:
    case BsonType.array:
      return documentLength(bytes, at, limit)
    case BsonType.binary:
      return 5 + prefix(bytes, at, limit, 0)
    case BsonType.undefined:
    case BsonType.null:
    case BsonType.minKey:
    case BsonType.maxKey:
      return 0
    case BsonType.objectId:
      return 12
    case BsonType.boolean:
      return 1
    case BsonType.regex: {
      const pattern = bytes.indexOf(0, at)
      const options = pattern < 0 ? -1 : bytes.indexOf(0, pattern + 1)
      if (options < 0) throw damaged('a regular expression does not end')
      return options + 1 - at
    }
    case BsonType.dbPointer:
      return stringLength(bytes, at, limit) + 12
    case BsonType.codeWithScope:
      return prefix(bytes, at, limit, MIN_DOCUMENT_BYTES)
    case BsonType.int32:
      return 4
    case BsonType.decimal:
      return 16
    default:
      throw damaged(`there is no type 0x${type.toString(16)}`)
  }
}

const stringLength = (bytes: Buffer, at: number, limit: number): number => {
  const length = 4 + prefix(bytes, at, limit, 1)
  if (at + length <= limit && bytes[at + length - 1] !== 0) throw damaged('a text does not end')
  return length
}

function prefix(bytes: Buffer, at: number, limit: number, least: number): number {
  if (at + 4 > limit) throw damaged('a value is cut off')
  const length = bytes.readInt32LE(at)
  if (length < least) throw damaged(`a value says it has ${length} bytes`)
  return length
}

/** A text, or undefined when the value is none. */
export const textOf = (value: RawValue | undefined): string | undefined =>
  value?.type === BsonType.string ? value.bytes.toString('utf8', 4, value.bytes.length - 1) : undefined

/** A nested document, or undefined when the value is none. */
export const documentOf = (value: RawValue | undefined): Buffer | undefined =>
  value?.type === BsonType.document ? value.bytes : undefined

/** A document of elements that exist already. */
export function documentFrom(parts: readonly Buffer[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, MIN_DOCUMENT_BYTES)
  const header = Buffer.allocUnsafe(4)
  header.writeInt32LE(length)
  return Buffer.concat([header, ...parts, Buffer.from([0])], length)
}

/** An element with another name. */
export const elementFrom = (name: string, { type, bytes }: RawValue): Buffer =>
  Buffer.concat([Buffer.from([type]), Buffer.from(`${name}\0`, 'utf8'), bytes])

/** What a document of one field with the empty name consists of: a value that can be given to a decoder of documents. */
export const wrapped = (value: RawValue): Buffer => documentFrom([elementFrom('', value)])
