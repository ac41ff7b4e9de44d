import { asDocument, doc, field } from './bson.ts'
import type { Collection } from './collection.ts'
import { MongoFailure } from './failure.ts'

/** A view, or the logical side of a time-series collection. */
export interface View {
  readonly kind: 'view' | 'timeseries'
  readonly db: string
  readonly name: string
  /** As `listCollections` shows them. */
  readonly options: Buffer
}

export type Namespace = Collection | View

/** The collection in which a time-series collection keeps its buckets. */
export const bucketsOf = (name: string): string => `system.buckets.${name}`

/** All namespaces, those that are gone included: a read at an earlier time may ask for them. */
export class Catalog {
  readonly #databases = new Map<string, Map<string, Namespace>>()
  readonly #gone: Collection[] = []

  /** Names of databases with something in them, in order. */
  databases(): readonly string[] {
    return [...this.#databases.keys()].sort()
  }

  namespaces(db: string): readonly Namespace[] {
    return [...(this.#databases.get(db)?.values() ?? [])]
  }

  collections(db: string): readonly Collection[] {
    return this.namespaces(db).filter((namespace) => namespace.kind === 'collection')
  }

  find(db: string, name: string): Namespace | undefined {
    return this.#databases.get(db)?.get(name)
  }

  /** @throws MongoFailure CommandNotSupportedOnView */
  collection(db: string, name: string): Collection | undefined {
    const found = this.find(db, name)
    if (found !== undefined && found.kind !== 'collection') {
      throw new MongoFailure(166, `Namespace ${db}.${name} is a ${found.kind}, not a collection`)
    }
    return found
  }

  byUuid(uuid: Uint8Array): Collection | undefined {
    for (const db of this.#databases.keys())
      for (const collection of this.collections(db))
        if (Buffer.compare(collection.uuid.buffer, uuid) === 0) return collection
    return undefined
  }

  /** The collection that had this name at a time. */
  collectionAt(db: string, name: string, time: bigint): Collection | undefined {
    const live = this.collection(db, name)
    if (live !== undefined && live.createdAt <= time) return live
    return this.#gone.find(
      (gone) => gone.db === db && gone.name === name && gone.createdAt <= time && gone.droppedAt! > time,
    )
  }

  /** @throws MongoFailure NamespaceExists */
  add(namespace: Namespace): void {
    const { db, name } = namespace
    if (this.find(db, name) !== undefined) throw new MongoFailure(48, `Collection ${db}.${name} already exists.`)
    const namespaces = this.#databases.get(db) ?? new Map<string, Namespace>()
    this.#databases.set(db, namespaces.set(name, namespace))
  }

  /** Gives a collection another name; reads at an earlier time no longer find it. */
  rename(collection: Collection, db: string, name: string, at: bigint): void {
    const namespaces = this.#databases.get(collection.db)!
    namespaces.delete(collection.name)
    if (namespaces.size === 0) this.#databases.delete(collection.db)
    collection.db = db
    collection.name = name
    collection.minVisible = at
    this.add(collection)
  }

  remove(namespace: Namespace, at: bigint): void {
    const { db, name } = namespace
    const namespaces = this.#databases.get(db)!
    namespaces.delete(name)
    if (namespaces.size === 0) this.#databases.delete(db)
    if (namespace.kind !== 'collection') return
    namespace.droppedAt = at
    this.#gone.push(namespace)
  }
}

/** What `listCollections` says of a namespace. */
export function describeNamespace(namespace: Namespace): Buffer {
  const { kind, name, options } = namespace
  if (kind !== 'collection') {
    return doc({ name, type: kind, options, info: { readOnly: kind === 'view' } })
  }
  return doc({
    name,
    type: kind,
    options,
    info: { readOnly: false, uuid: namespace.uuid },
    ...(!namespace.isClustered && { idIndex: idIndexOf(namespace.options) }),
  })
}

/** The definition of the index on `_id`. */
export function idIndexOf(options: Buffer): Buffer {
  const collation = asDocument(field(options, 'collation'))
  return doc({ v: 2, key: { _id: 1 }, name: '_id_', collation })
}

/** All definitions of indexes of a collection, as `listIndexes` gives them. */
export function indexSpecs(collection: Collection): readonly Buffer[] {
  const others = collection.indexes.map(({ spec }) => spec)
  if (!collection.isClustered) return [idIndexOf(collection.options), ...others]
  if (collection.name.startsWith('system.buckets.')) return others
  const clustered = asDocument(field(collection.options, 'clusteredIndex'))!
  const { key, name } = { key: field(clustered, 'key'), name: field(clustered, 'name') }
  return [doc({ v: 2, key, name, unique: true, clustered: true }), ...others]
}

/** Whether `dbHash` leaves a collection out: what every server has of its own. */
export const isUnhashed = (name: string): boolean =>
  name.startsWith('system.') &&
  !['system.js', 'system.users', 'system.roles', 'system.version', 'system.views'].includes(name) &&
  !name.startsWith('system.buckets.')
