import { BsonType, documentOf, elements, field } from './bson/raw.ts'
import { numberOf } from './bson/typed.ts'
import type { CollectionEntry } from './catalog.ts'
import type { MongoConnection } from './connection.ts'
import { listAll } from './cursor.ts'
import { type Namespace, namespaceText } from './names.ts'
import type { ReadOrder } from './read-collection.ts'
import { codeOf } from './server-error.ts'

/** Ids that grow, so that documents lie in their order. */
const growing: ReadonlySet<number> = new Set([
  BsonType.objectId,
  BsonType.int32,
  BsonType.int64,
  BsonType.double,
  BsonType.date,
])

/** Up to here a server has everything in memory, and the order costs little. */
const LARGE_BYTES = 256 * 1024 * 1024

/**
 * In which order to read: by `_id` where there is an index for it, which makes dumps comparable; as they lie for capped collections, whose
 * order counts, and for large ones with random ids, which would be read from all over the disk.
 */
export async function orderOf(
  connection: MongoConnection,
  entry: CollectionEntry,
  namespace: Namespace,
  signal?: AbortSignal,
): Promise<ReadOrder> {
  if (isCapped(entry)) return 'natural'
  const isClustered = entry.type === 'timeseries' || field(entry.options, 'clusteredIndex') !== undefined
  if (isClustered) return 'id'
  if (!entry.indexes.some(isOfId)) return 'natural'
  const { database, collection } = namespace
  const find = { find: collection, limit: 1, singleBatch: true, projection: { _id: 1 } }
  const [first] = await listAll(connection, database, find, { signal, what: `reading ${namespaceText(namespace)}` })
  const id = first && field(first, '_id')
  if (id === undefined || growing.has(id.type)) return 'id'
  return (await sizeOf(connection, namespace)) > LARGE_BYTES ? 'natural' : 'id'
}

export const isCapped = ({ options }: CollectionEntry): boolean => field(options, 'capped')?.bytes[0] === 1

function isOfId(index: Buffer): boolean {
  const key = documentOf(field(index, 'key'))
  const names = key === undefined ? [] : Array.from(elements(key), ({ name }) => name)
  return names.length === 1 && names[0] === '_id' && field(index, 'name')?.bytes.toString('utf8', 4) === '_id_\0'
}

/** Bytes of all documents; 0 when the server does not say. */
export async function sizeOf(connection: MongoConnection, { database, collection }: Namespace): Promise<number> {
  try {
    return numberOf((await connection.command(database, { collStats: collection })).size) ?? 0
  } catch (error) {
    if (codeOf(error) === undefined) throw error
    return 0
  }
}
