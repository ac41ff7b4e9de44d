import { HoldfastError } from '../../../lib/errors.ts'
import { BsonType, documentFrom, elementFrom, elements, field, type RawElement, type RawValue } from '../bson/raw.ts'

/**
 * Applies the update of an oplog entry to a document. Entries of one stretch may be applied to a document that is newer than some of them:
 * what does not fit the document any more is left alone, a later entry settles it (mongodb/mongo, update/document_diff_applier.h).
 * @throws HoldfastError HF_DATA_DAMAGED for an update of no known form
 */
export function applyUpdate(document: Buffer, update: Buffer): Buffer {
  const version = field(update, '$v')
  if (version === undefined) return update
  const diff = field(update, 'diff')
  if (numberIn(version) !== 2 || diff?.type !== BsonType.document)
    throw unknown(`an update of version ${numberIn(version)}, which servers since 5.0 do not write`)
  return applyToDocument(document, diff.bytes)
}

/** `d`, `u`, `i` and `s<field>`: removed, changed, added fields, and differences of what is in them. */
function applyToDocument(document: Buffer, diff: Buffer): Buffer {
  const removed = new Set<string>()
  const updated = new Map<string, RawElement>()
  const inserted = new Map<string, RawElement>()
  const nested = new Map<string, Buffer>()
  for (const part of elements(diff)) {
    if (part.name === 'd') for (const { name } of elements(part.bytes)) removed.add(name)
    else if (part.name === 'u') for (const one of elements(part.bytes)) updated.set(one.name, one)
    else if (part.name === 'i') for (const one of elements(part.bytes)) inserted.set(one.name, one)
    else if (part.name.startsWith('s') && part.type === BsonType.document) nested.set(part.name.slice(1), part.bytes)
    else throw unknown(`a difference with the section ${JSON.stringify(part.name)}`)
  }
  const result: Buffer[] = []
  for (const before of elements(document)) {
    const { name } = before
    if (removed.has(name) || inserted.has(name)) continue
    const change = updated.get(name)
    const within = nested.get(name)
    if (change !== undefined) result.push(change.whole)
    else if (within !== undefined) result.push(elementFrom(name, applyWithin(before, within)))
    else result.push(before.whole)
    updated.delete(name)
  }
  for (const { whole } of updated.values()) result.push(whole)
  for (const { whole } of inserted.values()) result.push(whole)
  return documentFrom(result)
}

function applyWithin(before: RawValue, diff: Buffer): RawValue {
  const isArrayDiff = field(diff, 'a') !== undefined
  if (before.type === BsonType.document && !isArrayDiff)
    return { type: before.type, bytes: applyToDocument(before.bytes, diff) }
  if (before.type === BsonType.array && isArrayDiff)
    return { type: before.type, bytes: applyToArray(before.bytes, diff) }
  return before
}

const NULL: RawValue = { type: BsonType.null, bytes: Buffer.alloc(0) }
/** What no document of 16 MiB can hold. */
const MAX_ARRAY_LENGTH = 16 * 1024 * 1024

/** `a: true`, `l`: the new length, `u<index>` and `s<index>`. */
function applyToArray(array: Buffer, diff: Buffer): Buffer {
  const values: RawValue[] = [...elements(array)]
  for (const part of elements(diff)) {
    if (part.name === 'a') continue
    if (part.name === 'l') {
      const length = indexOf(String(numberIn(part)))
      if (length < values.length) values.length = length
      pad(values, length)
      continue
    }
    const index = indexOf(part.name.slice(1))
    pad(values, index)
    if (part.name.startsWith('u')) values[index] = part
    else if (part.name.startsWith('s') && part.type === BsonType.document)
      values[index] = index < values.length ? applyWithin(values[index]!, part.bytes) : NULL
    else throw unknown(`a difference with the section ${JSON.stringify(part.name)}`)
  }
  return documentFrom(values.map((value, i) => elementFrom(String(i), value)))
}

function pad(values: RawValue[], length: number): void {
  while (values.length < length) values.push(NULL)
}

function indexOf(text: string): number {
  const index = /^\d{1,8}$/.test(text) ? Number(text) : Number.NaN
  if (index >= 0 && index <= MAX_ARRAY_LENGTH) return index
  throw unknown(`a difference with the index ${JSON.stringify(text)}`)
}

function numberIn({ type, bytes }: RawValue): number {
  if (type === BsonType.int32) return bytes.readInt32LE(0)
  if (type === BsonType.int64) return Number(bytes.readBigInt64LE(0))
  return type === BsonType.double ? bytes.readDoubleLE(0) : Number.NaN
}

const unknown = (what: string): HoldfastError =>
  new HoldfastError('HF_DATA_DAMAGED', `the oplog has ${what}`, {
    hint: 'was it written by a newer server? Restore it with mongorestore --oplogReplay of that version',
  })
