import { asDocument, asNumber, asString, doc, elements, encode, field, type RawValue, Type } from './bson.ts'
import { bucketsOf, type Namespace, type View } from './catalog.ts'
import { completeCollation } from './collation.ts'
import type { Collection } from './collection.ts'
import type { Command } from './command.ts'
import type { Datastore } from './datastore.ts'
import { MongoFailure } from './failure.ts'
import { compileFilter } from './match.ts'
import type { ServerVersion } from './version.ts'

const CREATE_OPTIONS: readonly string[] = [
  'capped',
  'size',
  'max',
  'idIndex',
  'storageEngine',
  'validator',
  'validationLevel',
  'validationAction',
  'indexOptionDefaults',
  'viewOn',
  'pipeline',
  'collation',
  'changeStreamPreAndPostImages',
  'timeseries',
  'clusteredIndex',
  'expireAfterSeconds',
  'encryptedFields',
  'temp',
]
const MAX_NAMESPACE_BYTES = 255
const SYSTEM_NAMES: ReadonlySet<string> = new Set([
  'system.js',
  'system.views',
  'system.profile',
  'system.users',
  'system.roles',
  'system.version',
])

/** Refuses names that no collection may have. @throws MongoFailure InvalidNamespace */
export function checkName(db: string, name: string): void {
  const isSystem = name.startsWith('system.') && !SYSTEM_NAMES.has(name) && !name.startsWith('system.buckets.')
  const isWrong = name.includes('$') || name.includes('\0') || name.startsWith('.') || name.endsWith('.')
  if (isWrong || isSystem) throw new MongoFailure(73, `Invalid collection name: ${db}.${name}`)
  if (Buffer.byteLength(`${db}.${name}`) > MAX_NAMESPACE_BYTES) {
    throw new MongoFailure(
      73,
      `Fully qualified namespace is too long. Namespace: ${db}.${name} Max: ${MAX_NAMESPACE_BYTES}`,
    )
  }
  if (/[/\\. "$\0]/.test(db) || db === '') throw new MongoFailure(73, `Invalid database name: '${db}'`)
}

/** The command `create`: a collection, a view or a time-series collection. */
export function makeCollection(data: Datastore, version: ServerVersion, command: Command): void {
  const { db } = command
  const name = command.collection()
  checkName(db, name)
  const known = version.isAtLeast(8, 2) ? CREATE_OPTIONS : [...CREATE_OPTIONS, 'autoIndexId']
  command.allow(known)
  const options = completeOptions(command, known)
  const found = data.catalog.find(db, name)
  if (found !== undefined) {
    if (found.options.equals(options)) return
    throw new MongoFailure(48, `Collection ${db}.${name} already exists.`)
  }
  const viewOn = command.string('viewOn')
  const timeseries = asDocument(field(options, 'timeseries'))
  if (viewOn !== undefined) {
    const definition = {
      viewOn,
      pipeline: command.raw('pipeline') ?? encode([]),
      collation: field(options, 'collation'),
    }
    addView(data, { kind: 'view', db, name, options: doc(definition) }, definition)
  } else if (timeseries !== undefined) {
    const expiry = field(options, 'expireAfterSeconds')
    const buckets = { ...BUCKET_OPTIONS, expireAfterSeconds: expiry, timeseries }
    data.createCollection(db, bucketsOf(name), doc(buckets))
    const pipeline = [{ $_internalUnpackBucket: { ...unpackOptions(timeseries), exclude: [] } }]
    addView(data, { kind: 'timeseries', db, name, options }, { viewOn: bucketsOf(name), pipeline })
  } else {
    data.createCollection(db, name, options)
  }
}

const BUCKET_OPTIONS = {
  validator: {
    $jsonSchema: {
      bsonType: 'object',
      required: ['_id', 'control', 'data'],
      properties: { _id: { bsonType: 'objectId' }, control: { bsonType: 'object' }, data: { bsonType: 'object' } },
    },
  },
  clusteredIndex: true,
} as const

const unpackOptions = (timeseries: Buffer): Readonly<Record<string, unknown>> => ({
  timeField: field(timeseries, 'timeField'),
  metaField: field(timeseries, 'metaField'),
  bucketMaxSpanSeconds: field(timeseries, 'bucketMaxSpanSeconds'),
})

function addView(data: Datastore, view: View, definition: Readonly<Record<string, unknown>>): void {
  const definitions = data.collectionForWrite(view.db, 'system.views')
  data.insert(definitions, doc({ _id: `${view.db}.${view.name}`, ...definition }))
  data.catalog.add(view)
}

/** `collMod` of a view: another pipeline, another source. */
export function changeView(data: Datastore, view: View, command: Command): void {
  const { db, name } = view
  const viewOn = command.raw('viewOn') ?? field(view.options, 'viewOn')
  const pipeline = command.raw('pipeline') ?? field(view.options, 'pipeline')
  const definition = { viewOn, pipeline, collation: field(view.options, 'collation') }
  const definitions = data.collectionForWrite(db, 'system.views')
  const id = `${db}.${name}`
  const old = definitions.byId(encode(id))
  const stored = doc({ _id: id, ...definition })
  if (old !== undefined) data.replace(definitions, old, stored, stored)
  data.catalog.remove(view, data.clock.last)
  data.catalog.add({ ...view, options: doc(definition) })
}

/** Drops a collection, a view, or both sides of a time-series collection. */
export function removeNamespace(data: Datastore, namespace: Namespace): void {
  const { db, name, kind } = namespace
  if (kind === 'collection') {
    data.drop(namespace)
    if (name !== 'system.views') return
    for (const other of data.catalog.namespaces(db)) if (other.kind !== 'collection') data.drop(other)
    return
  }
  const definitions = data.catalog.collection(db, 'system.views')
  const definition = definitions?.byId(encode(`${db}.${name}`))
  if (definition !== undefined) data.remove(definitions!, definition)
  data.drop(namespace)
  const buckets = kind === 'timeseries' ? data.catalog.collection(db, bucketsOf(name)) : undefined
  if (buckets !== undefined) data.drop(buckets)
}

const BUCKET_SPAN_SECONDS: Readonly<Record<string, number>> = { seconds: 3600, minutes: 86_400, hours: 2_592_000 }

/** Options as `listCollections` shows them: with what a server adds. */
function completeOptions(command: Command, known: readonly string[]): Buffer {
  const given = new Map<string, RawValue>()
  for (const { name, value } of elements(command.body))
    if (known.includes(name) && name !== 'idIndex') given.set(name, value)
  if (given.get('capped')?.type === Type.boolean && given.get('capped')!.bytes[0] === 0) given.delete('capped')
  if (given.has('capped') && asNumber(given.get('size')) === undefined) {
    throw new MongoFailure(72, "the 'size' field is required when 'capped' is true")
  }
  if (given.has('validator')) {
    compileFilterLeniently(given.get('validator')!)
    if (!given.has('validationLevel')) given.set('validationLevel', encode('strict'))
    if (!given.has('validationAction')) given.set('validationAction', encode('error'))
  }
  const collation = command.document('collation')
  if (collation !== undefined) {
    const complete = completeCollation(collation)
    if (complete === undefined) given.delete('collation')
    else given.set('collation', encode(complete))
  }
  const timeseries = command.document('timeseries')
  if (timeseries !== undefined) given.set('timeseries', encode(completeTimeseries(timeseries)))
  const clustered = command.document('clusteredIndex')
  if (clustered !== undefined) {
    if (command.raw('idIndex') !== undefined) {
      throw new MongoFailure(72, "The 'clusteredIndex' option is not supported with the 'idIndex' option")
    }
    const name = field(clustered, 'name') ?? '_id_'
    given.set('clusteredIndex', encode({ v: 2, key: field(clustered, 'key'), name, unique: true }))
  } else if (given.has('expireAfterSeconds') && timeseries === undefined) {
    throw new MongoFailure(
      72,
      "'expireAfterSeconds' is only supported on time-series collections or when the 'clusteredIndex' option is specified",
    )
  }
  return doc(given)
}

function compileFilterLeniently(validator: RawValue): void {
  const [first] = elements(validator.bytes)
  if (first?.name !== '$jsonSchema') compileFilter(validator.bytes)
}

function completeTimeseries(given: Buffer): Buffer {
  const timeField = field(given, 'timeField')
  if (asString(timeField) === undefined) {
    throw new MongoFailure(40_414, "BSON field 'create.timeseries.timeField' is missing but a required field")
  }
  const span = field(given, 'bucketMaxSpanSeconds')
  const granularity = field(given, 'granularity') ?? (span === undefined ? encode('seconds') : undefined)
  return doc({
    timeField,
    metaField: field(given, 'metaField'),
    granularity,
    bucketRoundingSeconds: granularity === undefined ? field(given, 'bucketRoundingSeconds') : undefined,
    bucketMaxSpanSeconds: span ?? BUCKET_SPAN_SECONDS[asString(granularity) ?? ''],
  })
}

/** The options of a collection with some of them changed or, where undefined, taken away. */
export function changedOptions(options: Buffer, changes: Readonly<Record<string, unknown>>): Buffer {
  const kept = Array.from(elements(options), ({ name, value }) => [name, value] as const)
  const all = new Map<string, unknown>(kept)
  for (const [name, value] of Object.entries(changes)) all.set(name, value)
  return doc(all)
}

/** Renames a collection, over another one when `dropTarget` is set. */
export function renameCollection(
  data: Datastore,
  from: Collection,
  to: { readonly db: string; readonly name: string; readonly dropTarget: boolean },
): void {
  checkName(to.db, to.name)
  const target = data.catalog.find(to.db, to.name)
  if (target !== undefined && !to.dropTarget) throw new MongoFailure(48, 'target namespace exists')
  const at = data.clock.next()
  const replaced = target?.kind === 'collection' ? target : undefined
  if (target !== undefined) data.catalog.remove(target, at)
  const o = {
    renameCollection: from.ns,
    to: `${to.db}.${to.name}`,
    stayTemp: false,
    dropTarget: replaced?.uuid,
  }
  data.catalog.rename(from, to.db, to.name, at)
  data.log(
    { op: 'c', ns: `${from.db}.$cmd`, ui: from.uuid, o: doc(o), o2: doc({ numRecords: replaced?.count ?? 0 }) },
    at,
  )
}
