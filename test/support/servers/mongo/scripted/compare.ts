import { asNumber, asString, decode, elements, type RawValue, Type } from './bson.ts'

/** Compares two strings as a collation does. */
export type CompareStrings = (a: string, b: string) => number

/** Where a type stands among the others: MongoDB's comparison order, numbers of all types being one. */
export function typeRank(type: number): number {
  switch (type) {
    case Type.minKey:
      return 0
    case Type.undefined:
    case Type.null:
      return 1
    case Type.double:
    case Type.int32:
    case Type.int64:
    case Type.decimal:
      return 2
    case Type.string:
    case Type.symbol:
      return 3
    case Type.document:
      return 4
    case Type.array:
      return 5
    case Type.binary:
      return 6
    case Type.objectId:
      return 7
    case Type.boolean:
      return 8
    case Type.date:
      return 9
    case Type.timestamp:
      return 10
    case Type.regex:
      return 11
    case Type.dbPointer:
      return 12
    case Type.code:
      return 13
    case Type.codeWithScope:
      return 14
    default:
      return 127
  }
}

/** Order of two values as in an ascending index: negative, 0, positive. */
export function compareValues(a: RawValue, b: RawValue, strings?: CompareStrings): number {
  const rank = typeRank(a.type)
  const difference = rank - typeRank(b.type)
  if (difference !== 0) return difference
  switch (rank) {
    case 2:
      return compareNumbers(a, b)
    case 3:
      return strings === undefined
        ? a.bytes.subarray(4).compare(b.bytes.subarray(4))
        : strings(asString(a)!, asString(b)!)
    case 4:
    case 5:
      return compareNested(a, b, strings)
    case 6:
      return a.bytes.readInt32LE(0) - b.bytes.readInt32LE(0) || a.bytes.subarray(4).compare(b.bytes.subarray(4))
    case 9:
      return compareBigints(a.bytes.readBigInt64LE(0), b.bytes.readBigInt64LE(0))
    case 10:
      return compareBigints(a.bytes.readBigUInt64LE(0), b.bytes.readBigUInt64LE(0))
    default:
      return a.bytes.compare(b.bytes)
  }
}

const compareBigints = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0)

function compareNumbers(a: RawValue, b: RawValue): number {
  if (a.type === Type.int32 && b.type === Type.int32) return a.bytes.readInt32LE(0) - b.bytes.readInt32LE(0)
  if (isInteger(a) && isInteger(b)) return compareBigints(integer(a), integer(b))
  const x = asNumber(a)!
  const y = asNumber(b)!
  // NaN is the least of all numbers and equal to itself.
  if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(y)) - Number(Number.isNaN(x))
  return x < y ? -1 : x > y ? 1 : 0
}

const isInteger = ({ type }: RawValue): boolean => type === Type.int32 || type === Type.int64
const integer = ({ type, bytes }: RawValue): bigint =>
  type === Type.int32 ? BigInt(bytes.readInt32LE(0)) : bytes.readBigInt64LE(0)

function compareNested(a: RawValue, b: RawValue, strings: CompareStrings | undefined): number {
  const others = elements(b.bytes)
  for (const mine of elements(a.bytes)) {
    const { value: other, done } = others.next()
    if (done) return 1
    // First by type, then by name, then by value.
    const order =
      typeRank(mine.value.type) - typeRank(other.value.type) ||
      (a.type === Type.array ? 0 : Buffer.compare(Buffer.from(mine.name), Buffer.from(other.name))) ||
      compareValues(mine.value, other.value, strings)
    if (order !== 0) return order
  }
  return others.next().done ? 0 : -1
}

/** A string that two values have in common when they are equal for an index, and only then. */
export function valueKey(value: RawValue, strings?: (text: string) => string): string {
  const rank = typeRank(value.type)
  switch (rank) {
    case 2: {
      if (isInteger(value)) return `2:${integer(value)}`
      const number = asNumber(value)!
      if (value.type === Type.decimal && !Number.isSafeInteger(number)) return `2:${String(decode(value))}`
      return Number.isInteger(number) ? `2:${BigInt(number)}` : `2:${number}`
    }
    case 3:
      return `3:${strings === undefined ? asString(value)! : strings(asString(value)!)}`
    case 4:
    case 5:
      return `${rank}:${JSON.stringify(Array.from(elements(value.bytes), (item) => [item.name, valueKey(item.value, strings)]))}`
    default:
      return `${rank}:${value.bytes.toString('latin1')}`
  }
}
