import { Timestamp } from 'mongodb'
import { type ApplyOptions, applyOperation, splitNs } from './apply-ops.ts'
import { doc, encode, field } from './bson.ts'
import type { Server } from './context.ts'
import { MongoFailure } from './failure.ts'
import type { OpTime } from './member.ts'
import { toTimestamp } from './timestamps.ts'

/** Session and number of a transaction. */
export interface TransactionId {
  readonly lsid: Buffer
  readonly txnNumber: bigint
}

/** Before the first entry of a transaction. */
const NO_OP_TIME: OpTime = { ts: new Timestamp(0n), t: encode(-1n) }

type State = 'open' | 'inProgress' | 'prepared' | 'committed' | 'aborted'

/**
 * A transaction as the oplog shows it: one `applyOps` entry at its commit; or several, the first ones `partialTxn`; or prepared, and then
 * committed or aborted by another entry. What it does is seen when it is committed.
 */
export class Transaction {
  readonly id: TransactionId
  readonly #server: Server
  #unwritten: Buffer[] = []
  readonly #written: Buffer[] = []
  #previous: OpTime = NO_OP_TIME
  #first: OpTime | undefined
  #state: State = 'open'
  #preparedAt: bigint | undefined

  constructor(server: Server, id: TransactionId) {
    this.#server = server
    this.id = id
  }

  get state(): State {
    return this.#state
  }

  /** Adds an operation: op, ns, o, and o2 as in an oplog entry. @throws MongoFailure when there is no such collection */
  add(op: 'i' | 'u' | 'd', ns: string, o: Buffer, o2?: Buffer): void {
    const { db, name } = splitNs(ns)
    const collection = this.#server.data.catalog.collection(db, name)
    if (collection === undefined)
      throw new MongoFailure(263, `Cannot create namespace ${ns} in multi-document transaction.`)
    const shown = op === 'i' ? doc({ _id: field(o, '_id') }) : o2
    this.#unwritten.push(doc({ op, ns, ui: collection.uuid, o, o2: shown }))
  }

  /** Writes what was added so far into the oplog, as a large transaction does before it is committed. */
  flush(): void {
    this.#log({ applyOps: this.#take(), partialTxn: true })
    this.#record('inProgress')
  }

  /** @returns the time at which it can be committed at the earliest */
  prepare(): bigint {
    this.#preparedAt = this.#log({ applyOps: this.#take(), prepare: true })
    this.#record('prepared')
    return this.#preparedAt
  }

  commit(): void {
    const operations = [...this.#written, ...this.#unwritten]
    if (operations.length === 0) return
    const isLarge = this.#written.length > 0
    const count = isLarge ? { count: encode(BigInt(operations.length)) } : {}
    const prepared = this.#preparedAt
    const at =
      prepared === undefined
        ? this.#log({ applyOps: this.#take(), ...count })
        : this.#log({ commitTransaction: 1, commitTimestamp: toTimestamp(prepared) })
    const options: ApplyOptions = { bypassDocumentValidation: false, alwaysUpsert: false, committedAt: prepared ?? at }
    for (const operation of operations) applyOperation(this.#server, operation, options)
    this.#record('committed')
  }

  abort(): void {
    // What never was in the oplog goes without a trace.
    if (this.#state === 'inProgress' || this.#state === 'prepared') {
      this.#log({ abortTransaction: 1 })
      this.#record('aborted')
    }
    this.#state = 'aborted'
  }

  #take(): readonly Buffer[] {
    const operations = this.#unwritten
    this.#unwritten = []
    this.#written.push(...operations)
    return operations
  }

  #log(o: Readonly<Record<string, unknown>>): bigint {
    const { data } = this.#server
    const { lsid, txnNumber } = this.id
    const more = { lsid, txnNumber: encode(txnNumber), prevOpTime: { ...this.#previous } }
    const at = data.log({ op: 'c', ns: 'admin.$cmd', o: doc(o), more })
    this.#previous = { ts: toTimestamp(at), t: encode(data.oplog?.term ?? -1n) }
    this.#first ??= this.#previous
    return at
  }

  /** As in `config.transactions`, where others see that it is open. */
  #record(state: State): void {
    this.#state = state
    const { data } = this.#server
    const table = data.catalog.collection('config', 'transactions')
    if (table === undefined) return
    const isOpen = state === 'prepared' || state === 'inProgress'
    const record = doc({
      _id: this.id.lsid,
      txnNum: encode(this.id.txnNumber),
      lastWriteOpTime: { ...this.#previous },
      lastWriteDate: data.clock.wall(),
      state,
      startOpTime: isOpen ? { ...this.#first! } : undefined,
    })
    const old = table.byId(field(record, '_id')!)
    if (old === undefined) table.insert(record, data.clock.last)
    else table.replace(old, record, data.clock.last)
  }
}

/** Transactions that clients have open, by session. */
export class Transactions {
  readonly #open = new Map<string, Transaction>()
  readonly #server: () => Server

  constructor(server: () => Server) {
    this.#server = server
  }

  /** The open transaction of a session, begun when `starts`. @throws MongoFailure NoSuchTransaction */
  of(id: TransactionId, starts: boolean): Transaction {
    const key = id.lsid.toString('hex')
    const found = this.#open.get(key)
    if (!starts) {
      if (found?.id.txnNumber === id.txnNumber) return found
      throw new MongoFailure(
        251,
        `Given transaction number ${id.txnNumber} does not match any in-progress transactions.`,
        {
          labels: ['TransientTransactionError'],
        },
      )
    }
    found?.abort()
    const made = new Transaction(this.#server(), id)
    this.#open.set(key, made)
    return made
  }

  end(transaction: Transaction): void {
    this.#open.delete(transaction.id.lsid.toString('hex'))
  }
}
