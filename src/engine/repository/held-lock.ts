import { type Clock, systemClock } from '../../lib/clock.ts'
import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import { localTimestamp, toEpochNanoseconds } from '../../lib/go-time.ts'
import { type Id, shortId } from '../../lib/id.ts'
import { encodeLock, type LockInfo, STALE_AFTER } from './lock-file.ts'
import type { LockFiles } from './lock-files.ts'

const MINUTE = 60_000_000_000n
/** A lock is renewed this often, and sooner again when that failed. */
const RENEW_AFTER = 5n * MINUTE
const TRY_AGAIN_AFTER = MINUTE
/** Older than this a lock may be taken for stale on a machine whose clock differs a little: it is renewed only with proof that it was not. */
const DOUBTFUL_AFTER = STALE_AFTER - (RENEW_AFTER * 3n) / 2n
/** A renewal that takes longer than this will not come in time. */
const PATIENCE = 5n * MINUTE
/** Timers stand still while a machine sleeps, so the time is looked at this often. */
const POLL_MS = 1_000
const RELEASE_WAIT_MS = 60_000

/** Between writing a lock and looking again for what others did at the same time. */
export const RACE_WAIT_MS = 200

export interface HoldOptions {
  readonly clock?: Clock | undefined
  /** For what does not end the operation: a renewal that has to be tried again, a lock file that could not be removed. */
  readonly onWarning?: ((problem: HoldfastError) => void) | undefined
  /**
   * Stops all writing to the repository until the function it returns is called. Used while it is uncertain whether the lock holds: when it
   * was taken `early`, and after a long standby. When it turns out not to hold, `signal` is aborted before writing could go on.
   */
  readonly freeze?: (() => () => void) | undefined
}

/** A lock that is held. */
export interface RepositoryLock extends AsyncDisposable {
  /** Of the present lock file; changes with every renewal. */
  readonly id: Id
  readonly exclusive: boolean
  /**
   * Resolves when nobody else's lock excludes this one for sure: at once, unless it was taken `early`. Fails with what `acquireLock` fails
   * with, and `signal` is aborted then.
   */
  readonly certain: Promise<void>
  /** Aborted with HF_LOCK_LOST when the lock holds no longer; whatever is done under it must stop at once. */
  readonly signal: AbortSignal
  /** Gives the lock back. Never fails: what goes wrong is a warning. */
  release(): Promise<void>
}

/** Keeps a lock alive in the background, and tells when that failed. */
export class HeldLock implements RepositoryLock {
  readonly #files: LockFiles
  readonly #clock: Clock
  readonly #options: HoldOptions
  readonly #heedHangups: () => void
  readonly #end = new AbortController()
  readonly #lost = new AbortController()
  readonly #watching: Promise<void>
  /** Lock files of ours that should be gone but could not be removed yet. */
  readonly #leftovers = new Set<Id>()
  readonly certain: Promise<void>
  #lock: LockInfo
  #id: Id
  #releasing: Promise<void> | undefined

  /** `settle` finds out whether the lock holds, and stops when the signal is aborted; absent when that is known. */
  constructor(
    files: LockFiles,
    lock: LockInfo,
    id: Id,
    heedHangups: () => void,
    options: HoldOptions,
    settle?: (signal: AbortSignal) => Promise<void>,
  ) {
    this.#files = files
    this.#lock = lock
    this.#id = id
    this.#heedHangups = heedHangups
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.certain = settle ? this.#settle(settle) : Promise.resolve()
    this.#watching = this.#watch()
  }

  get id(): Id {
    return this.#id
  }

  get exclusive(): boolean {
    return this.#lock.exclusive
  }

  get signal(): AbortSignal {
    return this.#lost.signal
  }

  release(): Promise<void> {
    this.#releasing ??= this.#release()
    return this.#releasing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release()
  }

  async #release(): Promise<void> {
    this.#end.abort()
    const enough = new AbortController()
    const settled = this.certain.catch(() => undefined)
    const removal = Promise.all([this.#watching, settled]).then(() => this.#removeOwn([this.#id, ...this.#leftovers]))
    const tooLong = this.#clock.sleep(RELEASE_WAIT_MS, enough.signal).then(
      () => this.#warn(`our lock ${shortId(this.#id)} could not be removed within a minute`, undefined),
      () => undefined,
    )
    await Promise.race([removal, tooLong])
    enough.abort()
    this.#heedHangups()
  }

  #settle(settle: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const thaw = this.#options.freeze?.()
    const certain = settle(this.#end.signal).then(thaw, (error: unknown) => {
      this.#lose(error)
      throw error
    })
    certain.catch(() => undefined)
    return certain
  }

  async #watch(): Promise<void> {
    let nextRenewal = this.#renewedAt + RENEW_AFTER
    while (!this.#end.signal.aborted) {
      try {
        await this.#clock.sleep(POLL_MS, this.#end.signal)
      } catch {
        return
      }
      const now = this.#clock.now()
      const doubtful = now - this.#renewedAt >= DOUBTFUL_AFTER
      // The second condition: the clock was set back, and our lock would not be renewed for as long.
      if (!doubtful && now < nextRenewal && now >= this.#renewedAt) continue
      try {
        await this.#inTime(doubtful ? this.#rescue() : this.#renew())
        nextRenewal = this.#clock.now() + RENEW_AFTER
      } catch (error) {
        if (doubtful || isHoldfastError(error, 'HF_LOCK_LOST')) return this.#lose(error)
        this.#warn(`our lock ${shortId(this.#id)} could not be renewed and will be tried again`, error)
        nextRenewal = this.#clock.now() + TRY_AGAIN_AFTER
      }
    }
  }

  /** When the present lock file says it was made. */
  get #renewedAt(): bigint {
    return toEpochNanoseconds(this.#lock.time)
  }

  /** Puts a new lock file in the place of the old one. */
  async #renew(): Promise<void> {
    await this.#requirePresent()
    const { lock, id } = await this.#saveReplacement()
    await this.#adopt(lock, id)
  }

  /**
   * Renews a lock that others may already take for left behind. It still holds if its file is there before the replacement is written and
   * also some time after: nobody removed it and began work that excludes ours. Until that is known nothing may be written.
   */
  async #rescue(): Promise<void> {
    const thaw = this.#options.freeze?.()
    try {
      await this.#requirePresent()
      const { lock, id } = await this.#saveReplacement()
      try {
        await this.#clock.sleep(RACE_WAIT_MS)
        await this.#requirePresent()
      } catch (error) {
        await this.#removeOwn([id])
        throw error
      }
      await this.#adopt(lock, id)
    } catch (error) {
      // Before writing goes on.
      this.#lose(error)
      throw error
    } finally {
      thaw?.()
    }
  }

  async #requirePresent(): Promise<void> {
    if (!(await this.#files.list()).some(({ name }) => name === this.#id))
      throw new HoldfastError('HF_LOCK_LOST', `our lock ${shortId(this.#id)} was removed by somebody else`, {
        hint: 'Start the operation again. What it has stored is kept and used.',
      })
  }

  async #saveReplacement(): Promise<{ readonly lock: LockInfo; readonly id: Id }> {
    const lock = { ...this.#lock, time: localTimestamp(this.#clock.now()) }
    const id = await this.#files.save(encodeLock(lock))
    // Too late: nobody waits for it any more.
    if (this.#lost.signal.aborted) {
      await this.#removeOwn([id])
      throw this.#lost.signal.reason
    }
    return { lock, id }
  }

  async #adopt(lock: LockInfo, id: Id): Promise<void> {
    this.#leftovers.add(this.#id)
    this.#lock = lock
    this.#id = id
    await this.#removeOwn([...this.#leftovers])
  }

  async #removeOwn(ids: readonly Id[]): Promise<void> {
    for (const id of ids) {
      try {
        await this.#files.remove(id)
      } catch (error) {
        if (!isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) {
          this.#warn(`our lock ${shortId(id)} could not be removed`, error)
          continue
        }
      }
      this.#leftovers.delete(id)
    }
  }

  /** Ends with `work`, or fails when it takes so long that the lock would be stale. */
  async #inTime(work: Promise<void>): Promise<void> {
    const started = this.#clock.now()
    const deadline =
      (started > this.#renewedAt + DOUBTFUL_AFTER ? started : this.#renewedAt + DOUBTFUL_AFTER) + PATIENCE
    const done = new AbortController()
    const expiry = async (): Promise<void> => {
      while (this.#clock.now() < deadline) await this.#clock.sleep(POLL_MS, done.signal)
      throw new HoldfastError('HF_LOCK_LOST', `our lock ${shortId(this.#id)} could not be renewed in time`, {
        hint: 'Check the connection to the storage, then start the operation again. What it has stored is kept and used.',
      })
    }
    try {
      await Promise.race([work, expiry()])
    } finally {
      done.abort()
    }
  }

  #lose(cause: unknown): void {
    if (this.#lost.signal.aborted) return
    this.#lost.abort(
      isHoldfastError(cause, 'HF_LOCK_LOST', 'HF_REPO_LOCKED', 'HF_INTERRUPTED')
        ? cause
        : new HoldfastError('HF_LOCK_LOST', `our lock ${shortId(this.#id)} could not be renewed`, {
            cause,
            hint: 'Check the connection to the storage, then start the operation again. What it has stored is kept and used.',
          }),
    )
  }

  #warn(message: string, cause: unknown): void {
    this.#options.onWarning?.(new HoldfastError('HF_STORAGE_IO', message, { cause }))
  }
}
