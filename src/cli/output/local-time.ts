import { localTimestamp, type Timestamp, toEpochNanoseconds, wallFields } from '../../lib/go-time.ts'
import type { Environment } from '../environment.ts'

/** `2026-01-31 17:04:05` in the zone of this machine, whatever zone the time was noted in. */
export function formatLocalTime(time: Timestamp): string {
  const { year, month, day, hour, minute, second } = wallFields(localTimestamp(toEpochNanoseconds(time)))
  const two = (value: number): string => String(value).padStart(2, '0')
  return `${String(year).padStart(4, '0')}-${two(month)}-${two(day)} ${two(hour)}:${two(minute)}:${two(second)}`
}

/** The zone of this machine as restic names it: what TZ says, or `local time`. */
export function zoneName({ TZ }: Environment): string {
  if (TZ === undefined) return 'local time'
  return TZ.replace(/^:/, '') || 'UTC'
}
