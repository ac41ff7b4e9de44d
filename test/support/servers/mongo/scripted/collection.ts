import type { Binary } from 'mongodb'
import { asBoolean, asDocument, asNumber, asString, field, NULL, type RawValue } from './bson.ts'
import { type Collation, collationOf } from './collation.ts'
import { compareValues, valueKey } from './compare.ts'
import { MongoFailure } from './failure.ts'
import type { Index } from './index-keys.ts'
import { newUuid } from './uuid.ts'

/** One version of a document: it is seen at times from `from` until just before `to`. */
export interface StoredDocument {
  readonly recordId: number
  readonly id: RawValue
  readonly bytes: Buffer
  readonly from: bigint
  to: bigint | undefined
}

/** The order in which a scan gives documents. */
export type ScanOrder = 'natural' | 'natural-backwards' | 'id' | 'id-backwards'

/** Ends of a scan by `_id`, both inclusive. */
export interface IdBounds {
  readonly least?: RawValue
  readonly most?: RawValue
}

export interface CollectionSetup {
  readonly db: string
  readonly name: string
  readonly options: Buffer
  readonly at: bigint
  readonly uuid?: Binary | undefined
  /** What tells its documents apart; the oplog has no `_id`. */
  readonly idField?: string
}

/**
 * A collection in memory: the bytes of its documents exactly as they came, all their versions, and its indexes. Times are timestamps of the
 * cluster as 64-bit numbers, seconds above increments.
 */
export class Collection {
  readonly kind = 'collection'
  name: string
  db: string
  readonly uuid: Binary
  /** As `listCollections` shows them. */
  options: Buffer
  readonly indexes: Index[] = []
  /** When it came to be, or was last changed in a way that older servers cannot look behind. */
  minVisible: bigint
  readonly createdAt: bigint
  droppedAt: bigint | undefined
  readonly isClustered: boolean
  readonly collation: Collation | undefined
  readonly #idField: string
  readonly #records = new Map<number, StoredDocument>()
  readonly #byId = new Map<string, StoredDocument>()
  readonly #past: StoredDocument[] = []
  #sorted: StoredDocument[] = []
  #unsorted: StoredDocument[] = []
  #generation = 0
  #nextRecordId = 1
  #bytes = 0
  #waiting: (() => void)[] = []

  constructor({ db, name, options, at, uuid = newUuid(), idField = '_id' }: CollectionSetup) {
    this.db = db
    this.name = name
    this.options = options
    this.uuid = uuid
    this.#idField = idField
    this.createdAt = at
    this.minVisible = at
    this.isClustered = field(options, 'clusteredIndex') !== undefined
    this.collation = collationOf(asDocument(field(options, 'collation')))
  }

  get ns(): string {
    return `${this.db}.${this.name}`
  }

  get count(): number {
    return this.#records.size
  }

  get sizeBytes(): number {
    return this.#bytes
  }

  get isCapped(): boolean {
    return asBoolean(field(this.options, 'capped'))
  }

  /** @throws MongoFailure DuplicateKey */
  insert(bytes: Buffer, at: bigint): StoredDocument {
    const id = field(bytes, this.#idField) ?? NULL
    const stored: StoredDocument = { recordId: this.#nextRecordId++, id, bytes, from: at, to: undefined }
    this.#claim(stored)
    this.#list(stored)
    this.#evict(at)
    for (const wake of this.#waiting.splice(0)) wake()
    return stored
  }

  /** @throws MongoFailure DuplicateKey; then the document stays as it was */
  replace(old: StoredDocument, bytes: Buffer, at: bigint): StoredDocument {
    const stored: StoredDocument = { ...old, bytes, from: at, to: undefined }
    this.#release(old)
    try {
      this.#claim(stored)
    } catch (error) {
      this.#claim(old)
      throw error
    }
    this.#retire(old, at)
    this.#list(stored)
    return stored
  }

  remove(old: StoredDocument, at: bigint): void {
    this.#release(old)
    this.#records.delete(old.recordId)
    this.#retire(old, at)
  }

  byId(id: RawValue): StoredDocument | undefined {
    return this.#byId.get(this.#idKey(id))
  }

  /** Live documents: what is inserted or removed meanwhile is seen where the scan has not been yet. */
  *scan(order: ScanOrder, bounds: IdBounds = {}): Generator<StoredDocument> {
    if (order === 'natural' && !this.isClustered) yield* this.#records.values()
    else if (order === 'natural-backwards' && !this.isClustered) yield* [...this.#records.values()].reverse()
    else yield* this.#scanById(order.endsWith('backwards') ? -1 : 1, bounds)
  }

  /** Whether a record is still there. */
  has(recordId: number): boolean {
    return this.#records.has(recordId)
  }

  /** Those of a scan whose records came later than `recordId`. */
  *scanAfter(recordId: number, order: ScanOrder, bounds: IdBounds): Generator<StoredDocument> {
    const last = this.#records.get(recordId)
    const from = last !== undefined && order === 'id' ? { ...bounds, least: last.id } : bounds
    for (const stored of this.scan(order, from)) if (stored.recordId > recordId) yield stored
  }

  /** Documents as they were at a time. */
  at(time: bigint, order: ScanOrder, { least, most }: IdBounds = {}): readonly StoredDocument[] {
    const isById = this.isClustered || order.startsWith('id')
    const isSeen = ({ id, from, to }: StoredDocument): boolean =>
      from <= time &&
      (to === undefined || to > time) &&
      (least === undefined || this.#compare(id, least) >= 0) &&
      (most === undefined || this.#compare(id, most) <= 0)
    const live = (isById ? this.#inOrder() : [...this.#records.values()]).filter(isSeen)
    const past = this.#past.filter(isSeen)
    const seen = [...live, ...past]
    // Those that are still there are in order already.
    if (past.length > 0) seen.sort((a, b) => (isById ? this.#compare(a.id, b.id) : a.recordId - b.recordId))
    return order.endsWith('backwards') ? seen.reverse() : seen
  }

  /** @throws MongoFailure DuplicateKey when documents that are there break it */
  addIndex(index: Index): void {
    if (index.isUnique) for (const { bytes, recordId } of this.#records.values()) index.add(bytes, recordId, this.ns)
    this.indexes.push(index)
  }

  /** @throws MongoFailure DuplicateKey; then the old one stays */
  replaceIndex(old: Index, index: Index): void {
    this.addIndex(index)
    this.indexes.pop()
    this.indexes[this.indexes.indexOf(old)] = index
  }

  dropIndex(name: string): Index | undefined {
    const position = this.indexes.findIndex((index) => index.name === name)
    return position < 0 ? undefined : this.indexes.splice(position, 1)[0]
  }

  /** Ends when a document has been inserted, after `ms`, or when `signal` aborts. */
  async changed(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', done)
        this.#waiting = this.#waiting.filter((wake) => wake !== done)
        resolve()
      }
      const timer = setTimeout(done, ms)
      signal.addEventListener('abort', done)
      this.#waiting.push(done)
    })
  }

  /** Takes its keys in the unique indexes, or none of them. */
  #claim(stored: StoredDocument): void {
    const key = this.#idKey(stored.id)
    if (this.#byId.has(key)) throw duplicateId(this, stored.id)
    const claimed: Index[] = []
    try {
      for (const index of this.indexes.filter(({ isUnique }) => isUnique)) {
        index.add(stored.bytes, stored.recordId, this.ns)
        claimed.push(index)
      }
    } catch (error) {
      for (const index of claimed) index.remove(stored.bytes, stored.recordId)
      throw error
    }
    this.#byId.set(key, stored)
  }

  #release(stored: StoredDocument): void {
    this.#byId.delete(this.#idKey(stored.id))
    for (const index of this.indexes) if (index.isUnique) index.remove(stored.bytes, stored.recordId)
  }

  /** A new version of a record keeps the place of the record. */
  #list(stored: StoredDocument): void {
    this.#records.set(stored.recordId, stored)
    this.#unsorted.push(stored)
    this.#bytes += stored.bytes.length
    this.#generation++
  }

  #retire(old: StoredDocument, at: bigint): void {
    old.to = at
    this.#past.push(old)
    this.#bytes -= old.bytes.length
    this.#generation++
  }

  #evict(at: bigint): void {
    if (!this.isCapped) return
    const size = asNumber(field(this.options, 'size')) ?? Number.POSITIVE_INFINITY
    const max = asNumber(field(this.options, 'max')) ?? Number.POSITIVE_INFINITY
    for (const oldest of this.#records.values()) {
      if (this.#bytes <= size && this.count <= max) return
      this.remove(oldest, at)
    }
  }

  *#scanById(direction: 1 | -1, { least, most }: IdBounds): Generator<StoredDocument> {
    const end = direction > 0 ? most : least
    let last = direction > 0 ? least : most
    let isSeen = false
    for (;;) {
      const all = this.#inOrder()
      const generation = this.#generation
      let at = direction > 0 ? 0 : all.length - 1
      if (last !== undefined) at = this.#position(all, last, direction, isSeen)
      if (at < 0 || at >= all.length) return
      for (; generation === this.#generation && at >= 0 && at < all.length; at += direction) {
        const stored = all[at]!
        if (end !== undefined && this.#compare(stored.id, end) * direction > 0) return
        last = stored.id
        isSeen = true
        yield stored
      }
    }
  }

  /** The first place at `id`, or behind it when `isSeen`, in the direction of the scan. */
  #position(all: readonly StoredDocument[], id: RawValue, direction: 1 | -1, isSeen: boolean): number {
    // Forwards: the first that is not less (seen: greater). Backwards: the one before the first that is greater (seen: not less).
    const wantsGreater = direction > 0 === isSeen
    let low = 0
    let high = all.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const order = this.#compare(all[middle]!.id, id)
      if (order < 0 || (order === 0 && wantsGreater)) low = middle + 1
      else high = middle
    }
    return direction > 0 ? low : low - 1
  }

  #inOrder(): readonly StoredDocument[] {
    const compare = (a: StoredDocument, b: StoredDocument): number => this.#compare(a.id, b.id)
    const isLive = (stored: StoredDocument): boolean => this.#records.get(stored.recordId) === stored
    const added = this.#unsorted.filter(isLive).sort(compare)
    const hasDead = this.#sorted.length !== this.count - added.length
    if (hasDead) this.#sorted = this.#sorted.filter(isLive)
    this.#unsorted = []
    if (added.length === 0) return this.#sorted
    const greatest = this.#sorted.at(-1)
    const fits = greatest === undefined || compare(greatest, added[0]!) < 0
    this.#sorted = this.#sorted.concat(added)
    if (!fits) this.#sorted.sort(compare)
    return this.#sorted
  }

  #compare(a: RawValue, b: RawValue): number {
    return compareValues(a, b, this.collation?.compare)
  }

  #idKey(id: RawValue): string {
    return valueKey(id, this.collation?.key)
  }
}

function duplicateId({ ns }: Collection, id: RawValue): MongoFailure {
  const shown = asString(id) === undefined ? String(asNumber(id) ?? valueKey(id)) : `"${asString(id)}"`
  return new MongoFailure(
    11_000,
    `E11000 duplicate key error collection: ${ns} index: _id_ dup key: { _id: ${shown} }`,
    {
      fields: { keyPattern: { _id: 1 }, keyValue: { _id: id } },
    },
  )
}
