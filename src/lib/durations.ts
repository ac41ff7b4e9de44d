import { HoldfastError } from './errors.ts'
import { addDate, type Timestamp } from './go-time.ts'

/** restic's duration for retention, `1y5m7d2h`: calendar units, so that a month back from 31 March is what people mean. */
export interface CalendarDuration {
  readonly years: number
  readonly months: number
  readonly days: number
  readonly hours: number
}

export const NO_DURATION: CalendarDuration = { years: 0, months: 0, days: 0, hours: 0 }

const calendarUnits: Readonly<Record<string, keyof CalendarDuration>> = {
  y: 'years',
  m: 'months',
  d: 'days',
  h: 'hours',
}

/**
 * Parses `1y5m7d2h`: any of the units in any order, the last one of a kind counts; empty is no duration.
 * Negative numbers are refused, as nothing that takes a duration allows them.
 * @throws HoldfastError HF_PATTERN_INVALID
 */
export function parseCalendarDuration(text: string): CalendarDuration {
  const duration = { ...NO_DURATION }
  const trimmed = text.trim()
  const parts = trimmed.match(/\d{1,9}[ymdh]/g) ?? []
  if (parts.join('') !== trimmed)
    throw new HoldfastError('HF_PATTERN_INVALID', `${JSON.stringify(text)} is no duration`, {
      hint: 'Write years, months, days and hours like 1y5m7d2h.',
    })
  for (const part of parts) duration[calendarUnits[part.at(-1)!]!] = Number(part.slice(0, -1))
  return duration
}

/** `1y5m7d2h`; empty for no duration. */
export function formatCalendarDuration({ years, months, days, hours }: CalendarDuration): string {
  const part = (count: number, unit: string): string => (count === 0 ? '' : `${count}${unit}`)
  return part(years, 'y') + part(months, 'm') + part(days, 'd') + part(hours, 'h')
}

export const isNoDuration = ({ years, months, days, hours }: CalendarDuration): boolean =>
  years === 0 && months === 0 && days === 0 && hours === 0

/** The time `duration` before `time`: first the calendar units, then the hours as 60 minutes each. */
export function timeBefore(time: Timestamp, { years, months, days, hours }: CalendarDuration): Timestamp {
  const moved = addDate(time, -years, -months, -days)
  return { ...moved, seconds: moved.seconds - hours * 3600 }
}

const goUnits: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  '\u00b5s': 1_000n,
  '\u03bcs': 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
}
const goPart = /(\d+\.?\d*|\.\d+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)/gy

/**
 * Nanoseconds of a Go duration, `5m30s`, `1.5h`, `-300ms`, as options like `--retry-lock` take.
 * @throws HoldfastError HF_PATTERN_INVALID, also beyond Go's 292 years
 */
export function parseGoDuration(text: string): bigint {
  const sign = text.startsWith('-') ? -1n : 1n
  const unsigned = text.replace(/^[-+]/, '')
  if (unsigned === '0') return 0n
  let total = 0n
  let end = 0
  for (const match of unsigned.matchAll(goPart)) {
    const [whole = '', fraction = ''] = match[1]!.split('.')
    const unit = goUnits[match[2]!]!
    total += BigInt(whole || '0') * unit + (BigInt(fraction || '0') * unit) / 10n ** BigInt(fraction.length)
    end = match.index + match[0].length
  }
  if (end === 0 || end !== unsigned.length || total >= 2n ** 63n)
    throw new HoldfastError('HF_PATTERN_INVALID', `${JSON.stringify(text)} is no duration`, {
      hint: 'Write hours, minutes and seconds like 1h5m30s, or 300ms.',
    })
  return sign * total
}

/** Text of a duration as Go prints it: `0s`, `1.5ms`, `5m30s`, `1h0m0.25s`. */
export function formatGoDuration(nanoseconds: bigint): string {
  const sign = nanoseconds < 0n ? '-' : ''
  const size = nanoseconds < 0n ? -nanoseconds : nanoseconds
  if (size === 0n) return '0s'
  if (size < 1_000n) return `${sign}${size}ns`
  if (size < 1_000_000n) return `${sign}${decimal(size, 3)}\u00b5s`
  if (size < 1_000_000_000n) return `${sign}${decimal(size, 6)}ms`
  const minutes = size / 60_000_000_000n
  const seconds = decimal(size % 60_000_000_000n, 9)
  if (minutes === 0n) return `${sign}${seconds}s`
  if (minutes < 60n) return `${sign}${minutes}m${seconds}s`
  return `${sign}${minutes / 60n}h${minutes % 60n}m${seconds}s`
}

/** `value` divided by a power of ten, without trailing zeros. */
function decimal(value: bigint, digits: number): string {
  const divisor = 10n ** BigInt(digits)
  const fraction = (value % divisor).toString().padStart(digits, '0').replace(/0+$/, '')
  return fraction === '' ? `${value / divisor}` : `${value / divisor}.${fraction}`
}

/** Elapsed time as restic shows it: `0:07`, `12:34`, `1:02:03`. Fractions are cut off. */
export function formatElapsed(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds))
  const two = (n: number): string => String(n).padStart(2, '0')
  const hours = Math.floor(whole / 3600)
  const minutes = Math.floor((whole % 3600) / 60)
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`
}
