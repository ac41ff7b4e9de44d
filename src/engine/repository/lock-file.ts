import { hostname, userInfo } from 'node:os'
import { utf8 } from '../../lib/bytes.ts'
import { formatGoDuration } from '../../lib/durations.ts'
import { systemErrorCode } from '../../lib/errors.ts'
import { goJson } from '../../lib/go-json.ts'
import { formatTime, type Timestamp, toEpochNanoseconds } from '../../lib/go-time.ts'
import { type Id, shortId } from '../../lib/id.ts'
import { JsonFields } from './json-fields.ts'

/** Who holds a lock. */
export interface LockHolder {
  readonly hostname: string
  readonly username: string
  readonly pid: number
  readonly uid: number
  readonly gid: number
}

/** The content of a lock file. */
export interface LockInfo extends LockHolder {
  /** When it was made or last renewed. */
  readonly time: Timestamp
  readonly exclusive: boolean
}

/** A lock that was not renewed for this long was left behind (nanoseconds). */
export const STALE_AFTER: bigint = 30n * 60_000_000_000n

/** This process. */
export function currentHolder(): LockHolder {
  let user = { username: '', uid: 0, gid: 0 }
  try {
    user = userInfo()
  } catch {
    // An account without an entry in the user database: the lock works without its name.
  }
  return {
    hostname: hostname(),
    username: user.username,
    pid: process.pid,
    uid: Math.max(0, user.uid),
    gid: Math.max(0, user.gid),
  }
}

/** The bytes of a lock file before compression and sealing, as restic writes them. */
export const encodeLock = (lock: LockInfo): Uint8Array => utf8(goJson(lockJson(lock)))

/** The fields of a lock under restic's names and in restic's order. */
export const lockJson = (lock: LockInfo): Readonly<Record<string, unknown>> => ({
  time: formatTime(lock.time),
  exclusive: lock.exclusive,
  hostname: lock.hostname,
  username: lock.username,
  pid: lock.pid,
  uid: lock.uid || undefined,
  gid: lock.gid || undefined,
})

/** @throws HoldfastError HF_DATA_DAMAGED */
export function decodeLock(json: Uint8Array, id: Id): LockInfo {
  const fields = JsonFields.parse(json, `lock ${shortId(id)}`)
  return {
    time: fields.time('time'),
    exclusive: fields.flag('exclusive'),
    hostname: fields.text('hostname'),
    username: fields.text('username'),
    pid: fields.count('pid'),
    uid: fields.count('uid'),
    gid: fields.count('gid'),
  }
}

/** Whether a process of this machine is there, asked without disturbing it. */
export type ProcessProbe = (pid: number) => boolean

export const isProcessRunning: ProcessProbe = (pid) => {
  // 0 and less would address groups of processes.
  if (pid <= 0) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // EPERM: it is there and belongs to somebody else.
    return systemErrorCode(error) === 'EPERM'
  }
}

/** Whether a lock was left behind: not renewed for 30 minutes, or of a process of this machine that is gone. */
export const isStaleLock = (lock: LockInfo, now: bigint, host: string, isRunning: ProcessProbe): boolean =>
  now - toEpochNanoseconds(lock.time) > STALE_AFTER || (lock.hostname === host && !isRunning(lock.pid))

/** `process 12 of root on web1 since 2026-11-21T12:00:00+01:00 (5m3s ago, lock 1a2b3c4d)`. */
export function describeLock(lock: LockInfo, id: Id, now: bigint): string {
  const age = (now - toEpochNanoseconds(lock.time)) / 1_000_000_000n
  const since = formatTime({ ...lock.time, nanoseconds: 0 })
  const owner = lock.username === '' ? '' : ` of ${lock.username}`
  const duration = formatGoDuration(age * 1_000_000_000n)
  return `process ${lock.pid}${owner} on ${lock.hostname || 'an unknown host'} since ${since} (${duration} ago, lock ${shortId(id)})`
}
