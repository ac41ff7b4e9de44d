import { asNumber, doc, OK, type RawValue, Type } from '../bson.ts'
import { valueKey } from '../compare.ts'
import type { CommandTable, Context } from '../context.ts'
import { cursorReply } from '../cursors.ts'
import { MongoFailure } from '../failure.ts'
import { valuesAt } from '../match.ts'
import { type Query, runQuery } from '../query.ts'
import { checkAge, snapshotTime } from '../snapshot.ts'

const AWAIT_MS = 1000

/** Commands that read documents, other than aggregations. */
export const readCommands: CommandTable = {
  find: {
    run: find,
    takes: [
      'filter',
      'sort',
      'projection',
      'hint',
      'skip',
      'limit',
      'batchSize',
      'singleBatch',
      'tailable',
      'awaitData',
      'noCursorTimeout',
      'oplogReplay',
      'allowPartialResults',
      'allowDiskUse',
      'collation',
      'let',
    ],
  },
  getMore: { run: getMore, takes: ['collection', 'batchSize', 'term', 'lastKnownCommittedOpTime'] },
  killCursors: { run: killCursors, takes: ['cursors'] },
  count: { run: count, takes: ['query', 'limit', 'skip', 'hint', 'collation', 'fields'] },
  distinct: { run: distinct, takes: ['key', 'query', 'collation', 'hint'] },
}

function find({ server, command }: Context): Buffer {
  const name = command.collection()
  const atClusterTime = snapshotTime(server, command)
  const isTailable = command.flag('tailable')
  const query: Query = {
    db: command.db,
    name,
    filter: command.document('filter'),
    sort: command.document('sort'),
    hint: command.raw('hint'),
    skip: command.number('skip'),
    limit: Math.abs(command.number('limit') ?? 0),
    projection: command.document('projection'),
    collation: command.document('collation'),
    atClusterTime,
    isTailable,
  }
  const { documents, collection } = runQuery(server, query)
  if (isTailable && collection?.isCapped !== true) {
    if (collection !== undefined) {
      throw new MongoFailure(
        2,
        `error processing query: tailable cursor requested on non capped collection ${collection.ns}`,
      )
    }
  }
  return server.cursors.open(
    {
      ns: `${command.db}.${name}`,
      documents,
      collection,
      atClusterTime,
      tailable: isTailable && collection !== undefined ? { awaitsData: command.flag('awaitData') } : undefined,
      isSingleBatch: command.flag('singleBatch') || (command.number('limit') ?? 0) < 0,
    },
    command.number('batchSize'),
  )
}

async function getMore({ server, client, command }: Context): Promise<Buffer> {
  const { cursors } = server
  const id = command.raw('getMore')
  if (asNumber(id) === undefined || id!.bytes.length !== 8)
    throw new MongoFailure(14, "Field 'getMore' must be of type long")
  const cursor = cursors.get(id!.bytes.readBigInt64LE(0), `${command.db}.${command.string('collection')}`)
  const batchSize = command.number('batchSize') ?? 0
  const wanted = batchSize > 0 ? batchSize : Number.POSITIVE_INFINITY
  try {
    if (cursor.collection?.droppedAt !== undefined) {
      throw new MongoFailure(175, `collection dropped. UUID ${cursor.collection.uuid.toUUID()}`)
    }
    if (cursor.atClusterTime !== undefined) checkAge(server, cursor.atClusterTime)
    let batch = cursors.take(cursor, wanted)
    if (cursor.tailable?.awaitsData && batch.documents.length === 0) {
      const end = Date.now() + (command.number('maxTimeMS') ?? AWAIT_MS)
      while (batch.documents.length === 0 && Date.now() < end && !client.signal.aborted) {
        await cursor.collection!.changed(end - Date.now(), client.signal)
        batch = cursors.take(cursor, wanted)
      }
      cursor.lastUsedMs = Date.now()
    }
    const isOpen = cursor.tailable !== undefined || !batch.isLast
    if (!isOpen) cursors.close(cursor.id)
    return cursorReply('nextBatch', cursor, isOpen, batch.documents)
  } catch (error) {
    cursors.close(cursor.id)
    throw error
  }
}

function killCursors({ server: { cursors }, command }: Context): Buffer {
  const ids = command.values('cursors') ?? []
  const killed: RawValue[] = []
  const notFound: RawValue[] = []
  for (const id of ids) (cursors.close(id.bytes.readBigInt64LE(0)) ? killed : notFound).push(id)
  return doc({ cursorsKilled: killed, cursorsNotFound: notFound, cursorsAlive: [], cursorsUnknown: [], ok: OK })
}

function count({ server, command }: Context): Buffer {
  const { documents } = runQuery(server, {
    db: command.db,
    name: command.collection(),
    filter: command.document('query'),
    hint: command.raw('hint'),
    skip: command.number('skip'),
    limit: command.number('limit'),
    collation: command.document('collation'),
    atClusterTime: snapshotTime(server, command),
  })
  let n = 0
  for (const _ of documents) n++
  return doc({ n, ok: OK })
}

function distinct({ server, command }: Context): Buffer {
  const path = command.string('key')!.split('.')
  const atClusterTime = snapshotTime(server, command)
  const { documents } = runQuery(server, {
    db: command.db,
    name: command.collection(),
    filter: command.document('query'),
    collation: command.document('collation'),
    atClusterTime,
  })
  const values = new Map<string, RawValue>()
  for (const document of documents)
    for (const value of valuesAt(document, path)) if (value.type !== Type.array) values.set(valueKey(value), value)
  return doc({ values: [...values.values()], ok: OK })
}
