import { sleepUnlessInterrupted } from '../../engine/storage/interruption.ts'
import type { Clock } from '../../lib/clock.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { type DocumentBatch, unpackArray } from './bson/batch.ts'
import { elements, type RawValue } from './bson/raw.ts'
import type { Command, MongoConnection } from './connection.ts'
import { type CursorReply, killCursor, readCursor } from './cursor.ts'
import { type Namespace, namespaceText } from './names.ts'
import { timestampOf } from './op-time.ts'
import { isLostMoment } from './read-moment.ts'
import { type IdRange, within } from './resume-filter.ts'
import { SamePrefix } from './same-prefix.ts'
import { Code, codeOf, isPassing } from './server-error.ts'

/** In which order documents come: by `_id`, which is the same on every member and after a restore, or as they lie. */
export const readOrders = ['id', 'natural'] as const
export type ReadOrder = (typeof readOrders)[number]

export interface CollectionReading {
  readonly connection: MongoConnection
  readonly clock: Clock
  readonly namespace: Namespace
  readonly order: ReadOrder
  /** Only what it matches. */
  readonly filter?: object | undefined
  /** Only so much, in the order of `_id`. */
  readonly range?: IdRange | undefined
  /** Asked before each cursor: the moment to read, if there is one. */
  readonly moment?: (() => bigint | undefined) | undefined
  /** The member has lost the moment. Resolves when it is to be read as it is now; without it that is an error. */
  readonly onMomentLost?: ((error: unknown) => Promise<void>) | undefined
  readonly signal: AbortSignal | undefined
}

/** What a reply is to have: large enough to make questions rare, small enough for several in memory; with more, FerretDB takes longer for the same. */
const REPLY_BYTES = 1024 * 1024
const FIRST_COUNT = 1_000
const MAX_COUNT = 100_000
const MAX_FAILURES = 6
const FIRST_PAUSE_MS = 100

/**
 * All documents of a collection as bytes, in batches that are valid until the next one is asked for. While one is worked on, the member gets the next ready. A
 * cursor that breaks is followed by another one: in `_id` order behind the last document; in natural order from the beginning, which must
 * have the same bytes as before up to where it broke.
 *
 * @throws HoldfastError HF_SOURCE_UNREACHABLE when it breaks for good, or documents in natural order have changed since; HF_SOURCE_PERMISSION
 */
export async function* readCollection(reading: CollectionReading): AsyncGenerator<DocumentBatch> {
  const { clock, namespace, order, onMomentLost, signal } = reading
  const prefix = order === 'natural' ? new SamePrefix() : undefined
  let last: RawValue | undefined
  let failures = 0
  for (;;) {
    try {
      for await (const batch of readOnce(reading, last)) {
        // Copied: the batch is the reader's.
        if (order === 'id') last = copyOf(idOf(batch.bytes.subarray(batch.lastStart), namespace))
        const fresh = prefix === undefined ? batch : prefix.pass(batch)
        if (fresh === 'other') throw unresumable(namespace)
        if (fresh === undefined) continue
        failures = 0
        yield fresh
      }
      if (prefix?.isPassed === false) throw unresumable(namespace)
      return
    } catch (error) {
      // What is dropped now was still there then.
      const isMoment =
        (isLostMoment(error) || isGone(error)) && onMomentLost !== undefined && reading.moment?.() !== undefined
      // A collection that was dropped has no more documents.
      if (!isMoment && isGone(error)) return
      if (!isMoment && (!isPassing(error) || ++failures > MAX_FAILURES)) throw error
      if (isMoment) await onMomentLost!(error)
      else await sleepUnlessInterrupted(clock, FIRST_PAUSE_MS * 2 ** failures, signal)
      prefix?.startAgain()
    }
  }
}

async function* readOnce(reading: CollectionReading, after: RawValue | undefined): AsyncGenerator<DocumentBatch> {
  const { connection, namespace, signal } = reading
  const { database } = namespace
  await using session = connection.session()
  const common = { signal, session, what: `reading ${namespaceText(namespace)}` }
  let reply: CursorReply = readCursor(await connection.cursor(database, findCommand(reading, after), common))
  let batch = unpackArray(reply.batch)
  let count = FIRST_COUNT
  let next: Promise<Buffer> | undefined
  try {
    for (;;) {
      if (batch.count > 0)
        count = Math.min(MAX_COUNT, Math.max(1, Math.ceil((REPLY_BYTES * batch.count) / batch.bytes.length)))
      if (reply.id !== 0n) {
        const more = { getMore: reply.id, collection: reply.collection, batchSize: count }
        next = connection.cursor(database, more, common)
        // It may fail while nobody waits for it.
        next.catch(() => undefined)
      }
      if (batch.count > 0) yield batch
      connection.release(reply.batch)
      if (next === undefined) return
      reply = { ...reply, ...readCursor(await next) }
      next = undefined
      batch = unpackArray(reply.batch)
    }
  } finally {
    await next?.catch(() => undefined)
    if (reply.id !== 0n) await killCursor(connection, database, reply, session)
  }
}

function findCommand(
  { namespace, order, filter, range, moment }: CollectionReading,
  last: RawValue | undefined,
): Command {
  const time = moment?.()
  const byId = order === 'id'
  const filters = [filter, stretchOf({ after: last ?? range?.after, upTo: range?.upTo })].filter(
    (one) => one !== undefined,
  )
  return {
    find: namespace.collection,
    filter: filters.length > 1 ? { $and: filters } : (filters[0] ?? {}),
    batchSize: FIRST_COUNT,
    hint: byId ? { _id: 1 } : { $natural: 1 },
    ...(byId && { sort: { _id: 1 } }),
    ...(time !== undefined && { readConcern: { level: 'snapshot', atClusterTime: timestampOf(time) } }),
  }
}

const stretchOf = (range: IdRange): object | undefined =>
  range.after === undefined && range.upTo === undefined ? undefined : within(range)

function idOf(document: Buffer, namespace: Namespace): RawValue {
  for (const element of elements(document)) if (element.name === '_id') return element
  throw new HoldfastError('HF_SOURCE_DAMAGED', `${namespaceText(namespace)} has a document without _id`)
}

const copyOf = ({ type, bytes }: RawValue): RawValue => ({ type, bytes: Buffer.from(bytes) })

function isGone(error: unknown): boolean {
  const code = codeOf(error)
  return code === Code.namespaceNotFound || code === Code.queryPlanKilled
}

const unresumable = (namespace: Namespace): HoldfastError =>
  new HoldfastError(
    'HF_SOURCE_CHANGED',
    `the reading of ${namespaceText(namespace)} broke, and its documents in natural order have changed since: there is no going on`,
    { hint: 'nothing was kept; run the backup again', retry: 'later' },
  )
