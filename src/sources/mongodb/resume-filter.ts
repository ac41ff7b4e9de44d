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

/** Values of one rank are compared with each other; those of a higher rank come behind them. */
export const rankOf = ({ type }: Pick<RawValue, 'type'>): number => groups.findIndex((group) => group.includes(type))

/** A stretch of the order of `_id`. */
export interface IdRange {
  /** Only what comes behind it. */
  readonly after: RawValue | undefined
  /** Only what comes before it, and itself. Never a number that is none. */
  readonly upTo: RawValue | undefined
}

/**
 * What matches the documents of a stretch, and no others: `$gt` and `$lte` alone find only ids of the same type. All parts are ranges of the
 * index that do not overlap.
 */
export function within({ after, upTo }: IdRange): object {
  const [first, last] = [after && rankOf(after), upTo && rankOf(upTo)]
  const isOne = first !== undefined && first === last
  const parts: object[] = []
  if (isOne) parts.push({ _id: { ...above(after!), $lte: typedValue(upTo!) } })
  else if (after !== undefined) parts.push({ _id: above(after) })
  const between = groups
    .slice(first === undefined ? 0 : first + 1, last)
    .flat()
    .map(typeNumber)
  if (between.length > 0 && !isOne) parts.push({ _id: { $type: between } })
  if (upTo !== undefined && !isOne) {
    // It comes before all numbers, and is not less than any.
    if (numbers.includes(upTo.type as (typeof numbers)[number])) parts.push({ _id: Number.NaN })
    parts.push({ _id: { $lte: typedValue(upTo) } })
  }
  return parts.length === 1 ? parts[0]! : { $or: parts }
}

/** The number `$type` knows it by: MinKey is -1 there. */
const typeNumber = (type: number): number => (type === BsonType.minKey ? -1 : type)

/** What is greater, of the same rank. Nothing is greater than what is no number, which comes before all numbers. */
const above = (value: RawValue): object =>
  isNotANumber(value) ? { $type: numbers, $ne: Number.NaN } : { $gt: typedValue(value) }

export const isNotANumber = ({ type, bytes }: RawValue): boolean =>
  (type === BsonType.double && Number.isNaN(bytes.readDoubleLE(0))) ||
  // Of a Decimal128 the five bits behind the sign say so.
  (type === BsonType.decimal && (bytes[15]! & 0x7c) === 0x7c)
