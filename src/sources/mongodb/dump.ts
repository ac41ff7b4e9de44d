import { BSON } from 'mongodb'
import { sleepUnlessInterrupted } from '../../engine/storage/interruption.ts'
import { type Clock, monotonicMilliseconds } from '../../lib/clock.ts'
import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import { forEachParallel } from '../../lib/parallel.ts'
import { type CollectionEntry, dataNamespace, readCatalog, sameCatalog } from './catalog.ts'
import type { MongoConnection } from './connection.ts'
import { dumpDocuments } from './dump-documents.ts'
import { type DumpWriter, documentsPath, OPLOG_FILE } from './dump-writer.ts'
import type { DumpedData, MongoManifest } from './manifest.ts'
import { type MemberFacts, readMember } from './member.ts'
import { type Namespace, namespaceText } from './names.ts'
import type { OpTime } from './op-time.ts'
import { timeText } from './op-time.ts'
import { OplogCapture } from './oplog/capture.ts'
import {
  type ChosenMode,
  chooseMode,
  isLostMoment,
  type OplogStart,
  readOplogStart,
  readSize,
  readSnapshotTime,
  readWindow,
} from './read-moment.ts'
import { isCapped, orderOf } from './read-order.ts'
import { oplogFilter } from './selection.ts'
import type { MongoSettings } from './settings.ts'
import { EVERYTHING, PART_BYTES, splitById } from './split.ts'
import { Turns } from './turns.ts'

export interface DumpOptions {
  readonly connection: MongoConnection
  readonly facts: MemberFacts
  readonly writer: DumpWriter
  readonly settings: MongoSettings
  readonly clock: Clock
  readonly isSelected: (namespace: Namespace) => boolean
  /** As it was a moment ago. */
  readonly catalog: readonly CollectionEntry[]
  /** What the snapshot before has of a collection. */
  readonly previous: (namespace: Namespace) => DumpedData | undefined
  /** Collections of twice as much are read by several cursors. */
  readonly partBytes?: number | undefined
  readonly signal: AbortSignal | undefined
}

export interface DumpOutcome {
  readonly consistency: ChosenMode
  readonly start: bigint | undefined
  readonly end: OpTime | undefined
  readonly oplog: MongoManifest['oplog']
}

const MAX_SETTLING = 3
const MAJORITY_WAIT_MS = 60_000
const POLL_MS = 100

/**
 * Reads collections of one member into a dump, in the mode of consistency that is possible. When the member loses the moment it is read at,
 * the rest is read as it is, and the oplog since then goes into the dump: replayed, all of it is of one moment again.
 */
export class Dump {
  readonly warnings: string[] = []
  readonly collections: { entry: CollectionEntry; data: DumpedData | undefined }[] = []
  readonly #options: DumpOptions
  /** For reading, whatever is read. */
  readonly #turns: Turns
  /** Ends everything else when one part fails. */
  readonly #failure = new AbortController()
  readonly #signal: AbortSignal
  #catalog: readonly CollectionEntry[]
  #consistency: ChosenMode = { mode: 'none', reason: '' }
  #start: OplogStart | undefined
  #moment: bigint | undefined
  #end: OpTime | undefined
  #capture: { readonly oplog: OplogCapture; readonly done: Promise<MongoManifest['oplog']> } | undefined
  #oplog: MongoManifest['oplog']

  constructor(options: DumpOptions) {
    this.#options = options
    this.#catalog = options.catalog
    this.#turns = new Turns(options.settings.jobs)
    const { signal } = options
    this.#signal = signal ? AbortSignal.any([signal, this.#failure.signal]) : this.#failure.signal
  }

  get outcome(): DumpOutcome {
    return { consistency: this.#consistency, start: this.#start?.start, end: this.#end, oplog: this.#oplog }
  }

  async run(): Promise<void> {
    try {
      await this.#begin()
      await forEachParallel(this.#catalog, this.#options.settings.jobs, async (entry) => {
        try {
          await this.#dumpCollection(entry)
        } catch (error) {
          // What is read beside it is of no use any more.
          this.#failure.abort(error)
          throw error
        }
      })
      await this.#finish()
    } catch (error) {
      this.#failure.abort(error)
      // The stream of the oplog ends, too, before the connection is closed.
      await this.#capture?.done.catch(() => undefined)
      throw error
    }
    this.collections.sort((a, b) => (namespaceText(a.entry) < namespaceText(b.entry) ? -1 : 1))
  }

  async #begin(): Promise<void> {
    const { connection, facts, settings, clock } = this.#options
    const databases = new Set(this.#catalog.map(({ database }) => database))
    const isMeasured = settings.consistency === 'auto' && facts.topology === 'replica set'
    const size = isMeasured ? await readSize(connection, databases, this.#signal) : 0
    const window = isMeasured ? await readWindow(connection) : 0
    this.#consistency = chooseMode(settings.consistency, facts, {
      sizeBytes: size,
      windowSeconds: window,
      hasCapped: this.#catalog.some(isCapped),
    })
    if (this.#consistency.mode === 'none') return this.#warnAboutFiles()
    const first = this.#firstToRead()
    if (first === undefined) this.#consistency = { mode: 'oplog', reason: 'there is no collection to be read' }
    if (this.#consistency.mode === 'oplog' || first === undefined) {
      this.#start = await readOplogStart(connection, this.#signal)
      return await this.#follow()
    }
    this.#start = await this.#startIfReadable()
    for (let attempt = 0; attempt < MAX_SETTLING; attempt++) {
      const moment = await readSnapshotTime(connection, first, clock, this.#signal).catch((error: unknown) => {
        if (isLostMoment(error)) return error as HoldfastError
        throw error
      })
      if (typeof moment !== 'bigint') {
        await this.#loseMoment(`there was none to read at: ${moment.message}`)
        return
      }
      const catalog = await this.#readCatalog()
      const isSettled = sameCatalog(catalog, this.#catalog)
      this.#catalog = catalog
      if (!isSettled) continue
      this.#moment = moment
      this.#end = { time: moment, term: facts.lastMajorityWrite?.term ?? -1 }
      return
    }
    await this.#loseMoment('collections and indexes are being made or dropped all the time')
  }

  /** Of which a moment is asked for: an ordinary collection if there is one, since not all others can be read at one. */
  #firstToRead(): Namespace | undefined {
    const ordinary = this.#catalog.find(
      (entry) => entry.type === 'collection' && entry.database !== 'admin' && !isCapped(entry),
    )
    return ordinary ?? this.#catalog.map(dataNamespace).find((place) => place !== undefined)
  }

  /** Without the oplog there is no way out when the moment is lost. */
  async #startIfReadable(): Promise<OplogStart | undefined> {
    try {
      return await readOplogStart(this.#options.connection, this.#signal)
    } catch (error) {
      if (isHoldfastError(error, 'HF_SOURCE_PERMISSION', 'HF_SOURCE_UNSUPPORTED')) return undefined
      throw error
    }
  }

  async #readCatalog(): Promise<readonly CollectionEntry[]> {
    const { connection, isSelected } = this.#options
    return await readCatalog(connection, { isIncluded: isSelected }, this.#signal)
  }

  /** Begins to take the oplog; afterwards, lists what there is to read. */
  async #follow(): Promise<void> {
    this.#startCapture()
    this.#catalog = await this.#readCatalog()
  }

  #startCapture(): void {
    const { connection, clock, isSelected, settings, writer } = this.#options
    const oplog = new OplogCapture({
      connection,
      clock,
      ...this.#start!,
      // Of what is read by a filter, the oplog would bring all that was written.
      isSelected: oplogFilter((one) => isSelected(one) && settings.query[namespaceText(one)] === undefined),
      signal: this.#signal,
    })
    const done = writer.documents(OPLOG_FILE, oplog.stream()).then(({ bytes, sha256 }) => ({
      entries: oplog.entries,
      bytes,
      sha256,
    }))
    done.catch((error: unknown) => this.#failure.abort(error))
    this.#capture = { oplog, done }
  }

  /** From now on things are read as they are. */
  async #loseMoment(why: string): Promise<void> {
    if (this.#capture !== undefined) return
    if (this.#start === undefined)
      throw new HoldfastError(
        'HF_SOURCE_UNREADABLE',
        `no snapshot read is possible any more, and the oplog may not be read: ${why}`,
        {
          hint: 'raise minSnapshotHistoryWindowInSeconds, or let the user read local.oplog.rs (role backup)',
          retry: 'later',
        },
      )
    this.#moment = undefined
    this.#end = undefined
    this.#consistency = { mode: 'oplog', reason: `begun as a snapshot read; then ${why}` }
    const isBegun = this.collections.length > 0
    this.#startCapture()
    if (!isBegun) this.#catalog = await this.#readCatalog()
  }

  async #dumpCollection(entry: CollectionEntry): Promise<void> {
    const { connection, clock, settings, writer } = this.#options
    await writer.metadata(entry)
    const namespace = dataNamespace(entry)
    const file = documentsPath(entry)
    const slot: { entry: CollectionEntry; data: DumpedData | undefined } = { entry, data: undefined }
    this.collections.push(slot)
    if (namespace === undefined || file === undefined) return
    const order = await orderOf(connection, entry, namespace, this.#signal)
    const query = settings.query[namespaceText(entry)]
    const { previous, partBytes = PART_BYTES } = this.#options
    const isDivided = order === 'id' && query === undefined && settings.jobs > 1
    slot.data = await dumpDocuments({
      writer,
      file,
      turns: this.#turns,
      onFailure: (error) => this.#failure.abort(error),
      ranges: isDivided
        ? await splitById(connection, { namespace, previous: previous(entry), partBytes, signal: this.#signal })
        : [EVERYTHING],
      reading: {
        connection,
        clock,
        namespace,
        order,
        filter: query && BSON.EJSON.deserialize(query as BSON.Document),
        moment: () => this.#moment,
        onMomentLost: (error) =>
          this.#loseMoment(`the member lost the moment ${timeText(this.#moment ?? 0n)}: ${(error as Error).message}`),
        signal: this.#signal,
      },
    })
  }

  async #finish(): Promise<void> {
    if (this.#capture !== undefined) {
      this.#end = await this.#lastWrite()
      this.#capture.oplog.finishAt(this.#end.time)
      this.#oplog = await this.#capture.done
    } else if (this.#consistency.mode === 'none') await this.#warnAboutChanges()
  }

  /** The newest write of the member, which may be in what was read, once most members have it: it will not be rolled back. */
  async #lastWrite(): Promise<OpTime> {
    const { connection, clock } = this.#options
    const { lastWrite } = await readMember(connection, this.#signal)
    const patience = monotonicMilliseconds() + MAJORITY_WAIT_MS
    while (lastWrite !== undefined) {
      const { lastMajorityWrite } = await readMember(connection, this.#signal)
      if ((lastMajorityWrite?.time ?? 0n) >= lastWrite.time) return lastWrite
      if (monotonicMilliseconds() > patience) break
      await sleepUnlessInterrupted(clock, POLL_MS, this.#signal)
    }
    throw new HoldfastError(
      'HF_SOURCE_UNREACHABLE',
      `${connection.place.server} does not get its last write confirmed by most members`,
      {
        hint: 'see rs.status(): are enough members up?',
      },
    )
  }

  /** Nothing but a look says that collections came and went where there is no oplog. */
  async #warnAboutChanges(): Promise<void> {
    const before = new Map(this.#catalog.map((entry) => [namespaceText(entry), entry]))
    for (const entry of await this.#readCatalog()) {
      const name = namespaceText(entry)
      const known = before.get(name)
      before.delete(name)
      if (known === undefined) this.warnings.push(`${name} was made while others were read: it is not in the snapshot`)
      else if (!sameCatalog([known], [entry]))
        this.warnings.push(
          `${name}, its options or its indexes were changed while it was read: the snapshot may have part of it`,
        )
    }
    for (const name of before.keys())
      this.warnings.push(`${name} was dropped while it was read: the snapshot may have part of it`)
  }

  #warnAboutFiles(): void {
    const names = new Set(this.#catalog.map(namespaceText))
    for (const name of names) {
      const chunks = name.replace(/\.files$/, '.chunks')
      if (chunks !== name && names.has(chunks))
        this.#consistency = {
          ...this.#consistency,
          reason: `${this.#consistency.reason}; files of GridFS that are written meanwhile may lack chunks (${name})`,
        }
    }
  }
}
