/**
 * Times as Go programs write them in JSON (RFC 3339 with up to nine fraction digits and the zone of the writer), which is what snapshots,
 * trees and locks hold. The text is part of hashed bytes, so formatting is exact, including the oddities.
 */

/** An instant with the zone offset it is written in. */
export interface Timestamp {
  /** Whole seconds since the Unix epoch, rounded down; negative before 1970. */
  readonly seconds: number
  /** 0 to 999,999,999. */
  readonly nanoseconds: number
  /** East of Greenwich is positive. Whole minutes, except for local mean times of the nineteenth century. */
  readonly offsetSeconds: number
}

/** The longest text: `9999-12-31T23:59:59.999999999+14:00`. */
export const TIME_TEXT_BYTES = 35

const DAY = 86_400
const FIRST_WALL_SECOND = -62_167_219_200 // 0000-01-01T00:00:00
const LAST_WALL_SECOND = 253_402_300_799 // 9999-12-31T23:59:59
const LAST_DATE_SECOND = 8_640_000_000_000 // what a Date can hold
const MAX_CACHED_DAYS = 50_000

/** The time Go writes for a time that was never set: 0001-01-01T00:00:00Z. */
export const zeroTime: Timestamp = { seconds: -62_135_596_800, nanoseconds: 0, offsetSeconds: 0 }

/** `seconds` and `nanoseconds` since the epoch in the zone of this machine, the year clamped to 0..9999 as restic does for file times. */
export function localTime(seconds: number, nanoseconds: number): Timestamp {
  const offsetSeconds = localOffset(seconds)
  const wall = seconds + offsetSeconds
  if (wall >= FIRST_WALL_SECOND && wall <= LAST_WALL_SECOND) return { seconds, nanoseconds, offsetSeconds }
  return localTimeOfWall(clampWall(wall), nanoseconds)
}

/** The same for nanoseconds since the epoch, as `stat` and the clock give them. */
export function localTimestamp(epochNanoseconds: bigint): Timestamp {
  const { seconds, nanoseconds } = splitNanoseconds(epochNanoseconds)
  return localTime(seconds, nanoseconds)
}

export function utcTimestamp(epochNanoseconds: bigint): Timestamp {
  const { seconds, nanoseconds } = splitNanoseconds(epochNanoseconds)
  return { seconds, nanoseconds, offsetSeconds: 0 }
}

export const toEpochNanoseconds = (time: Timestamp): bigint =>
  BigInt(time.seconds) * 1_000_000_000n + BigInt(time.nanoseconds)

/** Whether both are the same instant, in whatever zones. */
export const sameInstant = (a: Timestamp, b: Timestamp): boolean =>
  a.seconds === b.seconds && a.nanoseconds === b.nanoseconds

/** Order by instant: negative, zero or positive. */
export const compareTimes = (a: Timestamp, b: Timestamp): number =>
  a.seconds - b.seconds || a.nanoseconds - b.nanoseconds

const scratch = Buffer.alloc(TIME_TEXT_BYTES)

/** Go's RFC3339Nano: no trailing zeros in the fraction, `Z` for UTC, seconds of an odd zone offset cut off. */
export function formatTime(time: Timestamp): string {
  return scratch.toString('latin1', 0, writeTime(scratch, 0, time))
}

/** Writes the text of `formatTime` at `position`, at most TIME_TEXT_BYTES; returns the position after it. */
export function writeTime(target: Uint8Array, position: number, time: Timestamp): number {
  let wall = time.seconds + time.offsetSeconds
  if (wall < FIRST_WALL_SECOND || wall > LAST_WALL_SECOND) wall = clampWall(wall)
  const day = Math.floor(wall / DAY)
  const secondOfDay = wall - day * DAY
  const date = dateOfDay(day)
  const century = (date.year / 100) | 0
  let at = twoDigits(target, position, century)
  at = twoDigits(target, at, date.year - century * 100)
  target[at++] = 0x2d
  at = twoDigits(target, at, date.month)
  target[at++] = 0x2d
  at = twoDigits(target, at, date.day)
  target[at++] = 0x54
  const hour = (secondOfDay / 3600) | 0
  const minute = ((secondOfDay - hour * 3600) / 60) | 0
  at = twoDigits(target, at, hour)
  target[at++] = 0x3a
  at = twoDigits(target, at, minute)
  target[at++] = 0x3a
  at = twoDigits(target, at, secondOfDay - hour * 3600 - minute * 60)
  if (time.nanoseconds !== 0) at = writeFraction(target, at, time.nanoseconds)
  if (time.offsetSeconds === 0) {
    target[at++] = 0x5a
    return at
  }
  const offsetMinutes = Math.trunc(time.offsetSeconds / 60)
  const size = Math.abs(offsetMinutes)
  target[at++] = offsetMinutes < 0 ? 0x2d : 0x2b
  at = twoDigits(target, at, (size / 60) | 0)
  target[at++] = 0x3a
  return twoDigits(target, at, size % 60)
}

/** Parses what `formatTime` writes, strictly as Go's JSON decoder does; undefined when it is anything else. */
export function parseTime(text: string): Timestamp | undefined {
  const bytes = Buffer.from(text, 'latin1')
  return bytes.length === text.length && !/[^\x20-\x7e]/.test(text) ? parseTimeAt(bytes, 0, bytes.length) : undefined
}

/** The same for the text in bytes `start` to `end`. */
export function parseTimeAt(bytes: Uint8Array, start: number, end: number): Timestamp | undefined {
  if (end - start < 20 || bytes[start + 4] !== 0x2d || bytes[start + 7] !== 0x2d || bytes[start + 10] !== 0x54)
    return undefined
  if (bytes[start + 13] !== 0x3a || bytes[start + 16] !== 0x3a) return undefined
  const year = readTwo(bytes, start) * 100 + readTwo(bytes, start + 2)
  const month = readTwo(bytes, start + 5)
  const day = readTwo(bytes, start + 8)
  const hour = readTwo(bytes, start + 11)
  const minute = readTwo(bytes, start + 14)
  const second = readTwo(bytes, start + 17)
  // Comparisons with NaN (not two digits) are false, so each test is written to fail on it.
  if (!(year >= 0 && month >= 1 && month <= 12 && day >= 1 && day <= 31 && hour < 24 && minute < 60 && second < 60))
    return undefined
  if (day > 28 && day > daysInMonth(year, month)) return undefined
  let at = start + 19
  let nanoseconds = 0
  if (bytes[at] === 0x2e) {
    const first = ++at
    let scale = 100_000_000
    for (; at < end; at++) {
      const digit = bytes[at]! - 0x30
      if (digit < 0 || digit > 9) break
      nanoseconds += digit * scale
      // Go drops what is finer than a nanosecond.
      scale = scale === 1 ? 0 : scale / 10
    }
    if (at === first) return undefined
  }
  const wall = daysOfDate(year, month, day) * DAY + hour * 3600 + minute * 60 + second
  const mark = bytes[at]
  if (mark === 0x5a) return at + 1 === end ? { seconds: wall, nanoseconds, offsetSeconds: 0 } : undefined
  if ((mark !== 0x2b && mark !== 0x2d) || at + 6 !== end || bytes[at + 3] !== 0x3a) return undefined
  const zoneHour = readTwo(bytes, at + 1)
  const zoneMinute = readTwo(bytes, at + 4)
  if (!(zoneHour < 24 && zoneMinute < 60)) return undefined
  const size = zoneHour * 3600 + zoneMinute * 60
  // Written so that +00:00 and -00:00 both give a positive zero, which prints as Z.
  const offsetSeconds = mark === 0x2d && size > 0 ? -size : size
  return { seconds: wall - offsetSeconds, nanoseconds, offsetSeconds }
}

/** restic's `--time "2006-01-02 15:04:05"` in the zone of this machine; undefined when it is not such a time. */
export function parseLocalTime(text: string): Timestamp | undefined {
  const match = /^(\d{4})-(\d\d)-(\d\d) (\d{1,2}):(\d\d):(\d\d)(?:[.,](\d{1,9})\d*)?$/.exec(text)
  if (match === null) return undefined
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  if (month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) return undefined
  if (hour > 23 || minute > 59 || second > 59) return undefined
  const wall = daysOfDate(year, month, day) * DAY + hour * 3600 + minute * 60 + second
  return localTimeOfWall(wall, Number((match[7] ?? '').padEnd(9, '0')))
}

/** Calendar fields as the clock on the wall of the timestamp's own zone shows them. */
export interface WallFields {
  readonly year: number
  /** 1 to 12. */
  readonly month: number
  readonly day: number
  readonly hour: number
  readonly minute: number
  readonly second: number
}

export function wallFields(time: Timestamp): WallFields {
  const wall = time.seconds + time.offsetSeconds
  const dayNumber = Math.floor(wall / DAY)
  const rest = wall - dayNumber * DAY
  const { year, month, day } = dateOfDay(dayNumber)
  return { year, month, day, hour: Math.floor(rest / 3600), minute: Math.floor((rest % 3600) / 60), second: rest % 60 }
}

/** Days since 1970-01-01 of a proleptic Gregorian date; days beyond the month's end run on into the next month. */
export function daysOfDate(year: number, month: number, day: number): number {
  // Years begin in March, so that the leap day is the last of its year.
  const y = month <= 2 ? year - 1 : year
  const era = Math.floor(y / 400)
  const yearOfEra = y - era * 400
  const dayOfYear = (((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) | 0) + day - 1
  return era * 146_097 + yearOfEra * 365 + ((yearOfEra / 4) | 0) - ((yearOfEra / 100) | 0) + dayOfYear - 719_468
}

/** The instant at which the clock on the wall of this machine's zone shows `wall` (seconds since the epoch as if it were UTC), as Go resolves it. */
export function localTimeOfWall(wall: number, nanoseconds: number): Timestamp {
  const guess = localOffset(wall)
  const offset = guess === 0 ? 0 : localOffset(wall - guess)
  const seconds = wall - offset
  return { seconds, nanoseconds, offsetSeconds: localOffset(seconds) }
}

/**
 * Moves a time by calendar units as Go's AddDate does: the clock on the wall stays, days beyond a month's end run on into the next month.
 * A time that carries this machine's zone offset moves through changes of the clocks, any other keeps its offset.
 */
export function addDate(time: Timestamp, years: number, months: number, days: number): Timestamp {
  const wall = time.seconds + time.offsetSeconds
  const dayNumber = Math.floor(wall / DAY)
  const date = dateOfDay(dayNumber)
  const month = date.month - 1 + months
  const year = date.year + years + Math.floor(month / 12)
  const first = daysOfDate(year, month - Math.floor(month / 12) * 12 + 1, 1)
  const moved = (first + date.day - 1 + days) * DAY + (wall - dayNumber * DAY)
  if (time.offsetSeconds !== 0 && localOffset(time.seconds) === time.offsetSeconds)
    return localTimeOfWall(moved, time.nanoseconds)
  return { ...time, seconds: moved - time.offsetSeconds }
}

function splitNanoseconds(epochNanoseconds: bigint): { seconds: number; nanoseconds: number } {
  const seconds = Number(epochNanoseconds / 1_000_000_000n)
  const nanoseconds = Number(epochNanoseconds % 1_000_000_000n)
  return nanoseconds < 0 ? { seconds: seconds - 1, nanoseconds: nanoseconds + 1_000_000_000 } : { seconds, nanoseconds }
}

// Zone offsets by day since the epoch; NaN for a day on which the offset changes.
const offsets = new Map<number, number>()
let cachedDay = Number.NaN
let cachedOffset = 0

/** Offset of this machine's zone in seconds at an instant. Asking a Date costs half a microsecond, a backup asks 180,000 times. */
function localOffset(seconds: number): number {
  const day = Math.floor(seconds / DAY)
  if (day === cachedDay) return cachedOffset
  let offset = offsets.get(day)
  if (offset === undefined) {
    const atStart = askOffset(day * DAY)
    offset = atStart === askOffset(day * DAY + DAY - 1) ? atStart : Number.NaN
    if (offsets.size >= MAX_CACHED_DAYS) offsets.clear()
    offsets.set(day, offset)
  }
  if (Number.isNaN(offset)) return askOffset(seconds)
  cachedDay = day
  cachedOffset = offset
  return offset
}

function askOffset(seconds: number): number {
  const within = Math.min(Math.max(seconds, -LAST_DATE_SECOND + DAY), LAST_DATE_SECOND - DAY)
  const date = new Date(within * 1000)
  const days = daysOfDate(date.getFullYear(), date.getMonth() + 1, date.getDate())
  return days * DAY + date.getHours() * 3600 + date.getMinutes() * 60 + date.getSeconds() - within
}

/** Replaces only the year; 29 February becomes 1 March where the new year has none. */
function clampWall(wall: number): number {
  const dayNumber = Math.floor(wall / DAY)
  const { year, month, day } = dateOfDay(dayNumber)
  return daysOfDate(year < 0 ? 0 : 9999, month, day) * DAY + (wall - dayNumber * DAY)
}

interface DateFields {
  readonly year: number
  readonly month: number
  readonly day: number
}

let lastDay = Number.NaN
let lastDate: DateFields = { year: 1970, month: 1, day: 1 }

function dateOfDay(dayNumber: number): DateFields {
  if (dayNumber === lastDay) return lastDate
  const shifted = dayNumber + 719_468
  const era = Math.floor(shifted / 146_097)
  const dayOfEra = shifted - era * 146_097
  const yearOfEra =
    ((dayOfEra - ((dayOfEra / 1460) | 0) + ((dayOfEra / 36_524) | 0) - ((dayOfEra / 146_096) | 0)) / 365) | 0
  const dayOfYear = dayOfEra - (365 * yearOfEra + ((yearOfEra / 4) | 0) - ((yearOfEra / 100) | 0))
  const shiftedMonth = ((5 * dayOfYear + 2) / 153) | 0
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
  lastDay = dayNumber
  lastDate = {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - (((153 * shiftedMonth + 2) / 5) | 0) + 1,
  }
  return lastDate
}

function daysInMonth(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
}

function twoDigits(target: Uint8Array, at: number, value: number): number {
  const tens = (value / 10) | 0
  target[at] = 0x30 + tens
  target[at + 1] = 0x30 + value - tens * 10
  return at + 2
}

function writeFraction(target: Uint8Array, at: number, nanoseconds: number): number {
  target[at] = 0x2e
  let rest = nanoseconds
  let end = at + 1
  for (let i = 9; i > 0; i--) {
    const shorter = (rest / 10) | 0
    const digit = rest - shorter * 10
    if (digit !== 0 && end === at + 1) end = at + i + 1
    if (end > at + 1) target[at + i] = 0x30 + digit
    rest = shorter
  }
  return end
}

/** NaN unless both bytes are digits. */
function readTwo(bytes: Uint8Array, at: number): number {
  const tens = bytes[at]! - 0x30
  const ones = bytes[at + 1]! - 0x30
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : Number.NaN
}
