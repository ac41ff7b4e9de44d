import { Timestamp } from 'mongodb'
import { numberOf } from './bson/typed.ts'

/** A place in the history of a replica set. */
export interface OpTime {
  /** Seconds since the epoch in the upper 32 bits, a counter in the lower ones. */
  readonly time: bigint
  readonly term: number
}

/** As MongoDB people write it: `1700000000:3`. */
export const timeText = (time: bigint): string => `${time >> 32n}:${time & 0xffffffffn}`

/** @throws RangeError */
export function parseTime(text: string): bigint {
  const found = /^(\d{1,10}):(\d{1,10})$/.exec(text)
  if (found === null) throw new RangeError(`no timestamp: ${text}`)
  return (BigInt(found[1]!) << 32n) | BigInt(found[2]!)
}

/** For commands. */
export const timestampOf = (time: bigint): Timestamp => new Timestamp(time)

/** A timestamp as the driver decodes it. */
export function timeOf(value: unknown): bigint | undefined {
  const { _bsontype: type } = (value ?? {}) as { _bsontype?: string }
  return type === 'Timestamp' ? BigInt.asUintN(64, (value as Timestamp).toBigInt()) : undefined
}

/** `{ ts, t }` as hello and the oplog have it. */
export function opTimeOf(value: unknown): OpTime | undefined {
  const { ts, t } = (value ?? {}) as { ts?: unknown; t?: unknown }
  const time = timeOf(ts)
  return time === undefined ? undefined : { time, term: numberOf(t) ?? -1 }
}
