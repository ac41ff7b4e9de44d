import { systemClock } from '../../lib/clock.ts'
import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import { localTimestamp } from '../../lib/go-time.ts'
import { type Id, shortId } from '../../lib/id.ts'
import { forEachParallel } from '../../lib/parallel.ts'
import { sleepUnlessInterrupted, throwIfInterrupted } from '../storage/interruption.ts'
import { ignoreHangups } from './hangup.ts'
import { HeldLock, type HoldOptions, RACE_WAIT_MS, type RepositoryLock } from './held-lock.ts'
import {
  currentHolder,
  decodeLock,
  describeLock,
  encodeLock,
  isProcessRunning,
  isStaleLock,
  type LockHolder,
  type LockInfo,
} from './lock-file.ts'
import type { LockFiles } from './lock-files.ts'

const FIRST_RETRY_MS = 5_000
const LONGEST_RETRY_MS = 60_000
/** How often unreadable locks are read again, and the first wait before that; it doubles. */
const UNREADABLE_TRIES = 4
const UNREADABLE_WAIT_MS = 5_000
/** A lock that is being written, or was renewed or given back meanwhile. What a store refuses, and what its retries gave up, does not pass. */
const MAY_PASS = ['HF_DATA_DAMAGED', 'HF_CRYPTO_AUTH', 'HF_STORAGE_NOT_FOUND', 'HF_STORAGE_SHORT'] as const
/** How often locks may vanish under our hands before that counts as unreadable. */
const VANISHED_TRIES = 10
const PARALLEL_LOADS = 5

export interface LockOptions extends HoldOptions {
  /** For everything that removes packs, indexes or snapshots. A shared lock only keeps exclusive ones away. */
  readonly exclusive: boolean
  /** How long to keep trying while somebody else holds a lock that excludes ours; 0 by default. */
  readonly retryMs?: number | undefined
  /**
   * Return when our lock is written, and find out meanwhile whether somebody wrote another at the same time: work may begin to read. Until
   * `certain` nothing may be written (`freeze`), and what was read may have been swept away. Only for locks that do not wait.
   */
  readonly early?: boolean | undefined
  readonly holder?: LockHolder | undefined
  /** Cancels waiting for the lock, not the lock once it is held. */
  readonly signal?: AbortSignal | undefined
  /** Called once, before the first wait, with the reason. */
  readonly onWait?: ((conflict: HoldfastError) => void) | undefined
}

/**
 * Takes a lock as restic does (internal/repository/lock_file.go): look for others, write ours, wait, look again. Locks that were left behind
 * count as well, until `unlock` removes them.
 *
 * The lock is renewed in the background until it is released. The work done under it must stop when `signal` of the lock is aborted.
 *
 * @throws HoldfastError HF_REPO_LOCKED when somebody else's lock excludes ours, HF_DATA_DAMAGED or HF_CRYPTO_AUTH when a lock cannot be
 * read, HF_INTERRUPTED, errors of the storage
 */
export async function acquireLock(files: LockFiles, options: LockOptions): Promise<RepositoryLock> {
  const { retryMs = 0, clock = systemClock, signal, onWait } = options
  let leftMs = retryMs
  let waitMs = FIRST_RETRY_MS
  for (;;) {
    try {
      return await tryLock(files, options)
    } catch (error) {
      if (!isHoldfastError(error, 'HF_REPO_LOCKED') || leftMs <= 0) throw error
      if (leftMs === retryMs) onWait?.(error)
      const pauseMs = Math.min(waitMs, leftMs)
      await sleepUnlessInterrupted(clock, pauseMs, signal)
      leftMs -= pauseMs
      waitMs = Math.min(waitMs * 2, LONGEST_RETRY_MS)
    }
  }
}

async function tryLock(files: LockFiles, options: LockOptions): Promise<RepositoryLock> {
  const { exclusive, clock = systemClock, signal, holder = currentHolder() } = options
  const isEarly = options.early && !options.retryMs
  throwIfInterrupted(signal)
  await refuseOthers(files, options, undefined)
  // A restic on this machine asks a process whether it is there by SIGHUP, as soon as it sees the lock.
  const heedHangups = ignoreHangups()
  let id: Id | undefined
  try {
    const time = clock.now()
    const lock: LockInfo = { ...holder, time: localTimestamp(time), exclusive }
    const own = await files.save(encodeLock(lock))
    id = own
    const settle = async (stop: AbortSignal | undefined): Promise<void> => {
      await sleepUnlessInterrupted(clock, RACE_WAIT_MS, stop)
      await refuseOthers(files, { ...options, signal: stop }, own)
    }
    if (isEarly) return new HeldLock(files, lock, id, heedHangups, options, settle)
    await settle(signal)
    return new HeldLock(files, lock, id, heedHangups, options)
  } catch (error) {
    heedHangups()
    if (id !== undefined) await withdraw(files, id, options)
    throw error
  }
}

async function withdraw(files: LockFiles, id: Id, { onWarning }: LockOptions): Promise<void> {
  try {
    await files.remove(id)
  } catch (cause) {
    onWarning?.(
      new HoldfastError('HF_STORAGE_IO', `our lock ${shortId(id)} could not be removed`, {
        cause,
        hint: '"unlock" removes it once this process has ended.',
      }),
    )
  }
}

/** Fails when there is a lock beside `own` that excludes the one we want. */
async function refuseOthers(files: LockFiles, options: LockOptions, own: Id | undefined): Promise<void> {
  const { clock = systemClock, signal } = options
  const harmless = new Set<Id>(own === undefined ? [] : [own])
  let waitMs = UNREADABLE_WAIT_MS
  for (let tries = 1, vanished = 0; ; ) {
    try {
      const others = (await files.list(signal)).filter(({ name, sizeBytes }) => sizeBytes > 0 && !harmless.has(name))
      await forEachParallel(others, PARALLEL_LOADS, async ({ name }) => {
        const other = decodeLock(await files.load(name, signal), name)
        if (options.exclusive || other.exclusive) throw lockedBy(other, name, options)
        harmless.add(name)
      })
      return
    } catch (error) {
      if (!isHoldfastError(error, ...MAY_PASS)) throw error
      // Renewed or released while we looked; a renewed one has another name, which only a new listing shows.
      if (isHoldfastError(error, 'HF_STORAGE_NOT_FOUND') && ++vanished < VANISHED_TRIES) continue
      if (tries++ === UNREADABLE_TRIES) throw unreadable(error)
      await sleepUnlessInterrupted(clock, waitMs, signal)
      waitMs *= 2
    }
  }
}

function lockedBy(
  other: LockInfo,
  id: Id,
  { clock = systemClock, holder = currentHolder() }: LockOptions,
): HoldfastError {
  const how = other.exclusive ? 'exclusively ' : ''
  const stale = isStaleLock(other, clock.now(), holder.hostname, isProcessRunning)
  return new HoldfastError(
    'HF_REPO_LOCKED',
    `the repository is locked ${how}by ${describeLock(other, id, clock.now())}`,
    {
      hint: stale
        ? 'That lock was left behind: "unlock" removes it.'
        : 'Wait until it is finished, or let --retry-lock wait. If that process is gone, "unlock" removes its lock.',
      context: {
        lock: id,
        exclusive: other.exclusive,
        hostname: other.hostname,
        username: other.username,
        pid: other.pid,
      },
    },
  )
}

function unreadable(error: unknown): unknown {
  if (!isHoldfastError(error, 'HF_DATA_DAMAGED', 'HF_CRYPTO_AUTH')) return error
  return new HoldfastError(
    error.code,
    `a lock file cannot be read, so nobody knows what it excludes: ${error.message}`,
    {
      cause: error,
      hint: 'When nothing else uses the repository, "unlock --remove-all" removes it.',
      context: error.context,
    },
  )
}
