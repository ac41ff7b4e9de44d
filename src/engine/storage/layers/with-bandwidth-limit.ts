import { type Clock, systemClock } from '../../../lib/clock.ts'
import { sleepUnlessInterrupted } from '../interruption.ts'
import type { FileRef, Storage } from '../storage.ts'
import type { TransferLimits } from '../store-settings.ts'
import { type CurrentRate, type RateSchedule, rateAt } from './rate-schedule.ts'
import { withoutDirectory } from './without-directory.ts'

export interface BandwidthLimitOptions {
  /** Unlimited when absent. */
  readonly uploadBytesPerSecond?: number | undefined
  readonly downloadBytesPerSecond?: number | undefined
  readonly clock?: Clock
}

/**
 * Keeps the mean rate of written and of read bytes below a limit. Calls are delayed as a whole: one file still crosses at full speed, the next
 * one waits for it. Lock files are neither delayed nor counted, because a lock must be renewed in time.
 */
export function withBandwidthLimit(storage: Storage, options: BandwidthLimitOptions): Storage {
  const { uploadBytesPerSecond, downloadBytesPerSecond, clock } = options
  const always = (bytesPerSecond: number | undefined): RateSchedule =>
    bytesPerSecond === undefined ? [] : [{ bytesPerSecond }]
  return withBandwidthSchedule(
    storage,
    { up: always(uploadBytesPerSecond), down: always(downloadBytesPerSecond) },
    clock,
  )
}

/** The same with limits that depend on the time of day; a call that waits goes on when its limit ends. */
export function withBandwidthSchedule(
  storage: Storage,
  { up = [], down = [] }: TransferLimits,
  clock: Clock = systemClock,
): Storage {
  const upload = up.length === 0 ? undefined : new Meter(up, clock)
  const download = down.length === 0 ? undefined : new Meter(down, clock)
  const isExempt = (file: FileRef): boolean => file.kind === 'lock'

  return {
    location: storage.location,
    properties: withoutDirectory(storage.properties),
    features: storage.features,
    create: (options) => storage.create(options),
    put: async (file, content, options) => {
      if (!isExempt(file)) await upload?.take(content.length, options?.signal)
      await storage.put(file, content, options)
    },
    get: async (file, range, options) => {
      if (isExempt(file)) return storage.get(file, range, options)
      if (range !== undefined) await download?.take(range.length, options?.signal)
      const bytes = await storage.get(file, range, options)
      if (range === undefined) await download?.take(bytes.length, options?.signal)
      return bytes
    },
    stat: (file, options) => storage.stat(file, options),
    list: (kind, options) => storage.list(kind, options),
    delete: (file, options) => storage.delete(file, options),
    close: () => storage.close(),
  }
}

/**
 * A token bucket that holds one second's worth and may go into debt: whoever draws waits until all that was drawn before and what he draws has been
 * paid for.
 */
class Meter {
  readonly #schedule: RateSchedule
  readonly #clock: Clock
  /** Bytes, both since the beginning. */
  #drawn = 0
  #paid: number
  #paidAt: bigint

  constructor(schedule: RateSchedule, clock: Clock) {
    this.#schedule = schedule
    this.#clock = clock
    this.#paidAt = clock.now()
    this.#paid = rateAt(schedule, this.#paidAt).bytesPerSecond ?? 0
  }

  async take(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    this.#pay()
    this.#drawn += bytes
    const target = this.#drawn
    try {
      for (;;) {
        const { bytesPerSecond, forMs } = this.#pay()
        if (bytesPerSecond === undefined || this.#paid >= target) return
        const waitMs = Math.max(1, Math.ceil(((target - this.#paid) / bytesPerSecond) * 1000))
        await sleepUnlessInterrupted(this.#clock, Math.min(waitMs, forMs), signal)
        if (waitMs <= forMs) return
      }
    } catch (error) {
      // What will not cross is not paid for.
      this.#paid += bytes
      throw error
    }
  }

  /** Pays for the time since the last payment, at the rate that holds now. */
  #pay(): CurrentRate {
    const now = this.#clock.now()
    const rate = rateAt(this.#schedule, now)
    // A clock that was set back adds nothing, one that was set forward no more than fills the bucket.
    const seconds = Math.max(0, Number(now - this.#paidAt) / 1e9)
    this.#paidAt = now
    const full = this.#drawn + (rate.bytesPerSecond ?? 0)
    this.#paid = rate.bytesPerSecond === undefined ? full : Math.min(full, this.#paid + seconds * rate.bytesPerSecond)
    return rate
  }
}
