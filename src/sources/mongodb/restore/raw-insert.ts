import { freeNow } from '../../../lib/bytes.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import { numberOf } from '../bson/typed.ts'
import { documentSequence } from '../byte-connection.ts'
import type { CommandOptions, MongoConnection } from '../connection.ts'
import { isAtLeast, type MemberFacts, versionNumbers } from '../member.ts'
import { type Namespace, namespaceText } from '../names.ts'

/** As many as mongorestore sends: what compatible servers announce is more than some of them take. */
const MAX_DOCUMENTS = 1000
/** Of a message, unless one document is larger. Memory that is never touched costs nothing. */
const MAX_BYTES = 4 * 1024 * 1024

/** Documents that were not taken, with the first reason. */
export interface Refused {
  readonly count: number
  readonly message: string
}

export interface RawInsertOptions {
  readonly connection: MongoConnection
  readonly facts: MemberFacts
  readonly namespace: Namespace
  /** Buckets of a time series, which servers from 8.3 on hide under its own name. */
  readonly isBuckets: boolean
  /** Messages under way at the same time: with one, documents lie in the order in which they come. */
  readonly width: number
  readonly signal: AbortSignal | undefined
}

/** Inserts documents of one collection as bytes, many in a message: a server takes as long for ten of them as for one. */
export class RawInsert implements AsyncDisposable {
  readonly #options: RawInsertOptions
  readonly #maxDocuments: number
  readonly #underWay = new Set<Promise<void>>()
  #failure: { readonly error: unknown } | undefined
  /** Of messages that were answered. */
  readonly #free: Buffer[] = []
  /** Of the message in the making. */
  #memory: Buffer = Buffer.alloc(0)
  #bytes = 0
  #count = 0
  #inserted = 0
  #refused = 0
  #message = ''

  constructor(options: RawInsertOptions) {
    this.#options = options
    this.#maxDocuments = Math.min(MAX_DOCUMENTS, options.facts.maxBatchDocuments)
  }

  get inserted(): number {
    return this.#inserted
  }

  get refused(): Refused | undefined {
    return this.#refused === 0 ? undefined : { count: this.#refused, message: this.#message }
  }

  /** Copies whole documents that lie one behind the other. Waits while too many messages are under way. */
  async add(run: Buffer): Promise<void> {
    let start = 0
    for (let at = 0; at < run.length; ) {
      const length = run.readInt32LE(at)
      const isFull = this.#count === this.#maxDocuments || this.#bytes + at - start + length > MAX_BYTES
      if (isFull && this.#count > 0) {
        this.#put(run.subarray(start, at))
        start = at
        await this.#send()
      }
      at += length
      this.#count++
    }
    this.#put(run.subarray(start))
  }

  /** Sends what is left and waits for all. @throws HoldfastError when a message failed */
  async finish(): Promise<void> {
    if (this.#count > 0 && this.#failure === undefined) await this.#send()
    await Promise.all(this.#underWay)
    if (this.#failure !== undefined) throw this.#failure.error
  }

  /** Nothing is written any more once it is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#underWay)
    for (const { buffer } of this.#free.splice(0)) freeNow(buffer)
  }

  #put(run: Buffer): void {
    if (run.length === 0) return
    const needed = this.#bytes + run.length
    if (needed > this.#memory.length) {
      const before = this.#memory.subarray(0, this.#bytes)
      const kept = needed <= MAX_BYTES ? this.#free.pop() : undefined
      this.#memory = kept ?? Buffer.allocUnsafeSlow(Math.max(MAX_BYTES, needed))
      this.#memory.set(before)
    }
    this.#memory.set(run, this.#bytes)
    this.#bytes = needed
  }

  async #send(): Promise<void> {
    const [documents, count] = [this.#memory.subarray(0, this.#bytes), this.#count]
    this.#memory = Buffer.alloc(0)
    this.#bytes = this.#count = 0
    while (this.#underWay.size >= this.#options.width) await Promise.race(this.#underWay)
    if (this.#failure !== undefined) throw this.#failure.error
    const sent: Promise<void> = this.#insert(documents, count)
      // Without an answer the connection may still be reading it.
      .then(() => void this.#free.push(Buffer.from(documents.buffer)))
      .catch((error: unknown) => {
        this.#failure ??= { error }
      })
      .finally(() => this.#underWay.delete(sent))
    this.#underWay.add(sent)
  }

  async #insert(documents: Buffer, count: number): Promise<void> {
    const { connection, facts, namespace, isBuckets, signal } = this.#options
    const isHidden = isBuckets && isAtLeast(facts.version, 8, 3)
    const command = {
      insert: namespace.collection,
      documents: documentSequence(documents),
      ordered: false,
      ...(!isBuckets && { bypassDocumentValidation: true }),
      ...(knowsEmptyTimestamps(facts) && { bypassEmptyTsReplacement: true }),
      ...(isHidden && { rawData: true }),
    }
    const options: CommandOptions = { signal, what: `insert into ${namespaceText(namespace)}` }
    const reply = await connection.command(namespace.database, command, options)
    const errors = Array.isArray(reply.writeErrors) ? reply.writeErrors : []
    const inserted = numberOf(reply.n) ?? 0
    this.#inserted += inserted
    if (inserted === count) return
    this.#refused += count - inserted
    if (this.#message === '') this.#message = String(errors[0]?.errmsg ?? 'the server does not say why')
    if (reply.n === undefined)
      throw new HoldfastError('HF_RESTORE_FAILED', `${connection.place.server} does not say how many documents it took`)
  }
}

/** Versions from which servers keep an empty timestamp as it is when they are asked to (MongoDB manual, release notes). */
const emptyTimestamps: Readonly<Record<number, readonly number[]>> = { 5: [5, 0, 29], 6: [6, 0, 17], 7: [7, 0, 13] }

function knowsEmptyTimestamps({ version, product }: MemberFacts): boolean {
  if (product !== undefined) return false
  const [major] = versionNumbers(version)
  const first = emptyTimestamps[major]
  return major >= 8 || (first !== undefined && isAtLeast(version, ...first))
}
