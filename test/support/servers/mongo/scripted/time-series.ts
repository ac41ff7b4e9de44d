import { ObjectId } from 'mongodb'
import { asNumber, asString, doc, elements, field, Type } from './bson.ts'
import type { Collection } from './collection.ts'
import type { Datastore } from './datastore.ts'
import { MongoFailure } from './failure.ts'

/** Puts measurements into new buckets, one for each run of the same metadata within the span of a bucket. */
export function addMeasurements(
  data: Datastore,
  buckets: Collection,
  options: Buffer,
  documents: readonly Buffer[],
): void {
  const timeseries = field(options, 'timeseries')!.bytes
  const timeField = asString(field(timeseries, 'timeField'))!
  const metaField = asString(field(timeseries, 'metaField'))
  const spanMs = (asNumber(field(timeseries, 'bucketMaxSpanSeconds')) ?? 3600) * 1000
  let open: { readonly key: string; readonly fromMs: number; readonly documents: Buffer[] } | undefined
  const flush = (): void => {
    if (open !== undefined)
      data.insert(buckets, bucketOf(open.documents, { timeField, metaField, fromMs: open.fromMs }))
    open = undefined
  }
  for (const document of documents) {
    const time = field(document, timeField)
    if (time?.type !== Type.date)
      throw new MongoFailure(2, `'${timeField}' must be present and contain a valid BSON UTC datetime value`)
    const ms = Number(time.bytes.readBigInt64LE(0))
    const key = metaField === undefined ? '' : (field(document, metaField)?.bytes.toString('hex') ?? '')
    if (open === undefined || open.key !== key || ms < open.fromMs || ms >= open.fromMs + spanMs) {
      flush()
      open = { key, fromMs: Math.floor(ms / 60_000) * 60_000, documents: [] }
    }
    open.documents.push(document)
  }
  flush()
}

interface BucketShape {
  readonly timeField: string
  readonly metaField: string | undefined
  readonly fromMs: number
}

function bucketOf(documents: readonly Buffer[], { timeField, metaField, fromMs }: BucketShape): Buffer {
  const columns = new Map<string, Map<string, unknown>>()
  const column = (name: string): Map<string, unknown> => {
    const found = columns.get(name) ?? new Map<string, unknown>()
    columns.set(name, found)
    return found
  }
  for (const [row, document] of documents.entries()) {
    if (field(document, '_id') === undefined) column('_id').set(String(row), new ObjectId())
    for (const { name, value } of elements(document)) if (name !== metaField) column(name).set(String(row), value)
  }
  const times = documents.map((document) => Number(field(document, timeField)!.bytes.readBigInt64LE(0)))
  const meta = metaField === undefined ? undefined : field(documents[0]!, metaField)
  return doc({
    _id: bucketId(fromMs),
    control: {
      version: 1,
      min: { [timeField]: new Date(fromMs) },
      max: { [timeField]: new Date(Math.max(...times)) },
    },
    meta,
    data: columns,
  })
}

/** The time the bucket begins at, then what makes it unique. */
function bucketId(fromMs: number): ObjectId {
  const bytes = Buffer.from(new ObjectId().id)
  bytes.writeUInt32BE(Math.floor(fromMs / 1000))
  return new ObjectId(bytes)
}

/** The measurements in buckets. @throws MongoFailure for compressed buckets, which this server only stores */
export function* unpackBuckets(buckets: Iterable<Buffer>, options: Buffer): Generator<Buffer> {
  const timeseries = field(options, 'timeseries')!.bytes
  const metaField = asString(field(timeseries, 'metaField'))
  const timeField = asString(field(timeseries, 'timeField'))!
  for (const bucket of buckets) {
    const version = asNumber(field(field(bucket, 'control')!.bytes, 'version'))
    if (version !== 1) throw new MongoFailure(96, `this server cannot read buckets of version ${version}`)
    const columns = [...elements(field(bucket, 'data')!.bytes)]
    const meta = field(bucket, 'meta')
    const rows = columns.find(({ name }) => name === timeField)
    if (rows === undefined) continue
    for (const { name: row } of elements(rows.value.bytes)) {
      const shown: (readonly [string, unknown])[] = [[timeField, field(rows.value.bytes, row)]]
      if (metaField !== undefined && meta !== undefined) shown.push([metaField, meta])
      for (const { name, value } of columns) if (name !== timeField) shown.push([name, field(value.bytes, row)])
      yield doc(shown)
    }
  }
}
