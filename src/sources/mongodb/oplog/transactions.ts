import { HoldfastError } from '../../../lib/errors.ts'
import { formatSize } from '../../../lib/sizes.ts'
import { BsonType, elements, field } from '../bson/raw.ts'
import { timeText } from '../op-time.ts'
import { commandOf, type OplogEntry, type OplogOperation, readOperation } from './entry.ts'

/** Of transactions that are open at the same time: servers end them after a minute. */
const MAX_OPEN_BYTES = 512 * 1024 * 1024

/**
 * Takes the entries of an oplog in order and gives each change at the moment it counts: those of a transaction when it is committed, those
 * of an aborted one never.
 */
export class Transactions {
  readonly #open = new Map<string, { readonly operations: readonly OplogOperation[]; readonly bytes: number }>()
  readonly #maxOpenBytes: number
  #openBytes = 0

  constructor(maxOpenBytes: number = MAX_OPEN_BYTES) {
    this.#maxOpenBytes = maxOpenBytes
  }

  /** @throws HoldfastError HF_DATA_DAMAGED when the beginning of a transaction is not there, HF_RESTORE_FAILED when open ones are too large */
  operations(entry: OplogEntry): readonly OplogOperation[] {
    if (entry.op !== 'c') return [entry]
    const { name } = commandOf(entry)
    const { session } = entry
    if (name === 'applyOps') {
      // The memory of an entry is shared with its neighbours, and is not to be kept for it.
      const inner = innerOperations(session === undefined ? entry : { ...entry, o: Buffer.from(entry.o) })
      if (session === undefined || session.isVectored) return inner
      const before = this.#open.get(session.key)
      if (before === undefined && session.previous !== 0n) throw headless(entry)
      if (isSet(entry.o, 'partialTxn') || isSet(entry.o, 'prepare')) {
        this.#hold(session.key, [...(before?.operations ?? []), ...inner], entry.raw.length)
        return []
      }
      this.#end(session.key)
      return [...(before?.operations ?? []), ...inner]
    }
    if (name === 'commitTransaction') {
      const before = session && this.#open.get(session.key)
      if (before === undefined) throw headless(entry)
      this.#end(session!.key)
      return before.operations
    }
    if (name === 'abortTransaction') {
      if (session !== undefined) this.#end(session.key)
      return []
    }
    return [entry]
  }

  #hold(key: string, operations: readonly OplogOperation[], bytes: number): void {
    this.#open.set(key, { operations, bytes: (this.#open.get(key)?.bytes ?? 0) + bytes })
    this.#openBytes += bytes
    if (this.#openBytes > this.#maxOpenBytes)
      throw new HoldfastError(
        'HF_RESTORE_FAILED',
        `transactions that are open at the same time in the oplog change more than ${formatSize(this.#maxOpenBytes)}`,
        { hint: 'restore into a folder, and give that to mongorestore --oplogReplay' },
      )
  }

  #end(key: string): void {
    this.#openBytes -= this.#open.get(key)?.bytes ?? 0
    this.#open.delete(key)
  }

  /** Transactions that were neither committed nor aborted. */
  get unfinished(): number {
    return this.#open.size
  }
}

function innerOperations({ o }: OplogEntry): OplogOperation[] {
  const list = field(o, 'applyOps')
  if (list?.type !== BsonType.array)
    throw new HoldfastError('HF_SOURCE_DAMAGED', 'the oplog has an applyOps without a list')
  return Array.from(elements(list.bytes), ({ bytes }) => readOperation(bytes))
}

const isSet = (document: Buffer, name: string): boolean => {
  const value = field(document, name)
  return value?.type === BsonType.boolean && value.bytes[0] === 1
}

const headless = ({ time }: OplogEntry): HoldfastError =>
  new HoldfastError('HF_DATA_DAMAGED', `the oplog lacks the beginning of the transaction of ${timeText(time)}`)
