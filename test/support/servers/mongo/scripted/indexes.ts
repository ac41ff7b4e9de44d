import { asBoolean, asDocument, asNumber, asString, doc, elements, encode, field, type RawValue, Type } from './bson.ts'
import { indexSpecs } from './catalog.ts'
import { completeCollation } from './collation.ts'
import type { Collection } from './collection.ts'
import type { Datastore } from './datastore.ts'
import { MongoFailure } from './failure.ts'
import { Index } from './index-keys.ts'
import { newUuid } from './uuid.ts'

const INDEX_OPTIONS: ReadonlySet<string> = new Set([
  'v',
  'key',
  'name',
  'ns',
  'unique',
  'sparse',
  'background',
  'expireAfterSeconds',
  'partialFilterExpression',
  'collation',
  'weights',
  'default_language',
  'language_override',
  'textIndexVersion',
  '2dsphereIndexVersion',
  'bits',
  'min',
  'max',
  'wildcardProjection',
  'hidden',
  'storageEngine',
  'prepareUnique',
  'clustered',
  'columnstoreProjection',
])

/** The command `createIndexes`: all of them or none. */
export function addIndexes(
  data: Datastore,
  collection: Collection,
  specs: readonly Buffer[],
  ignoreUnknownOptions: boolean,
): void {
  const made: Index[] = []
  for (const given of specs) {
    const spec = completeSpec(collection, given, ignoreUnknownOptions)
    if (!isThere(collection, spec)) made.push(new Index(spec))
  }
  if (made.length === 0) return
  const done: Index[] = []
  try {
    for (const index of made) {
      collection.addIndex(index)
      done.push(index)
    }
  } catch (error) {
    for (const { name } of done) collection.dropIndex(name)
    throw error
  }
  logIndexes(data, collection, made)
}

/** An empty collection gets its indexes at once; for one with documents they are built in two phases. */
function logIndexes(data: Datastore, collection: Collection, made: readonly Index[]): void {
  const { db, name, uuid } = collection
  const command = { op: 'c', ns: `${db}.$cmd`, ui: uuid } as const
  if (collection.count === 0) {
    for (const { spec } of made) {
      const fields = Array.from(elements(spec), (part) => [part.name, part.value] as const)
      collection.minVisible = data.log({ ...command, o: doc([['createIndexes', name], ...fields]) })
    }
    return
  }
  const shared = { indexBuildUUID: newUuid(), indexes: made.map(({ spec }) => spec) }
  data.log({ ...command, o: doc({ startIndexBuild: name, ...shared }) })
  collection.minVisible = data.log({ ...command, o: doc({ commitIndexBuild: name, ...shared }) })
}

/** A definition as `listIndexes` shows it. */
function completeSpec(collection: Collection, given: Buffer, ignoreUnknownOptions: boolean): Buffer {
  const key = asDocument(field(given, 'key'))
  const name = asString(field(given, 'name'))
  if (key === undefined) throw new MongoFailure(9, "The 'key' field is a required property of an index specification")
  if (name === undefined) throw new MongoFailure(9, "The 'name' field is a required property of an index specification")
  const keys = [...elements(key)]
  if (keys.length === 0) throw new MongoFailure(67, 'Index keys cannot be an empty field.')
  const kinds = new Set(keys.map(({ value }) => asString(value)))
  const options = new Map<string, RawValue>()
  for (const { name: option, value } of elements(given)) {
    if (option === 'v' || option === 'key' || option === 'name' || option === 'ns') continue
    if (INDEX_OPTIONS.has(option)) options.set(option, value)
    else if (!ignoreUnknownOptions) {
      throw new MongoFailure(197, `The field '${option}' is not valid for an index specification.`)
    }
  }
  const collation = asDocument(options.get('collation'))
  // An index without a collation has the one of its collection.
  const complete =
    collation === undefined ? asDocument(field(collection.options, 'collation')) : completeCollation(collation)
  options.delete('collation')
  if (complete !== undefined) options.set('collation', encode(complete))
  const isId = keys.length === 1 && keys[0]!.name === '_id' && asNumber(keys[0]!.value) === 1
  if (isId && asBoolean(options.get('hidden'))) throw new MongoFailure(2, "can't hide _id index")
  if (collection.isCapped && options.has('expireAfterSeconds'))
    throw new MongoFailure(67, 'Cannot create TTL index on a capped collection')
  const fields: (readonly [string, unknown])[] = [['v', field(given, 'v') ?? 2]]
  fields.push(['key', kinds.has('text') ? textKey(keys) : key], ['name', name], ...options)
  if (kinds.has('text')) fields.push(...textOptions(keys, options))
  if (kinds.has('2dsphere') && !options.has('2dsphereIndexVersion')) fields.push(['2dsphereIndexVersion', 3])
  return doc(fields)
}

type Keys = readonly { readonly name: string; readonly value: RawValue }[]

/** What is searched for is kept as weights; the key has two fields in its place. */
function textKey(keys: Keys): Buffer {
  const isText = ({ value }: Keys[number]): boolean => asString(value) === 'text'
  const first = keys.findIndex(isText)
  if (keys[first]!.name === '_fts') return doc(keys.map(({ name, value }) => [name, value] as const))
  const before = keys.slice(0, first).map(({ name, value }) => [name, value] as const)
  const after = keys
    .filter((key, position) => position > first && !isText(key))
    .map(({ name, value }) => [name, value] as const)
  return doc([...before, ['_fts', 'text'], ['_ftsx', 1], ...after])
}

function textOptions(keys: Keys, options: ReadonlyMap<string, RawValue>): readonly (readonly [string, unknown])[] {
  const fields = keys
    .filter(({ name, value }) => asString(value) === 'text' && name !== '_fts')
    .map(({ name }) => [name, 1] as const)
  const defaults: readonly (readonly [string, unknown])[] = [
    ['weights', doc(fields)],
    ['default_language', 'english'],
    ['language_override', 'language'],
    ['textIndexVersion', 3],
  ]
  return defaults.filter(([name]) => !options.has(name))
}

/** Whether the same index exists. @throws MongoFailure when one is in its way */
function isThere(collection: Collection, spec: Buffer): boolean {
  const name = asString(field(spec, 'name'))!
  const key = field(spec, 'key')!.bytes
  const collation = field(spec, 'collation')?.bytes ?? Buffer.alloc(0)
  for (const other of indexSpecs(collection)) {
    const isSameName = asString(field(other, 'name')) === name
    const isSameKey =
      field(other, 'key')!.bytes.equals(key) && collation.equals(field(other, 'collation')?.bytes ?? Buffer.alloc(0))
    if (isSameKey && isIdKey(key)) return true
    if (isSameName && isSameKey && sameOptions(other, spec)) return true
    if (isSameName) throw new MongoFailure(86, `An existing index has the same name as the requested index: ${name}`)
    if (isSameKey && !hasPartial(other) && !hasPartial(spec)) {
      throw new MongoFailure(85, `Index already exists with a different name: ${asString(field(other, 'name'))}`)
    }
  }
  return false
}

const hasPartial = (spec: Buffer): boolean => field(spec, 'partialFilterExpression') !== undefined

function isIdKey(key: Buffer): boolean {
  const [first, second] = elements(key)
  return first?.name === '_id' && asNumber(first.value) === 1 && second === undefined
}

function sameOptions(a: Buffer, b: Buffer): boolean {
  const list = (spec: Buffer): string =>
    Array.from(
      elements(spec),
      ({ name, value }) =>
        `${name}:${value.type === Type.boolean || value.bytes.length < 9 ? asBoolean(value) && (asNumber(value) ?? true) : value.bytes.toString('hex')}`,
    )
      .sort()
      .join()
  return list(a) === list(b)
}

/** The command `dropIndexes`: by name, by key, or `*` for all but the one on `_id`. */
export function removeIndexes(data: Datastore, collection: Collection, wanted: RawValue | undefined): void {
  const name = asString(wanted)
  const key = asDocument(wanted)
  const matching = collection.indexes.filter(
    (index) =>
      name === '*' || index.name === name || (key !== undefined && field(index.spec, 'key')!.bytes.equals(key)),
  )
  if (name === '_id_') throw new MongoFailure(72, 'cannot drop _id index')
  if (matching.length === 0 && name !== '*')
    throw new MongoFailure(27, `index not found with name [${name ?? 'by key'}]`)
  for (const index of matching) {
    collection.dropIndex(index.name)
    collection.minVisible = data.log({
      op: 'c',
      ns: `${collection.db}.$cmd`,
      ui: collection.uuid,
      o: doc({ dropIndexes: collection.name, index: index.name }),
      o2: index.spec,
    })
  }
}
