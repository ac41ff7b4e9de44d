import { asBoolean, asDocument, asString, doc, elements, field, type RawValue, Type } from './bson.ts'
import type { Collection } from './collection.ts'
import { Command } from './command.ts'
import type { Server } from './context.ts'
import type { WriteOptions } from './datastore.ts'
import { makeCollection, removeNamespace, renameCollection } from './definitions.ts'
import { applyDiff } from './diff.ts'
import { MongoFailure } from './failure.ts'
import { removeIndexes } from './indexes.ts'
import { modifyCollection } from './modify.ts'
import { updateDocument } from './update.ts'

export interface ApplyOptions {
  readonly bypassDocumentValidation: boolean
  /** Make documents that an update does not find: what servers before 8.0 do unless told otherwise. */
  readonly alwaysUpsert: boolean
  /** As part of a transaction that is committed at this time. */
  readonly committedAt?: bigint
}

/**
 * Does what an oplog entry says.
 * @throws MongoFailure as the server that would have to apply it
 */
export function applyOperation(server: Server, operation: Buffer, options: ApplyOptions): void {
  const op = asString(field(operation, 'op'))
  const ns = asString(field(operation, 'ns'))
  const o = asDocument(field(operation, 'o'))
  if (op === undefined || ns === undefined || o === undefined)
    throw new MongoFailure(9, 'an operation needs op, ns and o')
  if (op === 'n') return
  const dot = ns.indexOf('.')
  const db = ns.slice(0, dot)
  if (op === 'c') {
    applyCommand(server, db, o)
    return
  }
  const collection = target(server, operation, db, ns.slice(dot + 1))
  if (op === 'd') {
    applyDelete(server, collection, o, options)
    return
  }
  if (collection === undefined)
    throw new MongoFailure(26, `Failed to apply operation due to missing collection (${ns})`)
  const { bypassDocumentValidation, committedAt } = options
  const writes: WriteOptions = {
    bypassDocumentValidation,
    bypassEmptyTsReplacement: true,
    ...(committedAt !== undefined && { committedAt }),
  }
  if (op === 'i') {
    applyInsert(server, collection, o, writes)
    return
  }
  if (op !== 'u') throw new MongoFailure(14_825, `error in applyOps : unknown opType '${op}'`)
  const query = asDocument(field(operation, 'o2'))
  const upsert = options.alwaysUpsert || asBoolean(field(operation, 'b'))
  applyUpdate(server, collection, { query, o, upsert, writes })
}

function target({ data }: Server, operation: Buffer, db: string, name: string): Collection | undefined {
  const ui = field(operation, 'ui')
  if (ui === undefined) return data.catalog.collection(db, name)
  const found = data.catalog.byUuid(ui.bytes.subarray(5))
  if (found === undefined)
    throw new MongoFailure(26, `cannot apply: collection with UUID ${ui.bytes.toString('hex', 5)} not found`)
  return found
}

function applyInsert({ data }: Server, collection: Collection, document: Buffer, writes: WriteOptions): void {
  const id = field(document, '_id')
  const there = id === undefined ? undefined : collection.byId(id)
  if (there === undefined) data.insert(collection, document, writes)
  else if (!there.bytes.equals(document)) data.replace(collection, there, document, document, writes)
}

function applyDelete(
  { data }: Server,
  collection: Collection | undefined,
  query: Buffer,
  { committedAt }: ApplyOptions,
): void {
  const id = field(query, '_id')
  if (id === undefined) throw new MongoFailure(40_414, 'Failed to apply delete due to missing _id')
  const there = collection?.byId(id)
  if (there !== undefined) data.remove(collection!, there, committedAt === undefined ? {} : { committedAt })
}

interface AppliedUpdate {
  readonly query: Buffer | undefined
  readonly o: Buffer
  readonly upsert: boolean
  readonly writes: WriteOptions
}

function applyUpdate(server: Server, collection: Collection, { query, o, upsert, writes }: AppliedUpdate): void {
  const id = query === undefined ? undefined : field(query, '_id')
  if (id === undefined) throw new MongoFailure(40_414, 'an update needs o2 with _id')
  const there = collection.byId(id)
  const before = there?.bytes ?? doc({ _id: id })
  const diff = asDocument(field(o, 'diff'))
  const after =
    diff === undefined ? updateDocument(server, before, asValue(withoutVersion(o)))?.document : applyDiff(before, diff)
  if (there === undefined) {
    if (!upsert) throw new MongoFailure(218, `Failed to apply update: document not found in ${collection.ns}`)
    server.data.insert(collection, after ?? before, writes)
  } else if (after !== undefined) {
    server.data.replace(collection, there, after, o, writes)
  }
}

const withoutVersion = (o: Buffer): Buffer =>
  doc(Array.from(elements(o), ({ name, value }) => [name, value] as const).filter(([name]) => name !== '$v'))

const asValue = (document: Buffer): RawValue => field(doc({ v: document }), 'v')!

/** Commands that applyOps takes; indexes are not among them since MongoDB 4.4. */
function applyCommand(server: Server, db: string, o: Buffer): void {
  const { data } = server
  const [first] = elements(o)
  const name = asString(first!.value) ?? ''
  const collection = (): Collection => {
    const found = data.catalog.collection(db, name)
    if (found === undefined) throw new MongoFailure(26, `ns not found: ${db}.${name}`)
    return found
  }
  switch (first!.name) {
    case 'create':
      applyCreate(server, db, o)
      break
    case 'drop': {
      const found = data.catalog.find(db, name)
      if (found !== undefined) removeNamespace(data, found)
      break
    }
    case 'dropDatabase':
      for (const namespace of data.catalog.namespaces(db)) data.drop(namespace)
      break
    case 'renameCollection':
      applyRename(server, name, o)
      break
    case 'dropIndexes':
    case 'deleteIndexes':
      removeIndexes(data, collection(), field(o, 'index'))
      break
    case 'collMod':
      modifyCollection(data, collection(), o)
      break
    case 'createIndexes':
    case 'commitIndexBuild':
    case 'startIndexBuild':
    case 'abortIndexBuild':
      throw new MongoFailure(72, `${first!.name} is not supported in applyOps mode`)
    default:
      throw new MongoFailure(2, `Invalid key '${first!.name}' found in 'op' of an applyOps command`)
  }
}

function applyCreate({ data, version }: Server, db: string, o: Buffer): void {
  const body = doc([...Array.from(elements(o), ({ name, value }) => [name, value] as const), ['$db', db] as const])
  makeCollection(data, version, new Command({ body, sequences: new Map(), isOld: false }))
}

function applyRename({ data }: Server, ns: string, o: Buffer): void {
  const from = splitNs(ns)
  const renamed = data.catalog.collection(from.db, from.name)
  if (renamed === undefined) throw new MongoFailure(26, `Source collection ${ns} does not exist`)
  const wanted = field(o, 'dropTarget')
  const dropTarget = wanted?.type === Type.binary || asBoolean(wanted)
  renameCollection(data, renamed, { ...splitNs(asString(field(o, 'to'))!), dropTarget })
}

/** The database and the collection in a full name. */
export function splitNs(ns: string): { readonly db: string; readonly name: string } {
  const dot = ns.indexOf('.')
  return { db: ns.slice(0, dot), name: ns.slice(dot + 1) }
}
