import { HoldfastError } from '../../lib/errors.ts'
import { BsonType, documentFrom, documentOf, EMPTY_DOCUMENT, elementFrom, elements, field, textOf } from './bson/raw.ts'
import { rawDocument } from './bson/typed.ts'
import type { MongoConnection } from './connection.ts'
import { listAll } from './cursor.ts'
import {
  BUCKETS_PREFIX,
  bucketsOf,
  isDatabaseName,
  isSkippedCollection,
  isSkippedDatabase,
  type Namespace,
  namespaceText,
} from './names.ts'
import { Code, codeOf } from './server-error.ts'

export const collectionTypes = ['collection', 'view', 'timeseries'] as const
export type CollectionType = (typeof collectionTypes)[number]

/** A collection as the server lists it; options and indexes as the bytes that came. */
export interface CollectionEntry extends Namespace {
  readonly type: CollectionType
  readonly options: Buffer
  readonly indexes: readonly Buffer[]
  /** Hex without dashes; views have none, and some compatible servers. */
  readonly uuid: string | undefined
}

export interface CatalogSelection {
  /** By the name people use: the time series, not its buckets. */
  readonly isIncluded: (namespace: Namespace) => boolean
}

/** Where the documents of a collection lie: of a time series in its buckets. Views have none. */
export const dataNamespace = ({ database, collection, type }: CollectionEntry): Namespace | undefined =>
  type === 'view' ? undefined : { database, collection: type === 'timeseries' ? bucketsOf(collection) : collection }

/** What there is to back up, sorted by name. @throws HoldfastError */
export async function readCatalog(
  connection: MongoConnection,
  { isIncluded }: CatalogSelection,
  signal?: AbortSignal,
): Promise<readonly CollectionEntry[]> {
  const entries: CollectionEntry[] = []
  for (const database of await listDatabases(connection, signal)) {
    if (isSkippedDatabase(database)) continue
    const listed = await listAll(connection, database, { listCollections: 1 }, { signal })
    for (const raw of listed) {
      const entry = readEntry(database, raw)
      if (entry === undefined || isSkippedCollection(entry) || !isIncluded(entry)) continue
      const place = entry.type === 'view' ? undefined : entry
      const indexes = place && (await readIndexes(connection, place, signal))
      // Dropped since it was listed.
      if (place !== undefined && indexes === undefined) continue
      entries.push({ ...entry, indexes: indexes ?? [] })
    }
  }
  return entries.sort((a, b) => (namespaceText(a) < namespaceText(b) ? -1 : 1))
}

export async function listDatabases(connection: MongoConnection, signal?: AbortSignal): Promise<readonly string[]> {
  const { databases } = await connection.command('admin', { listDatabases: 1, nameOnly: true }, { signal })
  if (!Array.isArray(databases))
    throw new HoldfastError('HF_SOURCE_DAMAGED', `${connection.place.server} lists no databases`)
  const names = databases.map(({ name }) => String(name)).sort()
  const impossible = names.find((name) => !isDatabaseName(name))
  if (impossible === undefined) return names
  throw new HoldfastError(
    'HF_SOURCE_DAMAGED',
    `${connection.place.server} lists the database ${JSON.stringify(impossible)}, which no server can have`,
  )
}

/** Indexes as the server lists them, `ns` left out, which old servers add; undefined when the collection is gone. */
export async function readIndexes(
  connection: MongoConnection,
  { database, collection }: Namespace,
  signal?: AbortSignal,
): Promise<readonly Buffer[] | undefined> {
  try {
    const listed = await listAll(
      connection,
      database,
      { listIndexes: collection },
      { signal, what: `listIndexes of ${database}.${collection}` },
    )
    return listed.map((index) =>
      documentFrom([...elements(index)].filter(({ name }) => name !== 'ns').map(({ whole }) => whole)),
    )
  } catch (error) {
    if (codeOf(error) === Code.namespaceNotFound) return undefined
    throw error
  }
}

/** An entry of listCollections; undefined for buckets, which belong to the time series that is listed too. */
export function readEntry(database: string, raw: Buffer): CollectionEntry | undefined {
  const collection = textOf(field(raw, 'name'))
  if (collection === undefined || collection === '')
    throw new HoldfastError('HF_SOURCE_DAMAGED', `a collection of ${database} is listed without a name`)
  if (collection.startsWith(BUCKETS_PREFIX)) return undefined
  const type = textOf(field(raw, 'type')) ?? 'collection'
  const known = collectionTypes.find((one) => one === type)
  if (known === undefined)
    throw new HoldfastError('HF_SOURCE_UNSUPPORTED', `${database}.${collection} is of the unknown type ${type}`, {
      hint: 'leave it out with `exclude` of the source, if it need not be backed up',
    })
  const uuid = documentOf(field(raw, 'info'))
  const binary = uuid && field(uuid, 'uuid')
  return {
    database,
    collection,
    type: known,
    options: documentOf(field(raw, 'options')) ?? EMPTY_DOCUMENT,
    indexes: [],
    // Behind the length and the subtype.
    uuid: binary?.type === BsonType.binary ? binary.bytes.subarray(5).toString('hex') : undefined,
  }
}

/** An entry as one document of `catalog.bson`. */
export function encodeEntry({ database, collection, type, options, indexes, uuid }: CollectionEntry): Buffer {
  const list = documentFrom(indexes.map((bytes, i) => elementFrom(String(i), { type: BsonType.document, bytes })))
  return documentFrom([
    ...[...elements(rawDocument({ database, collection, type, uuid }))].map(({ whole }) => whole),
    elementFrom('options', { type: BsonType.document, bytes: options }),
    elementFrom('indexes', { type: BsonType.array, bytes: list }),
  ])
}

/** @throws HoldfastError HF_DATA_DAMAGED when it is none */
export function decodeEntry(raw: Buffer): CollectionEntry {
  const text = (name: string): string | undefined => textOf(field(raw, name))
  const type = collectionTypes.find((one) => one === text('type'))
  const options = documentOf(field(raw, 'options'))
  const indexes = field(raw, 'indexes')
  const database = text('database')
  const collection = text('collection')
  if (!database || !collection || !type || !options || indexes?.type !== BsonType.array)
    throw new HoldfastError('HF_DATA_DAMAGED', 'an entry of catalog.bson is of no form this version knows')
  return {
    database,
    collection,
    type,
    options,
    indexes: Array.from(elements(indexes.bytes), ({ bytes }) => bytes),
    uuid: text('uuid'),
  }
}

/** Whether two catalogs say the same, to the byte. */
export const sameCatalog = (a: readonly CollectionEntry[], b: readonly CollectionEntry[]): boolean =>
  a.length === b.length && a.every((entry, i) => encodeEntry(entry).equals(encodeEntry(b[i]!)))
