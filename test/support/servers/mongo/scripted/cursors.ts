import { randomBytes } from 'node:crypto'
import { Long } from 'mongodb'
import { doc, encode, OK } from './bson.ts'
import type { Collection } from './collection.ts'
import { MongoFailure } from './failure.ts'
import { toTimestamp } from './timestamps.ts'
import { MAX_DOCUMENT_BYTES } from './wire.ts'

const FIRST_BATCH_DOCUMENTS = 101
const IDLE_TIMEOUT_MS = 10 * 60 * 1000

/** A result that is given out in batches. */
export interface Cursor {
  readonly id: bigint
  readonly ns: string
  readonly documents: Iterator<Buffer>
  /** Read from it and not given out yet, because the batch was full. */
  held: Buffer | undefined
  /** Where it reads, when that can be dropped below it. */
  readonly collection?: Collection | undefined
  /** Reads at this time, and fails once that is too long ago. */
  readonly atClusterTime?: bigint | undefined
  /** Does not end with its documents, but waits for more. */
  readonly tailable?: { readonly awaitsData: boolean } | undefined
  readonly isSingleBatch: boolean
  lastUsedMs: number
}

export type NewCursor = Omit<Cursor, 'id' | 'held' | 'lastUsedMs'>

/** Open cursors of a server. */
export class Cursors {
  readonly #open = new Map<bigint, Cursor>()

  get count(): number {
    return this.#open.size
  }

  /** The reply to a command that opens a cursor, with its first batch. */
  open(made: NewCursor, batchSize: number | undefined, more: Readonly<Record<string, unknown>> = {}): Buffer {
    const id = randomBytes(8).readBigInt64LE() & 0x7fff_ffff_ffff_ffffn
    const cursor: Cursor = { ...made, id, held: undefined, lastUsedMs: Date.now() }
    const batch = this.take(cursor, batchSize ?? FIRST_BATCH_DOCUMENTS)
    const isOpen = !made.isSingleBatch && (made.tailable !== undefined || !batch.isLast)
    if (isOpen) this.#open.set(id, cursor)
    return cursorReply('firstBatch', cursor, isOpen, batch.documents, more)
  }

  /** @throws MongoFailure CursorNotFound */
  get(id: bigint, ns: string): Cursor {
    const cursor = this.#open.get(id)
    if (cursor === undefined) throw new MongoFailure(43, `cursor id ${id} not found`)
    if (Date.now() - cursor.lastUsedMs > IDLE_TIMEOUT_MS) {
      this.#open.delete(id)
      throw new MongoFailure(43, `cursor id ${id} not found`)
    }
    if (cursor.ns !== ns)
      throw new MongoFailure(
        13,
        `Requested getMore on namespace '${ns}', but cursor belongs to a different namespace ${cursor.ns}`,
      )
    cursor.lastUsedMs = Date.now()
    return cursor
  }

  /** The next documents of a cursor: as many as wanted, and no more bytes than fit into a reply. */
  take(cursor: Cursor, wanted: number): { readonly documents: readonly Buffer[]; readonly isLast: boolean } {
    const documents: Buffer[] = []
    for (let bytes = 0; documents.length < wanted; ) {
      const next = cursor.held ?? cursor.documents.next().value
      cursor.held = undefined
      if (next === undefined) return { documents, isLast: true }
      bytes += next.length + 12
      if (documents.length > 0 && bytes > MAX_DOCUMENT_BYTES) {
        cursor.held = next
        break
      }
      documents.push(next)
    }
    return { documents, isLast: false }
  }

  close(id: bigint): boolean {
    return this.#open.delete(id)
  }

  /** As if nobody had used any for `ms`. */
  leaveIdle(ms: number): void {
    for (const cursor of this.#open.values()) cursor.lastUsedMs -= ms
  }

  /** Forgets all cursors, or those of a namespace. */
  closeAll(ns?: string): void {
    for (const [id, cursor] of this.#open) if (ns === undefined || cursor.ns === ns) this.#open.delete(id)
  }
}

/** A reply with a batch. */
export function cursorReply(
  batchName: 'firstBatch' | 'nextBatch',
  { id, ns, atClusterTime }: Cursor,
  isOpen: boolean,
  documents: readonly Buffer[],
  more: Readonly<Record<string, unknown>> = {},
): Buffer {
  const time = atClusterTime === undefined ? undefined : toTimestamp(atClusterTime)
  const shown = doc({ [batchName]: documents, id: encode(Long.fromBigInt(isOpen ? id : 0n)), ns, atClusterTime: time })
  return doc({ cursor: shown, ok: OK, ...more })
}
