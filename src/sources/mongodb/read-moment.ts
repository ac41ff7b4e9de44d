import type { Clock } from '../../lib/clock.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { formatSize } from '../../lib/sizes.ts'
import { BsonType, documentOf, field } from './bson/raw.ts'
import { numberOf } from './bson/typed.ts'
import type { MongoConnection } from './connection.ts'
import { listAll, readCursor } from './cursor.ts'
import { isAtLeast, type MemberFacts, productName } from './member.ts'
import type { Namespace } from './names.ts'
import { Code, codeOf } from './server-error.ts'
import type { Consistency } from './settings.ts'

/** How the collections of a snapshot come to be of one moment. */
export type Mode = Exclude<Consistency, 'auto'>

export interface ChosenMode {
  readonly mode: Mode
  /** Why this one. */
  readonly reason: string
}

/** What a member sends at least, as far as anybody can know before. */
const ASSUMED_RATE = 32 * 1024 * 1024
const DEFAULT_WINDOW_S = 300
/** Reading may take so much of the time for which a member keeps a moment. */
const SHARE_OF_WINDOW = 0.5

const oldestSnapshotReads = [5, 0] as const
/** MongoDB manual, "Read Concern snapshot". */
const oldestCappedSnapshotReads = [8, 0] as const

/** What decides between the modes that are possible. */
export interface ModeConditions {
  /** Of documents; undefined when the server does not say. */
  readonly sizeBytes: number | undefined
  readonly windowSeconds: number
  readonly hasCapped: boolean
}

/**
 * What is asked for, or the best that is possible.
 * @throws HoldfastError HF_SOURCE_UNSUPPORTED when what is asked for is not
 */
export function chooseMode(
  asked: Consistency,
  facts: MemberFacts,
  { sizeBytes, windowSeconds, hasCapped }: ModeConditions,
): ChosenMode {
  const refuse = (why: string): HoldfastError =>
    new HoldfastError('HF_SOURCE_UNSUPPORTED', `consistency: ${asked} is not possible: ${why}`, {
      hint: 'leave `consistency` out, and the best that is possible is done and recorded',
    })
  if (asked === 'none') return { mode: 'none', reason: 'the configuration asks for it' }
  if (facts.topology !== 'replica set') {
    const why = `${productName(facts)} here is no member of a replica set, so there is no oplog: each collection is of a moment of its own`
    if (asked !== 'auto') throw refuse(why)
    return { mode: 'none', reason: why }
  }
  const canRead = facts.product === undefined && isAtLeast(facts.version, ...oldestSnapshotReads)
  if (asked === 'snapshot') {
    if (!canRead) throw refuse(`${productName(facts)} has no snapshot reads outside of transactions`)
    return { mode: 'snapshot', reason: 'the configuration asks for it' }
  }
  if (asked === 'oplog') return { mode: 'oplog', reason: 'the configuration asks for it' }
  if (!canRead) return { mode: 'oplog', reason: `${productName(facts)} has no snapshot reads outside of transactions` }
  if (hasCapped && !isAtLeast(facts.version, ...oldestCappedSnapshotReads))
    return { mode: 'oplog', reason: `${productName(facts)} has no snapshot reads of capped collections` }
  if (sizeBytes === undefined) return { mode: 'oplog', reason: 'the server does not say how much there is to read' }
  const most = windowSeconds * SHARE_OF_WINDOW * ASSUMED_RATE
  const fits = sizeBytes <= most
  const size = `${formatSize(sizeBytes)} ${fits ? 'fit' : 'do not fit'} in half of the ${windowSeconds} s for which the member keeps a moment`
  return { mode: fits ? 'snapshot' : 'oplog', reason: size }
}

/** For how long members keep what was: `minSnapshotHistoryWindowInSeconds`. */
export async function readWindow(connection: MongoConnection): Promise<number> {
  try {
    const reply = await connection.command('admin', { getParameter: 1, minSnapshotHistoryWindowInSeconds: 1 })
    return numberOf(reply.minSnapshotHistoryWindowInSeconds) ?? DEFAULT_WINDOW_S
  } catch (error) {
    if (codeOf(error) === undefined) throw error
    return DEFAULT_WINDOW_S
  }
}

/** Uncompressed bytes of documents of databases; undefined when the server does not say, or not to everybody. */
export async function readSize(
  connection: MongoConnection,
  databases: Iterable<string>,
  signal?: AbortSignal,
): Promise<number | undefined> {
  let bytes = 0
  try {
    for (const database of databases)
      bytes += numberOf((await connection.command(database, { dbStats: 1 }, { signal })).dataSize) ?? 0
    return bytes
  } catch (error) {
    if (codeOf(error) === undefined) throw error
    return undefined
  }
}

/** From where an oplog is needed, and its newest entry. */
export interface OplogStart {
  readonly start: bigint
  readonly begin: bigint
}

const oplog = 'the oplog (local.oplog.rs)'

/**
 * From where the oplog has everything a copy begun now may lack: the beginning of the oldest transaction that is still open, or the newest
 * entry.
 * @throws HoldfastError HF_SOURCE_PERMISSION, HF_SOURCE_UNSUPPORTED when there is no oplog
 */
export async function readOplogStart(connection: MongoConnection, signal?: AbortSignal): Promise<OplogStart> {
  const newest = await edgeOfOplog(connection, -1, signal)
  if (newest === undefined)
    throw new HoldfastError('HF_SOURCE_UNSUPPORTED', `${connection.place.server} has an empty oplog`, {
      hint: 'is the replica set initiated? See rs.status()',
    })
  const open = await listAll(
    connection,
    'config',
    {
      find: 'transactions',
      filter: { state: { $in: ['prepared', 'inProgress'] } },
      sort: { 'startOpTime.ts': 1 },
      limit: 1,
      singleBatch: true,
    },
    { signal, what: 'find config.transactions' },
  )
  const start = open[0] && documentOf(field(open[0], 'startOpTime'))
  const time = start && field(start, 'ts')
  return {
    start: time?.type === BsonType.timestamp ? minimum(time.bytes.readBigUInt64LE(0), newest) : newest,
    begin: newest,
  }
}

const minimum = (a: bigint, b: bigint): bigint => (a < b ? a : b)

/** Time of the oldest (1) or newest (-1) entry. */
export async function edgeOfOplog(
  connection: MongoConnection,
  direction: 1 | -1,
  signal?: AbortSignal,
): Promise<bigint | undefined> {
  const [entry] = await listAll(
    connection,
    'local',
    { find: 'oplog.rs', sort: { $natural: direction }, limit: 1, singleBatch: true },
    { signal, what: oplog },
  )
  const time = entry && field(entry, 'ts')
  return time?.type === BsonType.timestamp ? time.bytes.readBigUInt64LE(0) : undefined
}

const MAX_ATTEMPTS = 5
const PAUSE_MS = 200

/** A moment that the member, and the majority of its set, has: the one it chooses for a snapshot read. @throws HoldfastError */
export async function readSnapshotTime(
  connection: MongoConnection,
  { database, collection }: Namespace,
  clock: Clock,
  signal?: AbortSignal,
): Promise<bigint> {
  for (let attempt = 1; ; attempt++) {
    try {
      const find = {
        find: collection,
        limit: 1,
        singleBatch: true,
        projection: { _id: 1 },
        readConcern: { level: 'snapshot' },
      }
      const { atClusterTime } = readCursor(
        await connection.cursor(database, find, { signal, what: `a snapshot read of ${database}.${collection}` }),
      )
      if (atClusterTime !== undefined) return atClusterTime
      throw new HoldfastError(
        'HF_SOURCE_UNSUPPORTED',
        `${connection.place.server} does not say of which moment a snapshot read is`,
        {
          hint: 'set `consistency: oplog` of the source',
        },
      )
    } catch (error) {
      if (!isLostMoment(error) || attempt === MAX_ATTEMPTS) throw error
      await clock.sleep(PAUSE_MS * attempt, signal)
    }
  }
}

/** Whether a member no longer, or not yet, has a moment, or reads this collection at no moment but now. */
export function isLostMoment(error: unknown): boolean {
  const code = codeOf(error)
  return code !== undefined && lostMoment.has(code)
}

const lostMoment: ReadonlySet<number> = new Set([
  Code.snapshotTooOld,
  Code.snapshotUnavailable,
  Code.invalidOptions,
  Code.illegalOperation,
])
