import { BSON } from 'mongodb'
import { BsonType, documentFrom, elementFrom, field, type RawValue } from './bson/raw.ts'
import { rawDocument, typedDocument } from './bson/typed.ts'
import type { MongoConnection } from './connection.ts'
import { listAll } from './cursor.ts'
import type { DumpedData } from './manifest.ts'
import { type Namespace, namespaceText } from './names.ts'
import { sizeOf } from './read-order.ts'
import { type IdRange, isNotANumber, rankOf } from './resume-filter.ts'
import { codeOf } from './server-error.ts'

/** Of a large collection, so much is read by one cursor: large enough that where the parts meet costs nothing. */
export const PART_BYTES: number = 512 * 1024 * 1024

/** Ids looked at for each part that is wanted: parts differ in size by a fifth or so then. */
const SAMPLES_PER_PART = 32
const MAX_PARTS = 1000
/** Of the parts of the snapshot before, when they have become small. */
const MAX_EXCESS = 4

/** Ids that grow or are spread evenly, and are compared without a collation. */
const divisible: ReadonlySet<number> = new Set([
  BsonType.objectId,
  BsonType.int32,
  BsonType.int64,
  BsonType.double,
  BsonType.date,
])

/** Of a collection that is read by one cursor. */
export const EVERYTHING: IdRange = { after: undefined, upTo: undefined }

export interface SplitOptions {
  readonly namespace: Namespace
  /** What the snapshot before has of it: parts begin where its parts began, so that they are cut into the same blobs. */
  readonly previous: DumpedData | undefined
  readonly partBytes: number
  readonly signal: AbortSignal | undefined
}

/**
 * Stretches of the order of `_id`, which several cursors can read at the same time: one behind the other they are the collection. Where they
 * meet is found by a sample, and kept from then on. One of everything when the collection is not that large, or the server gives no sample.
 */
export async function splitById(
  connection: MongoConnection,
  { namespace, previous, partBytes, signal }: SplitOptions,
): Promise<readonly IdRange[]> {
  const size = await sizeOf(connection, namespace)
  const wanted = Math.min(MAX_PARTS, Math.floor(size / partBytes))
  if (wanted < 2) return [EVERYTHING]
  const kept = boundariesOf(previous)
  if (kept.length + 1 > MAX_EXCESS * wanted) kept.length = 0
  const sample = await sampleIds(connection, namespace, SAMPLES_PER_PART * wanted, kept[0], signal)
  // New ids are behind the others, mostly: the last part grows until it is as large as two.
  const last = kept.at(-1)
  const tail = last === undefined ? sample : sample.filter((id) => !isAtMost(id, last))
  const parts = sample.length === 0 ? 1 : Math.floor((tail.length * wanted) / sample.length)
  return rangesBetween([...kept, ...quantiles(tail, parts)])
}

function rangesBetween(boundaries: readonly RawValue[]): readonly IdRange[] {
  return Array.from({ length: boundaries.length + 1 }, (_, i) => ({ after: boundaries[i - 1], upTo: boundaries[i] }))
}

function boundariesOf(previous: DumpedData | undefined): RawValue[] {
  if (previous?.order !== 'id') return []
  const found = (previous.parts ?? []).flatMap(({ upTo }) => (upTo === undefined ? [] : [readId(upTo)]))
  const isOrdered = found.every((id, i) => {
    const before = found[i - 1]
    return id !== undefined && isDivisible(id, found[0]!) && (before === undefined || !isAtMost(id, before))
  })
  return isOrdered ? (found as RawValue[]) : []
}

const isDivisible = (id: RawValue, first: RawValue): boolean =>
  divisible.has(id.type) && !isNotANumber(id) && rankOf(id) === rankOf(first)

/** Ids in their order, of one rank: that of `like`, or of the first that can divide. */
async function sampleIds(
  connection: MongoConnection,
  { database, collection }: Namespace,
  size: number,
  like: RawValue | undefined,
  signal: AbortSignal | undefined,
): Promise<readonly RawValue[]> {
  const pipeline = [{ $sample: { size } }, { $project: { _id: 1 } }, { $sort: { _id: 1 } }]
  const command = { aggregate: collection, pipeline, cursor: {} }
  try {
    const options = { signal, what: `a sample of ${namespaceText({ database, collection })}` }
    const found = (await listAll(connection, database, command, options)).flatMap(
      (document) => field(document, '_id') ?? [],
    )
    const first = like ?? found.find(({ type }) => divisible.has(type))
    if (first === undefined) return []
    return found.filter((id) => isDivisible(id, first))
  } catch (error) {
    if (codeOf(error) === undefined) throw error
    return []
  }
}

/** Of ids of one rank that can divide. */
function isAtMost(a: RawValue, b: RawValue): boolean {
  if (a.type === BsonType.objectId) return Buffer.compare(a.bytes, b.bytes) <= 0
  return numberOfId(a) <= numberOfId(b)
}

function numberOfId({ type, bytes }: RawValue): number {
  if (type === BsonType.double) return bytes.readDoubleLE(0)
  return type === BsonType.int32 ? bytes.readInt32LE(0) : Number(bytes.readBigInt64LE(0))
}

/** The ids that divide a sample into so many parts of equal size. */
function quantiles(sample: readonly RawValue[], parts: number): readonly RawValue[] {
  const found: RawValue[] = []
  for (let i = 1; i < parts; i++) {
    const id = sample[Math.floor((i * sample.length) / parts)]
    const last = found.at(-1)
    if (id !== undefined && (last === undefined || !isAtMost(id, last))) found.push(id)
  }
  return found
}

/** An id for the manifest: canonical Extended JSON. */
export const idText = (id: RawValue): string =>
  BSON.EJSON.stringify(Object.fromEntries(typedDocument(documentFrom([elementFrom('_id', id)]))), { relaxed: false })

/** undefined when it is none. */
function readId(text: string): RawValue | undefined {
  try {
    return field(rawDocument(BSON.EJSON.parse(text, { relaxed: false })), '_id')
  } catch {
    return undefined
  }
}
