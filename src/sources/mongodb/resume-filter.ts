import { BsonType, type RawValue } from './bson/raw.ts'
import { typedValue } from './bson/typed.ts'

const numbers = [BsonType.double, BsonType.int32, BsonType.int64, BsonType.decimal]

/** Types in the order in which an index has them; those in one group are compared with each other (MongoDB manual, "Comparison/Sort Order"). */
const groups: readonly (readonly number[])[] = [
  [BsonType.minKey],
  [BsonType.undefined, BsonType.null],
  numbers,
  [BsonType.string, BsonType.symbol],
  [BsonType.document],
  [BsonType.array],
  [BsonType.binary],
  [BsonType.objectId],
  [BsonType.boolean],
  [BsonType.date],
  [BsonType.timestamp],
  [BsonType.regex],
  [BsonType.dbPointer],
  [BsonType.code],
  [BsonType.codeWithScope],
  [BsonType.maxKey],
]

/** The number `$type` knows it by: MinKey is -1 there. */
const typeNumber = (type: number): number => (type === BsonType.minKey ? -1 : type)

/**
 * What matches all documents that come behind `last` in the order of `_id`. `$gt` alone finds only ids of the same type. Both parts are
 * ranges of the index.
 */
export function behind(last: RawValue): object {
  const rank = groups.findIndex((group) => group.includes(last.type))
  const later = groups
    .slice(rank + 1)
    .flat()
    .map(typeNumber)
  const otherTypes = later.length === 0 ? [] : [{ _id: { $type: later } }]
  // Nothing is greater than what is no number, which comes before all numbers.
  const sameType = isNotANumber(last)
    ? { _id: { $type: numbers, $ne: Number.NaN } }
    : { _id: { $gt: typedValue(last) } }
  return { $or: [sameType, ...otherTypes] }
}

const isNotANumber = ({ type, bytes }: RawValue): boolean =>
  (type === BsonType.double && Number.isNaN(bytes.readDoubleLE(0))) ||
  // Of a Decimal128 the five bits behind the sign say so.
  (type === BsonType.decimal && (bytes[15]! & 0x7c) === 0x7c)
