import { asBoolean, asDocument, asNumber, doc, field, OK } from '../bson.ts'
import { bucketsOf } from '../catalog.ts'
import type { Collection, StoredDocument } from '../collection.ts'
import type { Command } from '../command.ts'
import type { CommandTable, Context } from '../context.ts'
import { idDocument, type WriteOptions } from '../datastore.ts'
import { checkName } from '../definitions.ts'
import { MongoFailure } from '../failure.ts'
import { runQuery } from '../query.ts'
import { addMeasurements } from '../time-series.ts'
import type { Transaction } from '../transactions.ts'
import { updateDocument, upsertSeed } from '../update.ts'
import { MAX_WRITE_BATCH } from '../wire.ts'

/** Commands that write documents. */
export const writeCommands: CommandTable = {
  insert: {
    run: insert,
    isWrite: true,
    takes: ['documents', 'ordered', 'bypassDocumentValidation', 'bypassEmptyTsReplacement'],
  },
  update: { run: update, isWrite: true, takes: ['updates', 'ordered', 'bypassDocumentValidation', 'let'] },
  delete: { run: remove, isWrite: true, takes: ['deletes', 'ordered', 'let'] },
}

function insert(context: Context): Buffer {
  const { server, command } = context
  const transaction = transactionOf(context)
  const { data } = server
  const name = command.collection()
  checkName(command.db, name)
  const documents = command.documents('documents')
  if (documents === undefined || documents.length === 0 || documents.length > MAX_WRITE_BATCH) {
    throw new MongoFailure(
      16,
      `Write batch sizes must be between 1 and ${MAX_WRITE_BATCH}. Got ${documents?.length ?? 0} operations.`,
    )
  }
  if (command.raw('bypassEmptyTsReplacement') !== undefined && !server.version.knowsBypassEmptyTsReplacement) {
    throw new MongoFailure(40_415, "BSON field 'insert.bypassEmptyTsReplacement' is an unknown field.")
  }
  const options: WriteOptions = {
    bypassDocumentValidation: command.flag('bypassDocumentValidation'),
    bypassEmptyTsReplacement: command.flag('bypassEmptyTsReplacement'),
    session: sessionFields(context),
  }
  if (transaction !== undefined) {
    for (const document of documents) transaction.add('i', `${command.db}.${name}`, document)
    return doc({ n: documents.length, ok: OK })
  }
  const found = data.catalog.find(command.db, name)
  if (found?.kind === 'view') throw new MongoFailure(166, `Namespace ${command.db}.${name} is a view, not a collection`)
  if (found?.kind === 'timeseries') {
    addMeasurements(data, data.collectionForWrite(command.db, bucketsOf(name)), found.options, documents)
    return doc({ n: documents.length, ok: OK })
  }
  const collection = data.collectionForWrite(command.db, name)
  if (server.version.isAtLeast(8) && data.oplog !== undefined && documents.length > 1) {
    return insertTogether(context, collection, documents, options)
  }
  return eachWrite(documents, isOrdered(command), (document) => {
    data.insert(collection, document, options)
    return 1
  })
}

/** Since 8.0 inserts of one command share an oplog entry, up to so many. */
const TOGETHER = 500

function insertTogether(
  { server: { data }, command }: Context,
  collection: Collection,
  documents: readonly Buffer[],
  options: WriteOptions,
): Buffer {
  const { db, ns, uuid } = collection
  const more = { ...options.session, multiOpType: 1 }
  let at = data.clock.next()
  let done: Buffer[] = []
  const log = (): void => {
    if (done.length > 0) data.log({ op: 'c', ns: 'admin.$cmd', o: doc({ applyOps: done }), more }, at)
    done = []
    at = data.clock.next()
  }
  const reply = eachWrite(documents, isOrdered(command), (document) => {
    const stored = data.insert(collection, document, { ...options, committedAt: at })
    done.push(doc({ op: 'i', ns, ui: uuid, o: stored.bytes, o2: idDocument(stored) }))
    if (done.length === TOGETHER || db === 'local') log()
    return 1
  })
  log()
  return reply
}

function update(context: Context): Buffer {
  const { server, command } = context
  const { data } = server
  const transaction = transactionOf(context)
  const updates = command.documents('updates') ?? []
  const collection = data.collectionForWrite(command.db, command.collection())
  const options = {
    bypassDocumentValidation: command.flag('bypassDocumentValidation'),
    session: sessionFields(context),
  }
  const upserted: Buffer[] = []
  let nModified = 0
  const write = (item: Buffer, index: number): number => {
    const query = asDocument(field(item, 'q')) ?? doc({})
    const change = field(item, 'u')
    if (change === undefined)
      throw new MongoFailure(40_414, "BSON field 'update.updates.u' is missing but a required field")
    const found = matching(context, collection, query, asBoolean(field(item, 'multi')) ? 0 : 1)
    for (const old of found) {
      const updated = updateDocument(server, old.bytes, change)
      if (updated === undefined) continue
      nModified++
      if (transaction !== undefined) {
        transaction.add('u', collection.ns, updated.change, idDocument(old))
        continue
      }
      data.replace(collection, old, updated.document, updated.change, options)
    }
    if (found.length > 0 || !asBoolean(field(item, 'upsert'))) return found.length
    const seed = upsertSeed(query)
    const { id } = data.insert(collection, updateDocument(server, seed, change, true)?.document ?? seed, options)
    upserted.push(doc({ index, _id: id }))
    return 1
  }
  return eachWrite(updates, isOrdered(command), write, () => ({ nModified, ...(upserted.length > 0 && { upserted }) }))
}

function remove(context: Context): Buffer {
  const { server, command } = context
  const collection = server.data.catalog.collection(command.db, command.collection())
  const transaction = transactionOf(context)
  return eachWrite(command.documents('deletes') ?? [], isOrdered(command), (item) => {
    if (collection === undefined) return 0
    const found = matching(
      context,
      collection,
      asDocument(field(item, 'q')) ?? doc({}),
      asNumber(field(item, 'limit')) ?? 0,
    )
    for (const old of found) {
      if (transaction === undefined) server.data.remove(collection, old, { session: sessionFields(context) })
      else transaction.add('d', collection.ns, idDocument(old))
    }
    return found.length
  })
}

const isOrdered = (command: Command): boolean => command.raw('ordered') === undefined || command.flag('ordered')

/** Documents of a query, as many as `limit` says; 0 for all. */
function matching(
  { server }: Context,
  collection: Collection,
  query: Buffer,
  limit: number,
): readonly StoredDocument[] {
  const { db, name } = collection
  const { documents } = runQuery(server, { db, name, filter: query, limit })
  return Array.from(documents, (bytes) => collection.byId(field(bytes, '_id')!)!)
}

/** Runs the writes of a command: what fails is told by its place, and ends the command when it is ordered. */
export function eachWrite<T>(
  writes: readonly T[],
  isOrdered: boolean,
  write: (item: T, index: number) => number,
  more: () => Readonly<Record<string, unknown>> = () => ({}),
): Buffer {
  const errors: Buffer[] = []
  let n = 0
  for (const [index, item] of writes.entries()) {
    try {
      n += write(item, index)
    } catch (error) {
      if (!(error instanceof MongoFailure)) throw error
      errors.push(error.writeError(index))
      if (isOrdered) break
    }
  }
  return doc({ n, ...more(), ...(errors.length > 0 && { writeErrors: errors }), ok: OK })
}

/** The transaction that a command belongs to. @throws MongoFailure NoSuchTransaction */
export function transactionOf({ server, command }: Context): Transaction | undefined {
  if (command.raw('autocommit') === undefined) return undefined
  const lsid = command.document('lsid')
  const number = command.raw('txnNumber')
  if (lsid === undefined || number === undefined) throw new MongoFailure(72, 'a transaction needs lsid and txnNumber')
  const txnNumber = number.bytes.length === 8 ? number.bytes.readBigInt64LE(0) : BigInt(asNumber(number)!)
  return server.transactions.of({ lsid, txnNumber }, command.flag('startTransaction'))
}

/** What an oplog entry says of a retryable write. */
export function sessionFields({ server, command }: Context): Readonly<Record<string, unknown>> | undefined {
  const lsid = command.raw('lsid')
  const txnNumber = command.raw('txnNumber')
  if (lsid === undefined || txnNumber === undefined || server.data.oplog === undefined) return undefined
  return { lsid, txnNumber }
}
