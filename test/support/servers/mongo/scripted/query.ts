import { asNumber, asString, elements, field, type RawValue, Type } from './bson.ts'
import { bucketsOf, indexSpecs, type Namespace } from './catalog.ts'
import { collationOf, completeCollation } from './collation.ts'
import type { Collection, IdBounds, ScanOrder } from './collection.ts'
import type { Server } from './context.ts'
import { MongoFailure } from './failure.ts'
import { compileFilter, type Filter } from './match.ts'
import { runPipeline } from './pipeline.ts'
import { compileProjection, sorted } from './shape.ts'
import { unpackBuckets } from './time-series.ts'

/** What to read of a namespace, in which order. */
export interface Query {
  readonly db: string
  readonly name: string
  readonly filter?: Buffer | undefined
  readonly sort?: Buffer | undefined
  readonly hint?: RawValue | undefined
  readonly skip?: number | undefined
  readonly limit?: number | undefined
  readonly projection?: Buffer | undefined
  readonly collation?: Buffer | undefined
  readonly atClusterTime?: bigint | undefined
  readonly isTailable?: boolean
}

export interface QueryResult {
  readonly documents: Iterator<Buffer> & Iterable<Buffer>
  /** What is read, for as long as it is there. */
  readonly collection: Collection | undefined
}

/** Runs a query. Nothing is read before it is asked for, except for sorting. */
export function runQuery(server: Server, query: Query): QueryResult {
  const { source, collection } = readSource(server, query)
  // A generator that has ended cannot go on.
  const isTail = query.isTailable === true && 'next' in source
  return { documents: isTail ? (source as QueryResult['documents']) : shaped(source, query), collection }
}

function* shaped(source: Iterable<Buffer>, { skip = 0, limit = 0, projection }: Query): Generator<Buffer> {
  const project = projection === undefined ? undefined : compileProjection(projection)
  let position = 0
  for (const document of source) {
    if (position++ < skip) continue
    yield project === undefined ? document : project(document)
    if (limit > 0 && position >= skip + limit) return
  }
}

interface Source {
  readonly source: Iterable<Buffer>
  readonly collection: Collection | undefined
}

function readSource(server: Server, query: Query): Source {
  const { db, name, atClusterTime: time } = query
  const found = server.data.catalog.find(db, name)
  if (found !== undefined && found.kind !== 'collection') return readView(server, query, found)
  const collection = collectionAt(server, found, query)
  const collation = collationOf(completeCollation(query.collation)) ?? collection?.collation
  const matches = compileFilter(query.filter, collation?.compare)
  if (collection === undefined) return { source: [], collection: undefined }
  const { order, isSorted } = scanOrder(collection, query)
  const bounds = order.startsWith('id') ? idBounds(query.filter, collection.name === 'oplog.rs' ? 'ts' : '_id') : {}
  if (query.isTailable) return { source: tail(collection, { order, bounds, matches }), collection }
  const stored = time === undefined ? collection.scan(order, bounds) : collection.at(time, order, bounds)
  const matching = documentsOf(stored, matches)
  const source = isSorted ? matching : sorted(matching, query.sort!, collation)
  return { source, collection: collection === found ? collection : undefined }
}

function collectionAt(
  server: Server,
  found: Collection | undefined,
  { db, name, atClusterTime }: Query,
): Collection | undefined {
  if (atClusterTime === undefined) return found
  if (server.version.isAtLeast(7)) return server.data.catalog.collectionAt(db, name, atClusterTime)
  // Older servers know only the catalog of today.
  if (found !== undefined && found.minVisible > atClusterTime) {
    throw new MongoFailure(
      246,
      `Unable to read from a snapshot due to pending collection catalog changes to collection '${db}.${name}'`,
    )
  }
  return found
}

function readView(server: Server, query: Query, view: Exclude<Namespace, Collection>): Source {
  const { db, filter, sort, atClusterTime } = query
  const isTimeseries = view.kind === 'timeseries'
  const on = isTimeseries ? bucketsOf(view.name) : asString(field(view.options, 'viewOn'))!
  const below = runQuery(server, { db, name: on, atClusterTime })
  const pipeline = isTimeseries
    ? []
    : Array.from(elements(field(view.options, 'pipeline')!.bytes), ({ value }) => value.bytes)
  const all = isTimeseries
    ? unpackBuckets(below.documents, view.options)
    : runPipeline(server, below.documents, pipeline, { db })
  const matches = compileFilter(filter)
  const matching = (function* (): Generator<Buffer> {
    for (const document of all) if (matches(document)) yield document
  })()
  return { source: sort === undefined ? matching : sorted(matching, sort, undefined), collection: below.collection }
}

function* documentsOf(
  stored: Iterable<{ readonly bytes: Buffer }>,
  matches: (document: Buffer) => boolean,
): Generator<Buffer> {
  for (const { bytes } of stored) if (matches(bytes)) yield bytes
}

/**
 * A scan that can be asked again after it has ended, and goes on where it was when there is more.
 * @throws MongoFailure CappedPositionLost, when asked, if what it read last is no longer there
 */
function tail(collection: Collection, { order, bounds, matches }: Tail): Iterator<Buffer> & Iterable<Buffer> {
  let last = -1
  return {
    [Symbol.iterator]() {
      return this
    },
    next: () => {
      if (last >= 0 && !collection.has(last)) {
        throw new MongoFailure(
          136,
          `CollectionScan died due to position in capped collection being deleted. Last seen record id: ${last}`,
        )
      }
      for (const { recordId, bytes } of collection.scanAfter(last, order, bounds)) {
        last = recordId
        if (matches(bytes)) return { value: bytes, done: false }
      }
      return { value: undefined, done: true }
    },
  }
}

interface Tail {
  readonly order: ScanOrder
  readonly bounds: IdBounds
  readonly matches: Filter
}

/** The order in which documents are read, and whether that is the order that is wanted. */
function scanOrder(
  collection: Collection,
  { sort, hint, filter }: Query,
): { readonly order: ScanOrder; readonly isSorted: boolean } {
  const wanted = sort === undefined ? [] : [...elements(sort)]
  const [first] = wanted
  const hinted = hint === undefined ? undefined : hintedOrder(collection, hint)
  if (first === undefined)
    return { order: hinted ?? (hasIdFilter(collection, filter) ? 'id' : 'natural'), isSorted: true }
  const isBackwards = (asNumber(first.value) ?? 1) < 0
  if (first.name === '$natural') return { order: isBackwards ? 'natural-backwards' : 'natural', isSorted: true }
  const idField = collection.name === 'oplog.rs' ? 'ts' : '_id'
  if (first.name === idField) return { order: isBackwards ? 'id-backwards' : 'id', isSorted: true }
  return { order: 'natural', isSorted: false }
}

function hintedOrder(collection: Collection, hint: RawValue): ScanOrder | undefined {
  const name = asString(hint)
  if (hint.type === Type.document) {
    const [first, second] = elements(hint.bytes)
    const isBackwards = first !== undefined && (asNumber(first.value) ?? 1) < 0
    if (first?.name === '$natural') return isBackwards ? 'natural-backwards' : 'natural'
    if (first?.name === '_id' && second === undefined) return 'id'
  }
  if (name === '_id_') return 'id'
  const isThere = indexSpecs(collection).some(
    (spec) =>
      (name !== undefined && asString(field(spec, 'name')) === name) || field(spec, 'key')!.bytes.equals(hint.bytes),
  )
  if (isThere) return undefined
  throw new MongoFailure(
    2,
    'error processing query: planner returned error :: caused by :: hint provided does not correspond to an existing index',
  )
}

const hasIdFilter = (collection: Collection, filter: Buffer | undefined): boolean =>
  filter !== undefined && field(filter, collection.name === 'oplog.rs' ? 'ts' : '_id') !== undefined

/** Between which ids a filter can match. */
function idBounds(filter: Buffer | undefined, name: string): IdBounds {
  const wanted = filter === undefined ? undefined : field(filter, name)
  if (wanted === undefined || wanted.type === Type.regex) return {}
  if (wanted.type !== Type.document) return { least: wanted, most: wanted }
  const operators = [...elements(wanted.bytes)]
  if (operators[0]?.name.startsWith('$') !== true) return { least: wanted, most: wanted }
  const of = (...names: readonly string[]): RawValue | undefined =>
    operators.find((operator) => names.includes(operator.name))?.value
  const least = of('$gte', '$gt', '$eq')
  const most = of('$lte', '$lt', '$eq')
  return { ...(least !== undefined && { least }), ...(most !== undefined && { most }) }
}
