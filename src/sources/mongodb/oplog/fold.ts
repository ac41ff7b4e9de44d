import { HoldfastError } from '../../../lib/errors.ts'
import { documentsOf } from '../bson/batch.ts'
import { BsonType, documentOf, elements, field, textOf } from '../bson/raw.ts'
import { rawDocument, type TypedDocument, typedDocument } from '../bson/typed.ts'
import { type CollectionEntry, dataNamespace } from '../catalog.ts'
import {
  BUCKETS_PREFIX,
  isSkippedCollection,
  isSkippedDatabase,
  logicalName,
  type Namespace,
  namespaceText,
  parseNamespace,
} from '../names.ts'
import { timeText } from '../op-time.ts'
import { commandOf, type OplogOperation, readEntry } from './entry.ts'
import { FateStore } from './fate-store.ts'
import { FoldedCollection, idKey } from './folded-collection.ts'
import { Transactions } from './transactions.ts'

/** So much of an oplog is kept in memory; what there was before goes to disk. */
const MEMORY_BYTES = 64 * 1024 * 1024
/** What an entry takes besides its bytes, as far as that can be known. */
const ENTRY_BYTES = 256

/** Entries that only concern the server that wrote them, or say that something begins. */
const ignoredOperations: ReadonlySet<string> = new Set(['n', 'km', 'ci', 'cu', 'cd'])
const ignoredCommands: ReadonlySet<string> = new Set([
  'startIndexBuild',
  'abortIndexBuild',
  'setMultikeyMetadata',
  'dropIdent',
  'dbCheck',
])
/** Fields of an entry that are no options of a collection. */
const noOptions: ReadonlySet<string> = new Set(['create', 'idIndex', 'recordIdsReplicated', 'autoIndexId', 'temp'])
const noIndexFields: ReadonlySet<string> = new Set(['createIndexes', 'ns'])

/**
 * What a server would be after replaying the oplog on a copy, worked out without a server: a restore then writes each document once, in its
 * last state, under any name. Entries are those of MongoDB 5.0 to 8 (mongodb/mongo, repl/oplog.cpp).
 */
export class OplogFold implements Disposable {
  readonly #collections = new Map<string, FoldedCollection>()
  readonly #transactions = new Transactions()
  readonly #memoryBytes: number
  #store: FateStore | undefined
  #heldBytes = 0
  #entries = 0
  #numbers = 0

  /** Begins with the collections of a copy. */
  constructor(catalog: readonly CollectionEntry[], memoryBytes: number = MEMORY_BYTES) {
    this.#memoryBytes = memoryBytes
    for (const entry of catalog) {
      const base = dataNamespace(entry)
      this.#collections.set(
        namespaceText(entry),
        new FoldedCollection({
          type: entry.type,
          options: typedDocument(entry.options),
          indexes: new Map(entry.indexes.map((index) => [textOf(field(index, 'name')) ?? '', typedDocument(index)])),
          uuid: entry.uuid,
          base: base && namespaceText(base),
        }),
      )
    }
  }

  /** Whole entries one behind the other, in order. @throws HoldfastError HF_DATA_DAMAGED, HF_RESTORE_FAILED */
  add(entries: Buffer): void {
    // What is kept of them must not change when the memory is used again.
    for (const raw of documentsOf(Buffer.from(entries))) {
      const entry = readEntry(raw)
      this.#entries++
      this.#heldBytes += raw.length + ENTRY_BYTES
      try {
        for (const operation of this.#transactions.operations(entry)) {
          // Of a transaction, it comes from earlier entries.
          if (entry.op === 'c') this.#heldBytes += operation.o.length + ENTRY_BYTES
          this.#apply(operation)
        }
      } catch (error) {
        if (error instanceof HoldfastError && error.code !== 'HF_RESTORE_FAILED')
          throw new HoldfastError(
            error.code,
            `the entry of ${timeText(entry.time)} cannot be replayed: ${error.message}`,
            {
              cause: error,
              ...(error.hint !== undefined && { hint: error.hint }),
            },
          )
        throw error
      }
    }
    if (this.#heldBytes > this.#memoryBytes) this.#moveToDisk()
  }

  get entries(): number {
    return this.#entries
  }

  /** Collections at the end, by namespace. */
  get collections(): ReadonlyMap<string, FoldedCollection> {
    return this.#collections
  }

  /** The catalog at the end. */
  catalog(): readonly CollectionEntry[] {
    return Array.from(this.#collections, ([name, collection]) => ({
      ...parseNamespace(name)!,
      type: collection.type,
      options: rawDocument(collection.options),
      indexes: Array.from(collection.indexes.values(), rawDocument),
      uuid: collection.uuid,
    }))
  }

  [Symbol.dispose](): void {
    this.#store?.[Symbol.dispose]()
  }

  /** Nothing of the entries so far is in memory afterwards, but transactions that are open. */
  #moveToDisk(): void {
    this.#store ??= new FateStore()
    for (const collection of this.#collections.values()) collection.store(this.#store, ++this.#numbers)
    this.#heldBytes = 0
  }

  #apply(operation: OplogOperation): void {
    const { op, namespace, o, o2 } = operation
    if (ignoredOperations.has(op)) return
    if (op === 'c') {
      this.#command(operation)
      return
    }
    const place = parseNamespace(namespace)
    if (place === undefined || isSkippedDatabase(place.database)) return
    if (place.collection === 'system.views') {
      this.#view(op, operation)
      return
    }
    const collection = this.#collections.get(logicalText(place))
    // Not selected when the copy was made.
    if (collection === undefined) return
    if (op === 'i') collection.insert(o)
    else if (op === 'd') collection.remove(idKey(o))
    else if (op === 'u' && o2 !== undefined) collection.update(idKey(o2), o)
    else throw unknown(`an operation ${op} that is not known`)
  }

  #command(operation: OplogOperation): void {
    const { o } = operation
    const { name, database, argument } = commandOf(operation)
    const text = textOf(argument) ?? ''
    if (ignoredCommands.has(name) || isSkippedDatabase(database)) return
    if (isSkippedCollection({ database, collection: text })) return
    const key = logicalText({ database, collection: text })
    const collection = this.#collections.get(key)
    switch (name) {
      case 'create':
        this.#create(key, text, o)
        break
      case 'drop':
        this.#collections.delete(key)
        break
      case 'dropDatabase':
        for (const one of [...this.#collections.keys()])
          if (one.startsWith(`${database}.`)) this.#collections.delete(one)
        break
      case 'renameCollection':
        this.#rename(text, textOf(field(o, 'to')) ?? '')
        break
      case 'emptycapped':
        collection?.clear()
        break
      case 'createIndexes':
        collection?.indexes.set(textOf(field(o, 'name')) ?? '', without(typedDocument(o), noIndexFields))
        break
      case 'commitIndexBuild':
        if (collection !== undefined) addIndexes(collection, o)
        break
      case 'dropIndexes':
      case 'deleteIndexes':
        collection?.indexes.delete(textOf(field(o, 'index')) ?? '')
        break
      case 'collMod':
        if (collection !== undefined) modify(collection, typedDocument(o))
        break
      default:
        throw unknown(`the command ${name}, which cannot be replayed`)
    }
  }

  #create(key: string, name: string, o: Buffer): void {
    // The buckets of a time series come before it; the time series is what is known by name.
    const isBuckets = name.startsWith(BUCKETS_PREFIX)
    const options = without(typedDocument(o), noOptions)
    if (isBuckets) {
      options.delete('validator')
      options.delete('clusteredIndex')
    }
    const id = documentOf(field(o, 'idIndex'))
    const index = id && typedDocument(id)
    index?.delete('ns')
    const isView = options.has('viewOn')
    const type = isBuckets || options.has('timeseries') ? 'timeseries' : isView ? 'view' : 'collection'
    const indexes = new Map(index === undefined || type !== 'collection' ? [] : [[String(index.get('name')), index]])
    this.#collections.set(key, new FoldedCollection({ type, options, indexes, uuid: undefined, base: undefined }))
  }

  #rename(from: string, to: string): void {
    const source = parseNamespace(from)
    const target = parseNamespace(to)
    if (source === undefined || target === undefined) throw unknown('a renaming without names')
    const collection = this.#collections.get(logicalText(source))
    // Renamed before the copy was begun: it knows the new name only. What is renamed later fails the backup.
    if (collection === undefined) return
    this.#collections.delete(logicalText(source))
    this.#collections.set(logicalText(target), collection)
  }

  /** Views are documents of `system.views`, whose `_id` is the whole name. */
  #view(op: string, { o, o2 }: OplogOperation): void {
    const name = textOf(field(op === 'u' ? (o2 ?? o) : o, '_id'))
    if (name === undefined) throw unknown('a view without a name')
    if (op === 'd') {
      const existing = this.#collections.get(name)
      if (existing?.type === 'view') this.#collections.delete(name)
      return
    }
    if (field(o, '$v') !== undefined) throw unknown(`a partial change of the view ${name}`)
    const options = typedDocument(o)
    options.delete('_id')
    const isTimeSeries = options.has('timeseries') || String(options.get('viewOn')).startsWith(BUCKETS_PREFIX)
    if (isTimeSeries) return
    this.#collections.set(
      name,
      new FoldedCollection({ type: 'view', options, indexes: new Map(), uuid: undefined, base: undefined }),
    )
  }
}

const logicalText = ({ database, collection }: Namespace): string => `${database}.${logicalName(collection)}`

function without(document: TypedDocument, names: ReadonlySet<string>): TypedDocument {
  for (const name of names) document.delete(name)
  return document
}

function addIndexes(collection: FoldedCollection, o: Buffer): void {
  const list = field(o, 'indexes')
  if (list?.type !== BsonType.array) throw unknown('an index build without indexes')
  for (const { bytes } of elements(list.bytes)) {
    const index = without(typedDocument(bytes), noIndexFields)
    collection.indexes.set(String(index.get('name')), index)
  }
}

/** `collMod` with the whole of what it changed: an index, or options. */
function modify(collection: FoldedCollection, change: TypedDocument): void {
  for (const [name, value] of change) {
    if (name === 'collMod') continue
    if (name !== 'index') {
      collection.options.set(name, value)
      continue
    }
    const { name: changed, keyPattern, ...rest } = Object.fromEntries(value as TypedDocument)
    const index = findIndex(collection, changed, keyPattern)
    // Dropped before the copy was begun.
    if (index === undefined) continue
    for (const [option, setting] of Object.entries(rest))
      if (option === 'hidden' && setting === false) index.delete('hidden')
      else if (option === 'prepareUnique' && setting === false) index.delete('prepareUnique')
      else if (option !== 'forceNonUnique') index.set(option, setting)
      else index.delete('unique')
  }
}

function findIndex(collection: FoldedCollection, name: unknown, keyPattern: unknown): TypedDocument | undefined {
  if (name !== undefined) return collection.indexes.get(String(name))
  const wanted = keyPattern instanceof Map ? rawDocument(keyPattern) : undefined
  return [...collection.indexes.values()].find((one) => wanted?.equals(rawDocument(one.get('key') as TypedDocument)))
}

const unknown = (what: string): HoldfastError =>
  new HoldfastError('HF_DATA_DAMAGED', `it has ${what}`, {
    hint: 'restore into a folder, and give that to mongorestore --oplogReplay',
  })
