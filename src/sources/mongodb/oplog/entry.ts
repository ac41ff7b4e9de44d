import { HoldfastError } from '../../../lib/errors.ts'
import { BsonType, documentOf, elements, field, type RawElement, textOf } from '../bson/raw.ts'

/** One change, as the oplog has it or as it lies in a transaction (mongodb/mongo, repl/oplog_entry.idl). */
export interface OplogOperation {
  /** `i`, `u`, `d`, `c`, `n` and some that only concern one server. */
  readonly op: string
  readonly namespace: string
  readonly o: Buffer
  readonly o2: Buffer | undefined
}

export interface OplogEntry extends OplogOperation {
  readonly time: bigint
  readonly term: number
  readonly session: SessionOfEntry | undefined
  readonly raw: Buffer
}

interface SessionOfEntry {
  /** Session and number of the transaction. */
  readonly key: string
  /** Of the entry before it in the same transaction; 0 when it is the first. */
  readonly previous: bigint
  /** Several writes in one entry, which is no transaction. */
  readonly isVectored: boolean
}

/** @throws HoldfastError HF_SOURCE_DAMAGED when it is no entry of an oplog */
export function readEntry(raw: Buffer): OplogEntry {
  const parts = partsOf(raw)
  const time = parts.get('ts')
  if (time?.type !== BsonType.timestamp) throw noEntry()
  const term = parts.get('t')
  return {
    ...operationOf(parts),
    time: time.bytes.readBigUInt64LE(0),
    term: term?.type === BsonType.int64 ? Number(term.bytes.readBigInt64LE(0)) : -1,
    session: sessionOf(parts),
    raw,
  }
}

/** @throws HoldfastError HF_SOURCE_DAMAGED */
export const readOperation = (raw: Buffer): OplogOperation => operationOf(partsOf(raw))

function operationOf(parts: ReadonlyMap<string, RawElement>): OplogOperation {
  const op = textOf(parts.get('op'))
  const namespace = textOf(parts.get('ns'))
  const o = documentOf(parts.get('o'))
  if (op === undefined || namespace === undefined || o === undefined) throw noEntry()
  return { op, namespace, o, o2: documentOf(parts.get('o2')) }
}

const partsOf = (raw: Buffer): ReadonlyMap<string, RawElement> =>
  new Map(Array.from(elements(raw), (element) => [element.name, element]))

function sessionOf(parts: ReadonlyMap<string, RawElement>): SessionOfEntry | undefined {
  const session = documentOf(parts.get('lsid'))
  const number = parts.get('txnNumber')
  if (session === undefined || number === undefined) return undefined
  const previous = documentOf(parts.get('prevOpTime'))
  const time = previous && field(previous, 'ts')
  const multi = parts.get('multiOpType')
  return {
    key: `${session.toString('latin1')}/${number.bytes.toString('latin1')}`,
    previous: time?.type === BsonType.timestamp ? time.bytes.readBigUInt64LE(0) : 0n,
    isVectored: multi !== undefined && multi.bytes[0] === 1,
  }
}

/** What a command entry does, and to what: `create`, `drop`, `applyOps`. */
export function commandOf({ namespace, o }: OplogOperation): {
  readonly name: string
  readonly database: string
  readonly argument: RawElement
} {
  for (const argument of elements(o))
    return { name: argument.name, database: namespace.slice(0, Math.max(0, namespace.indexOf('.'))), argument }
  throw noEntry()
}

const noEntry = (): HoldfastError =>
  new HoldfastError('HF_SOURCE_DAMAGED', 'the oplog has something that is no entry of an oplog')
