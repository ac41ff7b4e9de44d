import { HoldfastError } from '../../../lib/errors.ts'
import { BsonType, elements, field } from '../bson/raw.ts'
import { timeText } from '../op-time.ts'
import { commandOf, type OplogEntry, type OplogOperation, readOperation } from './entry.ts'

/**
 * Takes the entries of an oplog in order and gives each change at the moment it counts: those of a transaction when it is committed, those
 * of an aborted one never.
 */
export class Transactions {
  readonly #open = new Map<string, OplogOperation[]>()

  /** @throws HoldfastError HF_DATA_DAMAGED when the beginning of a transaction is not there */
  operations(entry: OplogEntry): readonly OplogOperation[] {
    if (entry.op !== 'c') return [entry]
    const { name } = commandOf(entry)
    const { session } = entry
    if (name === 'applyOps') {
      const inner = innerOperations(entry)
      if (session === undefined || session.isVectored) return inner
      const before = this.#open.get(session.key)
      if (before === undefined && session.previous !== 0n) throw headless(entry)
      if (isSet(entry.o, 'partialTxn') || isSet(entry.o, 'prepare')) {
        this.#open.set(session.key, [...(before ?? []), ...inner])
        return []
      }
      this.#open.delete(session.key)
      return [...(before ?? []), ...inner]
    }
    if (name === 'commitTransaction') {
      const before = session && this.#open.get(session.key)
      if (before === undefined) throw headless(entry)
      this.#open.delete(session!.key)
      return before
    }
    if (name === 'abortTransaction') {
      if (session !== undefined) this.#open.delete(session.key)
      return []
    }
    return [entry]
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
