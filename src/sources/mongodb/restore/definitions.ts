import { documentOf, elements, field, textOf } from '../bson/raw.ts'
import { rawDocument, type TypedDocument, typedDocument, typedValue } from '../bson/typed.ts'
import type { CollectionEntry } from '../catalog.ts'
import type { Command } from '../connection.ts'
import type { Namespace } from '../names.ts'

/** Options that servers show and do not take, or that only mean something in one server. */
const notTaken: ReadonlySet<string> = new Set(['uuid', 'autoIndexId', 'temp', 'recordIdsReplicated'])
/** Of an index: what depends on the server that has it. */
const ownOfServer: ReadonlySet<string> = new Set(['v', 'ns', 'background'])

/** The command that makes a collection or view as it was. */
export function createCommand(entry: CollectionEntry, target: Namespace, viewOn?: string): Command {
  const options = typedDocument(entry.options)
  for (const name of notTaken) options.delete(name)
  if (viewOn !== undefined && options.has('viewOn')) options.set('viewOn', viewOn)
  const id = idIndex(entry)
  // Only one that differs from what the server makes by itself.
  const collation = id && documentOf(field(id, 'collation'))
  const needsIdIndex = id !== undefined && collation !== undefined && entry.type === 'collection'
  return {
    create: target.collection,
    ...Object.fromEntries(options),
    ...(needsIdIndex && { idIndex: withoutOwn(typedDocument(id), ['ns', 'background']) }),
  }
}

/** The indexes to be made once documents are there: all but those the server makes by itself. */
export function indexesToCreate(entry: CollectionEntry): readonly TypedDocument[] {
  const collation = documentOf(field(entry.options, 'collation'))
  return entry.indexes
    .filter((index) => !isMadeByServer(index))
    .map((index) => {
      const spec = withoutOwn(typedDocument(index), [...ownOfServer])
      // It would inherit that of the collection otherwise.
      if (collation !== undefined && !spec.has('collation')) spec.set('collation', new Map([['locale', 'simple']]))
      return spec
    })
}

/** A collection as it is to be in its new place. */
export function wantedEntry({
  entry,
  target,
  viewOn,
}: {
  readonly entry: CollectionEntry
  readonly target: Namespace
  readonly viewOn: string | undefined
}): CollectionEntry {
  if (viewOn === undefined) return { ...entry, ...target }
  const options = typedDocument(entry.options).set('viewOn', viewOn)
  return { ...entry, ...target, options: rawDocument(options) }
}

export const indexName = (index: Buffer): string => textOf(field(index, 'name')) ?? ''

const isMadeByServer = (index: Buffer): boolean =>
  indexName(index) === '_id_' || field(index, 'clustered') !== undefined

const idIndex = ({ indexes }: CollectionEntry): Buffer | undefined =>
  indexes.find((index) => indexName(index) === '_id_' && field(index, 'clustered') === undefined)

function withoutOwn(document: TypedDocument, names: readonly string[]): TypedDocument {
  for (const name of names) document.delete(name)
  return document
}

/** An index or options as text in which equal things are equal: fields sorted, but not those of a key, numbers without their type. */
export function comparable(document: Buffer, leftOut: ReadonlySet<string>): ReadonlyMap<string, string> {
  const fields = new Map<string, string>()
  for (const element of elements(document)) {
    if (leftOut.has(element.name)) continue
    fields.set(element.name, comparableValue(typedValue(element)))
  }
  return fields
}

function comparableValue(value: unknown): string {
  if (value instanceof Map)
    return `{${Array.from(value, ([name, inner]) => `${JSON.stringify(name)}: ${comparableValue(inner)}`).join(', ')}}`
  if (Array.isArray(value)) return `[${value.map(comparableValue).join(', ')}]`
  const { _bsontype: type } = (value ?? {}) as { _bsontype?: string }
  if (type === 'Int32' || type === 'Double' || type === 'Long') return String(Number(String(value)))
  return JSON.stringify(value)
}

/** What is not compared: it says nothing of what an index or collection does. */
export const ignoredInIndexes: ReadonlySet<string> = ownOfServer
export const ignoredInOptions: ReadonlySet<string> = notTaken
