import { BSON } from 'mongodb'
import { BsonType, elements, type RawValue, wrapped } from './raw.ts'

/** A document whose fields keep their order, also those that look like numbers. */
export type TypedDocument = Map<string, unknown>

/** Keeps the types of numbers, so that what is written again has the same bytes. */
const exactly = { promoteValues: false, promoteBuffers: false, bsonRegExp: true, useBigInt64: false } as const

/**
 * A document for commands: maps for documents, arrays, and the driver's classes for the rest. A plain object would put fields that look like
 * integers first.
 * @throws HoldfastError HF_SOURCE_DAMAGED
 */
export function typedDocument(document: Buffer): TypedDocument {
  const typed: TypedDocument = new Map()
  for (const { name, ...value } of elements(document)) typed.set(name, typedValue(value))
  return typed
}

export function typedValue(value: RawValue): unknown {
  if (value.type === BsonType.document) return typedDocument(value.bytes)
  if (value.type === BsonType.array) return [...typedDocument(value.bytes).values()]
  return BSON.deserialize(wrapped(value), exactly)['']
}

/** The bytes of a document made of what `typedValue` returns, and of plain values. */
export const rawDocument = (typed: TypedDocument | object): Buffer =>
  Buffer.from(BSON.serialize(typed as BSON.Document, { ignoreUndefined: true }))

/** A number of any type, or undefined. */
export function numberOf(value: unknown): number | undefined {
  if (typeof value === 'number') return value
  if (typeof value === 'bigint') return Number(value)
  const { _bsontype: type } = (value ?? {}) as { _bsontype?: string }
  return type === 'Int32' || type === 'Double' || type === 'Long' ? Number(String(value)) : undefined
}
