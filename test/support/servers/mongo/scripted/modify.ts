import { asBoolean, asDocument, asString, doc, type Entry, elements, field, type RawValue } from './bson.ts'
import type { Collection } from './collection.ts'
import type { Datastore } from './datastore.ts'
import { changedOptions } from './definitions.ts'
import { MongoFailure } from './failure.ts'
import { Index } from './index-keys.ts'

const OPTIONS: ReadonlySet<string> = new Set([
  'validator',
  'validationLevel',
  'validationAction',
  'expireAfterSeconds',
  'changeStreamPreAndPostImages',
  'cappedSize',
  'cappedMax',
  'timeseriesBucketsMayHaveMixedSchemaData',
  'recordPreImages',
])

/** `collMod`: other options for a collection or one of its indexes. Returns what the reply says about it. */
export function modifyCollection(
  data: Datastore,
  collection: Collection,
  command: Buffer,
): Readonly<Record<string, unknown>> {
  const changes: Record<string, unknown> = {}
  let reply: Readonly<Record<string, unknown>> = {}
  const said: Entry[] = []
  for (const { name, value } of [...elements(command)].slice(1)) {
    if (name === 'index') reply = modifyIndex(collection, asDocument(value)!)
    else if (OPTIONS.has(name)) changes[name === 'cappedSize' ? 'size' : name === 'cappedMax' ? 'max' : name] = value
    else if (isGeneric(name)) continue
    else throw new MongoFailure(40_415, `BSON field 'collMod.${name}' is an unknown field.`)
    said.push([name, value])
  }
  const before = collection.options
  if (Object.keys(changes).length > 0) collection.options = changedOptions(before, changes)
  data.log({
    op: 'c',
    ns: `${collection.db}.$cmd`,
    ui: collection.uuid,
    o: doc([['collMod', collection.name], ...said]),
    o2: doc({ collectionOptions_old: before }),
  })
  return reply
}

const isGeneric = (name: string): boolean =>
  name.startsWith('$') ||
  ['lsid', 'txnNumber', 'writeConcern', 'readConcern', 'comment', 'maxTimeMS', 'apiVersion'].includes(name)

const INDEX_OPTIONS: ReadonlySet<string> = new Set(['expireAfterSeconds', 'hidden', 'unique', 'prepareUnique'])

function modifyIndex(collection: Collection, change: Buffer): Readonly<Record<string, unknown>> {
  const name = asString(field(change, 'name'))
  const key = asDocument(field(change, 'keyPattern'))
  const index = collection.indexes.find(
    (one) => one.name === name || (key !== undefined && field(one.spec, 'key')!.bytes.equals(key)),
  )
  if (index === undefined) throw new MongoFailure(27, `cannot find index ${name ?? ''} for ns ${collection.ns}`)
  const changes = new Map<string, RawValue>()
  for (const { name: option, value } of elements(change)) if (INDEX_OPTIONS.has(option)) changes.set(option, value)
  const reply: Record<string, unknown> = {}
  for (const [option, value] of changes) {
    reply[`${option}_old`] = field(index.spec, option)
    reply[`${option}_new`] = value
  }
  const hidden = changes.get('hidden')
  // What is visible says nothing about it.
  const shown = {
    ...Object.fromEntries(changes),
    ...(hidden !== undefined && !asBoolean(hidden) && { hidden: undefined }),
  }
  collection.replaceIndex(index, new Index(changedOptions(index.spec, shown)))
  return reply
}
