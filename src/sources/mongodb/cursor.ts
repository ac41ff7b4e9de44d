import type { ClientSession } from 'mongodb'
import { HoldfastError } from '../../lib/errors.ts'
import { documentsOf, unpackArray } from './bson/batch.ts'
import { BsonType, field, textOf } from './bson/raw.ts'
import type { Command, CommandOptions, MongoConnection } from './connection.ts'
import { parseNamespace } from './names.ts'

/** What a reply says of its cursor. */
export interface CursorReply {
  /** 0: there is no more. */
  readonly id: bigint
  /** What getMore calls it: not always the collection that was asked. */
  readonly collection: string
  /** A BSON array of documents. */
  readonly batch: Buffer
  /** Of the first reply to a snapshot read: a timestamp as the 64 bits it is. */
  readonly atClusterTime: bigint | undefined
}

/** @throws HoldfastError HF_SOURCE_DAMAGED when it is no cursor */
export function readCursor(cursor: Buffer): CursorReply {
  const batch = field(cursor, 'firstBatch') ?? field(cursor, 'nextBatch')
  const id = field(cursor, 'id')
  const namespace = parseNamespace(textOf(field(cursor, 'ns')) ?? '')
  if (batch?.type !== BsonType.array || id?.type !== BsonType.int64 || namespace === undefined)
    throw new HoldfastError('HF_SOURCE_DAMAGED', 'the server answers with a cursor that lacks its id, name or batch')
  const time = field(cursor, 'atClusterTime')
  return {
    id: id.bytes.readBigInt64LE(0),
    collection: namespace.collection,
    batch: batch.bytes,
    atClusterTime: time?.type === BsonType.timestamp ? time.bytes.readBigUInt64LE(0) : undefined,
  }
}

/** Tells the server that nobody will ask for more; it would find out by itself in ten minutes. */
export async function killCursor(
  connection: MongoConnection,
  database: string,
  { id, collection }: CursorReply,
  session: ClientSession,
): Promise<void> {
  await connection.command(database, { killCursors: collection, cursors: [id] }, { session }).catch(() => undefined)
}

/** All documents a command finds, as bytes: for lists that fit in memory. @throws HoldfastError */
export async function listAll(
  connection: MongoConnection,
  database: string,
  command: Command,
  options: CommandOptions = {},
): Promise<readonly Buffer[]> {
  await using session = connection.session()
  const found: Buffer[] = []
  let reply = readCursor(await connection.cursor(database, command, { ...options, session }))
  for (;;) {
    found.push(...documentsOf(unpackArray(reply.batch).bytes))
    if (reply.id === 0n) return found
    const more = { getMore: reply.id, collection: reply.collection }
    reply = readCursor(await connection.cursor(database, more, { ...options, session }))
  }
}
