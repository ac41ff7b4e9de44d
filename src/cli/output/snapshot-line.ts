import type { StoredSnapshot } from '../../engine/repository/snapshot.ts'
import { formatTime, type Timestamp } from '../../lib/go-time.ts'
import { shortId } from '../../lib/id.ts'

/** `snapshot 79766175 of [/srv] at 2026-01-31 17:04:05.123 +0100 +0100 by ann@web1`, as restic names a snapshot in messages. */
export const snapshotLine = ({ id, paths, time, username, hostname }: StoredSnapshot): string =>
  `snapshot ${shortId(id)} of [${paths.join(' ')}] at ${goTimeText(time)} by ${username}@${hostname}`

/** A time as Go prints it by default, in the zone it was noted in; the zone is known by its offset only. */
export function goTimeText(time: Timestamp): string {
  const [, date, clock, zone] = /^(.+)T(.+?)(Z|[+-]\d\d:\d\d)$/.exec(formatTime(time))!
  const offset = zone!.replace(':', '')
  return `${date} ${clock} ${zone === 'Z' ? '+0000 UTC' : `${offset} ${offset}`}`
}
