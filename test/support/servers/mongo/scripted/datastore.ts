import { type Binary, ObjectId } from 'mongodb'
import { doc, elements, field, isStorable, RawValue, Type } from './bson.ts'
import { Catalog, idIndexOf, type Namespace } from './catalog.ts'
import { Collection, type StoredDocument } from './collection.ts'
import { compareValues } from './compare.ts'
import { MongoFailure } from './failure.ts'
import { Oplog, type OplogOperation } from './oplog.ts'
import { ClusterClock } from './timestamps.ts'
import { checkDocument } from './validation.ts'
import { MAX_DOCUMENT_BYTES } from './wire.ts'

export interface DatastoreOptions {
  /** Keep an oplog, as members of replica sets do. */
  readonly isReplicated: boolean
  readonly oplogBytes?: number | undefined
}

export interface WriteOptions {
  readonly bypassDocumentValidation?: boolean
  /** Leave a `Timestamp(0, 0)` as it is instead of putting the time there. */
  readonly bypassEmptyTsReplacement?: boolean
  /** Fields of the session for the oplog entry. */
  readonly session?: Readonly<Record<string, unknown>> | undefined
  /** Part of a transaction that is committed at this time and recorded as a whole: no entry of its own. */
  readonly committedAt?: bigint
}

/** All data of a server, and the record of what happened to it. */
export class Datastore {
  readonly clock: ClusterClock = new ClusterClock()
  readonly catalog: Catalog = new Catalog()
  readonly oplog: Oplog | undefined

  constructor({ isReplicated, oplogBytes }: DatastoreOptions) {
    if (!isReplicated) return
    this.oplog = new Oplog(this.clock, oplogBytes)
    this.catalog.add(this.oplog.collection)
    this.log({ op: 'n', ns: '', o: doc({ msg: 'initiating set' }) })
  }

  /** Puts an entry into the oplog, if there is one, and says its time. What happens in `local` is not recorded. */
  log(operation: OplogOperation, at: bigint = this.clock.next()): bigint {
    if (!operation.ns.startsWith('local.')) this.oplog?.append(operation, at)
    return at
  }

  /** The collection to write into; it is made when it is not there, as servers do. */
  collectionForWrite(db: string, name: string): Collection {
    return this.catalog.collection(db, name) ?? this.createCollection(db, name, doc({}))
  }

  /** Makes a collection with options as `listCollections` is to show them. */
  createCollection(db: string, name: string, options: Buffer, uuid?: Binary): Collection {
    const at = this.clock.next()
    const made = new Collection({ db, name, options, at, uuid })
    this.catalog.add(made)
    const shown = Array.from(elements(options), (option) => [option.name, option.value] as const)
    const o = doc([['create', name], ...shown, ['idIndex', made.isClustered ? undefined : idIndexOf(options)]])
    this.log({ op: 'c', ns: `${db}.$cmd`, ui: made.uuid, o }, at)
    return made
  }

  drop(namespace: Namespace): void {
    const { db, name } = namespace
    const at = this.clock.next()
    this.catalog.remove(namespace, at)
    if (namespace.kind !== 'collection') return
    const o2 = doc({ numRecords: namespace.count })
    this.log({ op: 'c', ns: `${db}.$cmd`, ui: namespace.uuid, o: doc({ drop: name }), o2 }, at)
  }

  /** @throws MongoFailure DuplicateKey, DocumentValidationFailure, BSONObjectTooLarge */
  insert(collection: Collection, given: Buffer, options: WriteOptions = {}): StoredDocument {
    const document = this.#fixed(given, options)
    checkSize(document)
    if (!options.bypassDocumentValidation) checkDocument(collection, document)
    const at = options.committedAt ?? this.clock.next()
    const stored = collection.insert(document, at)
    if (options.committedAt !== undefined) return stored
    this.#logChange(
      { op: 'i', ns: collection.ns, ui: collection.uuid, o: document, o2: idDocument(stored) },
      at,
      options,
    )
    return stored
  }

  /** Puts `document` in the place of `old`; `change` is what the oplog says of it. */
  replace(
    collection: Collection,
    old: StoredDocument,
    document: Buffer,
    change: Buffer,
    options: WriteOptions = {},
  ): void {
    checkSize(document)
    if (!options.bypassDocumentValidation) checkDocument(collection, document)
    const id = field(document, '_id')
    if (id === undefined || compareValues(id, old.id) !== 0) {
      throw new MongoFailure(66, "Performing an update on the path '_id' would modify the immutable field '_id'")
    }
    const at = options.committedAt ?? this.clock.next()
    collection.replace(old, document, at)
    this.#logChange({ op: 'u', ns: collection.ns, ui: collection.uuid, o: change, o2: idDocument(old) }, at, options)
  }

  remove(collection: Collection, old: StoredDocument, options: WriteOptions = {}): void {
    const at = options.committedAt ?? this.clock.next()
    collection.remove(old, at)
    this.#logChange({ op: 'd', ns: collection.ns, ui: collection.uuid, o: idDocument(old) }, at, options)
  }

  #logChange(operation: OplogOperation, at: bigint, { committedAt, session }: WriteOptions): void {
    if (committedAt !== undefined) return
    this.log({ ...operation, ...(session !== undefined && { more: session }) }, at)
  }

  /** With `_id` in the first place, and with the time in place of empty timestamps beside it. */
  #fixed(document: Buffer, { bypassEmptyTsReplacement = false }: WriteOptions): Buffer {
    if (isStorable(document)) return document
    const fields = [...elements(document)]
    const id = fields.find(({ name }) => name === '_id')?.value
    if (id?.type === Type.array || id?.type === Type.regex || id?.type === Type.undefined) {
      throw new MongoFailure(2, "The '_id' value cannot be an array, a regular expression or undefined")
    }
    const isEmpty = ({ type, bytes }: RawValue): boolean =>
      type === Type.timestamp && bytes.readBigUInt64LE(0) === 0n && !bypassEmptyTsReplacement
    const others = fields.filter(({ name }) => name !== '_id')
    if (fields[0]?.name === '_id' && !others.some(({ value }) => isEmpty(value))) return document
    return doc([
      ['_id', id ?? new ObjectId()],
      ...others.map(({ name, value }) => [name, isEmpty(value) ? this.#now() : value] as const),
    ])
  }

  #now(): RawValue {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64LE(this.clock.next())
    return new RawValue(Type.timestamp, bytes)
  }
}

export const idDocument = ({ id }: StoredDocument): Buffer => doc({ _id: id })

function checkSize({ length }: Buffer): void {
  if (length <= MAX_DOCUMENT_BYTES) return
  throw new MongoFailure(10_334, `BSONObj size: ${length} is invalid. Size must be between 0 and ${MAX_DOCUMENT_BYTES}`)
}
