/** A rate that holds during a part of each day, in the time zone of this machine. */
export interface RateWindow {
  readonly bytesPerSecond: number
  /** Minutes since midnight; absent: always. A window may go beyond midnight. */
  readonly during?: { readonly fromMinute: number; readonly toMinute: number } | undefined
}

/** The first window in force counts; in the time of none there is no limit. */
export type RateSchedule = readonly RateWindow[]

export interface CurrentRate {
  /** undefined: unlimited. */
  readonly bytesPerSecond: number | undefined
  /** So long it surely stays. */
  readonly forMs: number
}

const MINUTE_MS = 60_000

/** @param now nanoseconds since 1970 */
export function rateAt(schedule: RateSchedule, now: bigint): CurrentRate {
  const date = new Date(Number(now / 1_000_000n))
  const minute = date.getHours() * 60 + date.getMinutes()
  const window = schedule.find(({ during }) => during === undefined || isWithin(minute, during))
  const isConstant = schedule.every(({ during }) => during === undefined)
  // Minutes are looked at one by one, so that days on which clocks change need no thought.
  const untilNextMs = MINUTE_MS - (date.getSeconds() * 1000 + date.getMilliseconds())
  return { bytesPerSecond: window?.bytesPerSecond, forMs: isConstant ? Number.POSITIVE_INFINITY : untilNextMs }
}

function isWithin(minute: number, { fromMinute, toMinute }: NonNullable<RateWindow['during']>): boolean {
  return fromMinute < toMinute ? minute >= fromMinute && minute < toMinute : minute >= fromMinute || minute < toMinute
}
