import type { FileTime } from '../../engine/posix/attributes.ts'
import type { ByteString } from '../../engine/repository/tree/node.ts'

const DAY_SECONDS = 86_400

/** `app-2026-11-21.log`, `app.log-20261121`, `app.log.2026_11_21.gz`: a date that is not part of a longer number. */
const DATE = /(?<!\d)((?:19|20)\d\d)([-_.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?!\d)/g

/**
 * Whether a log was written since `since`. What says so is the time of modification: rotation and compression keep it. The date in a rotated
 * name only ever adds a file, since it may be the day on which the file was begun; it counts until the end of that day, in any zone.
 * File systems that keep no times show the epoch: such a file is in unless its name has an older date.
 *
 * @param since seconds since the epoch; undefined for everything
 */
export function isInWindow(name: ByteString, { seconds }: FileTime, since: number | undefined): boolean {
  if (since === undefined || seconds >= since) return true
  const date = latestDateIn(name)
  if (date === undefined) return seconds === 0
  return date + 2 * DAY_SECONDS >= since
}

/** The latest date in a name, as the beginning of that day in UTC. */
function latestDateIn(name: ByteString): number | undefined {
  let latest: number | undefined
  for (const [, year, , month, day] of name.matchAll(DATE)) {
    const seconds = Date.UTC(Number(year), Number(month) - 1, Number(day)) / 1000
    if (latest === undefined || seconds > latest) latest = seconds
  }
  return latest
}
