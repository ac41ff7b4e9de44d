import { sleepUnlessInterrupted } from '../../../engine/storage/interruption.ts'
import { type Clock, monotonicMilliseconds } from '../../../lib/clock.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import { documentsOf, unpackArray } from '../bson/batch.ts'
import type { MongoConnection } from '../connection.ts'
import { type CursorReply, killCursor, listAll, readCursor } from '../cursor.ts'
import { type OpTime, timestampOf, timeText } from '../op-time.ts'
import { isPassing } from '../server-error.ts'
import { commandOf, type OplogEntry, readEntry } from './entry.ts'
import { DumpGuard } from './guard.ts'

export interface CaptureOptions {
  readonly connection: MongoConnection
  readonly clock: Clock
  /** The first entry that is taken. */
  readonly start: bigint
  /** The newest one before anything was read. */
  readonly begin: bigint
  /** Of `database.collection`. */
  readonly isSelected: (namespace: string) => boolean
  readonly signal: AbortSignal | undefined
}

const OPLOG = 'oplog.rs'
const AWAIT_MS = 500
/** An idle replica set writes an entry every ten seconds. */
const MAX_END_WAIT_MS = 60_000
const MAX_FAILURES = 6
const FIRST_PAUSE_MS = 100

/** Follows the oplog of one member from a moment before collections are read until they are. */
export class OplogCapture {
  readonly #options: CaptureOptions
  readonly #guard: DumpGuard
  #end: bigint | undefined
  #patience: number | undefined
  #last: OplogEntry | undefined
  #entries = 0

  constructor(options: CaptureOptions) {
    this.#options = options
    this.#guard = new DumpGuard(options.begin, options.isSelected)
  }

  /** The last entry to be taken, which the member has already. The stream ends with it. */
  finishAt(end: bigint): void {
    this.#end = end
    this.#patience = monotonicMilliseconds() + MAX_END_WAIT_MS
  }

  /** Entries that were given on. */
  get entries(): number {
    return this.#entries
  }

  /** The newest entry that was looked at. */
  get last(): OpTime | undefined {
    return this.#last && { time: this.#last.time, term: this.#last.term }
  }

  /**
   * The entries that concern what is selected, as `oplog.bson` of mongodump has them.
   * @throws HoldfastError HF_SOURCE_CHANGED when entries are gone or were rolled back, or a collection was renamed while it may have been read
   */
  async *stream(): AsyncGenerator<Buffer> {
    const { clock, signal } = this.#options
    let failures = 0
    for (;;) {
      const before = this.#last
      try {
        yield* this.#follow()
        return
      } catch (error) {
        if (this.#last !== before) failures = 0
        if (!isPassing(error) || ++failures > MAX_FAILURES) throw error
        await sleepUnlessInterrupted(clock, FIRST_PAUSE_MS * 2 ** failures, signal)
      }
    }
  }

  async *#follow(): AsyncGenerator<Buffer> {
    const { connection, start, signal } = this.#options
    await using session = connection.session()
    const find = {
      find: OPLOG,
      filter: { ts: { $gte: timestampOf(this.#last?.time ?? start) } },
      tailable: true,
      awaitData: true,
      batchSize: 1000,
    }
    const common = { signal, session, what: 'the oplog (local.oplog.rs)' }
    let reply: CursorReply = readCursor(await connection.cursor('local', find, common))
    let isFirst = true
    try {
      for (;;) {
        const { bytes, count } = unpackArray(reply.batch)
        if (isFirst && count > 0) {
          await this.#checkFirst(readEntry(firstOf(bytes)))
          isFirst = false
        }
        const kept = this.#keep(bytes)
        if (kept.length > 0) yield kept
        if (this.#end !== undefined) {
          if ((this.#last?.time ?? 0n) >= this.#end) return
          if (monotonicMilliseconds() > this.#patience!) throw this.#stuck()
        }
        // The member closes a cursor that found nothing to follow.
        if (reply.id === 0n) throw this.#gone(start)
        const more = { getMore: reply.id, collection: reply.collection, maxTimeMS: AWAIT_MS }
        reply = readCursor(await connection.cursor('local', more, common))
      }
    } finally {
      if (reply.id !== 0n) await killCursor(connection, 'local', reply, session)
    }
  }

  /** What is to be stored of a batch, in its memory. Ends at the end. */
  #keep(batch: Buffer): Buffer {
    const last = this.#last
    let to = 0
    let at = 0
    for (const raw of documentsOf(batch)) {
      const entry = readEntry(raw)
      const from = at
      at += raw.length
      if (this.#end !== undefined && entry.time > this.#end) {
        this.#last = { ...entry, raw: Buffer.from(raw) }
        break
      }
      // The first one after a new start is the last one of before.
      if (last !== undefined && entry.time <= last.time) continue
      this.#last = { ...entry, raw: Buffer.from(raw) }
      this.#guard.check(entry)
      if (!this.#isWanted(entry)) continue
      batch.copyWithin(to, from, at)
      to += raw.length
      this.#entries++
    }
    return batch.subarray(0, to)
  }

  #isWanted(entry: OplogEntry): boolean {
    if (entry.op === 'n') return false
    if (entry.op !== 'c') return this.#options.isSelected(entry.namespace)
    const { name, database, argument } = commandOf(entry)
    if (
      name === 'applyOps' ||
      name === 'commitTransaction' ||
      name === 'abortTransaction' ||
      name === 'renameCollection'
    )
      return true
    if (name === 'dropDatabase') return true
    const collection = argument.type === 0x02 ? argument.bytes.toString('utf8', 4, argument.bytes.length - 1) : ''
    return this.#options.isSelected(`${database}.${collection}`)
  }

  /** Nothing between the last entry and this one may be missing. */
  async #checkFirst(first: OplogEntry): Promise<void> {
    if (this.#last !== undefined) {
      if (!this.#last.raw.equals(first.raw)) throw this.#gone(this.#last.time)
      return
    }
    const { connection, start, signal } = this.#options
    if (first.time === start) return
    const [oldest] = await listAll(
      connection,
      'local',
      { find: OPLOG, sort: { $natural: 1 }, limit: 1, singleBatch: true },
      { signal, what: 'the oplog (local.oplog.rs)' },
    )
    if (oldest === undefined || readEntry(oldest).time > start) throw this.#gone(start)
  }

  #gone(time: bigint): HoldfastError {
    return new HoldfastError(
      'HF_SOURCE_CHANGED',
      `the oplog of ${this.#options.connection.place.server} no longer has the entry of ${timeText(time)}`,
      {
        hint: 'it was rolled back by an election, or is too old to be kept: enlarge the oplog (replSetResizeOplog) when this happens again',
        retry: 'later',
      },
    )
  }

  #stuck(): HoldfastError {
    return new HoldfastError(
      'HF_SOURCE_UNREACHABLE',
      `${this.#options.connection.place.server} shows no entry of its oplog up to ${timeText(this.#end!)}`,
      { hint: 'see rs.status(): does replication go on?' },
    )
  }
}

const firstOf = (bytes: Buffer): Buffer => bytes.subarray(0, bytes.readInt32LE(0))
