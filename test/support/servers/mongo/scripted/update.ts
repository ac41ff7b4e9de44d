import {
  asDocument,
  asNumber,
  doc,
  type Entry,
  elements,
  encode,
  field,
  isNested,
  type RawValue,
  Type,
} from './bson.ts'
import type { Server } from './context.ts'
import { diffDocuments } from './diff.ts'
import { MongoFailure } from './failure.ts'
import { runPipeline } from './pipeline.ts'

/** What an update makes of a document, and what the oplog says of it; undefined when it changes nothing. */
export interface Updated {
  readonly document: Buffer
  readonly change: Buffer
}

/**
 * Applies an update: operators, a whole document, or a pipeline.
 * @throws MongoFailure for operators this server does not have
 */
export function updateDocument(
  server: Server,
  before: Buffer,
  update: RawValue,
  isInsert = false,
): Updated | undefined {
  const isReplacement = update.type === Type.document && !firstName(update.bytes).startsWith('$')
  const document = isReplacement ? replaced(before, update.bytes) : changed(server, before, update, isInsert)
  if (document.equals(before)) return undefined
  const diff = isReplacement ? undefined : diffDocuments(before, document)
  return {
    document,
    change:
      diff === undefined
        ? document
        : doc([
            ['$v', 2],
            ['diff', diff],
          ]),
  }
}

const firstName = (document: Buffer): string => elements(document).next().value?.name ?? ''

function replaced(before: Buffer, replacement: Buffer): Buffer {
  const others = Array.from(elements(replacement), ({ name, value }): Entry => [name, value]).filter(
    ([name]) => name !== '_id',
  )
  return doc([['_id', field(replacement, '_id') ?? field(before, '_id')], ...others])
}

function changed(server: Server, before: Buffer, update: RawValue, isInsert: boolean): Buffer {
  if (update.type === Type.array) {
    const stages = Array.from(elements(update.bytes), ({ value }) => value.bytes)
    const [made] = runPipeline(server, [before], stages, { db: '' })
    return replaced(before, made!)
  }
  let document = before
  for (const { name, value } of elements(update.bytes)) {
    if (name === '$setOnInsert' && !isInsert) continue
    for (const { name: path, value: operand } of elements(value.bytes)) {
      document = applyOperator(document, name, path.split('.'), operand)
    }
  }
  return document
}

function applyOperator(document: Buffer, operator: string, path: readonly string[], operand: RawValue): Buffer {
  const present = valueAt(document, path)
  switch (operator) {
    case '$set':
    case '$setOnInsert':
      return withValue(document, path, operand)
    case '$unset':
      return withValue(document, path, undefined)
    case '$inc':
      return withValue(document, path, encode((asNumber(present) ?? 0) + asNumber(operand)!))
    case '$push': {
      const items = present === undefined ? [] : Array.from(elements(present.bytes), ({ value }) => value)
      return withValue(document, path, encode([...items, operand]))
    }
    default:
      throw new MongoFailure(9, `Unknown modifier: ${operator}`)
  }
}

function valueAt(document: Buffer, path: readonly string[]): RawValue | undefined {
  let value: RawValue | undefined = encode(document)
  for (const name of path) value = value !== undefined && isNested(value) ? field(value.bytes, name) : undefined
  return value
}

/** A document with another value at a path; without one when `value` is undefined. New fields come last. */
export function withValue(document: Buffer, path: readonly string[], value: RawValue | undefined): Buffer {
  const [name, ...rest] = path as readonly [string, ...string[]]
  const fields = new Map<string, unknown>(Array.from(elements(document), (e) => [e.name, e.value]))
  const present = fields.get(name) as RawValue | undefined
  if (rest.length === 0) {
    if (value === undefined) fields.delete(name)
    else fields.set(name, value)
  } else if (present === undefined) {
    if (value !== undefined) fields.set(name, withValue(doc({}), rest, value))
  } else {
    if (!isNested(present)) throw new MongoFailure(28, `Cannot create field '${rest[0]}' in element {${name}: ...}`)
    const below = withValue(present.bytes, rest, value)
    fields.set(name, present.type === Type.array ? encode(Array.from(elements(below), (e) => e.value)) : below)
  }
  return doc(fields)
}

/** The document that an upsert begins with: what the query says must be equal. */
export function upsertSeed(query: Buffer): Buffer {
  const fields: Entry[] = []
  for (const { name, value } of elements(query)) {
    if (name.startsWith('$') || name.includes('.')) continue
    const inner = asDocument(value)
    const operator = inner === undefined ? undefined : elements(inner).next().value
    if (operator?.name.startsWith('$') !== true) fields.push([name, value])
    else if (operator.name === '$eq') fields.push([name, operator.value])
  }
  return doc(fields)
}
