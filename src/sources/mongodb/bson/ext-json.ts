import { BSON } from 'mongodb'
import { BsonType, elements, type RawValue } from './raw.ts'
import { typedValue } from './typed.ts'

/**
 * A document as canonical Extended JSON v2 (mongodb/specifications, "Extended JSON"), fields in their order: what mongorestore reads.
 * @throws HoldfastError HF_SOURCE_DAMAGED
 */
export function extendedJson(document: Buffer): string {
  const fields = Array.from(elements(document), ({ name, ...value }) => `${JSON.stringify(name)}:${valueJson(value)}`)
  return `{${fields.join(',')}}`
}

function valueJson(value: RawValue): string {
  if (value.type === BsonType.document) return extendedJson(value.bytes)
  if (value.type === BsonType.array) return `[${Array.from(elements(value.bytes), valueJson).join(',')}]`
  return BSON.EJSON.stringify(typedValue(value), { relaxed: false })
}
