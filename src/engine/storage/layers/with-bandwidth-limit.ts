import { type Clock, systemClock } from '../../../lib/clock.ts'
import { sleepUnlessInterrupted } from '../interruption.ts'
import type { FileRef, Storage } from '../storage.ts'
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
  const { uploadBytesPerSecond, downloadBytesPerSecond, clock = systemClock } = options
  const upload = uploadBytesPerSecond === undefined ? undefined : new TokenBucket(uploadBytesPerSecond, clock)
  const download = downloadBytesPerSecond === undefined ? undefined : new TokenBucket(downloadBytesPerSecond, clock)
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

/** A token bucket that holds one second's worth and may go into debt: whoever draws waits until the debt before it and its own are paid. */
class TokenBucket {
  readonly #bytesPerSecond: number
  readonly #clock: Clock
  #tokens: number
  #filledAt: bigint

  constructor(bytesPerSecond: number, clock: Clock) {
    this.#bytesPerSecond = bytesPerSecond
    this.#clock = clock
    this.#tokens = bytesPerSecond
    this.#filledAt = clock.now()
  }

  async take(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    const now = this.#clock.now()
    // A clock that was set back adds nothing, one that was set forward no more than fills the bucket.
    const elapsedSeconds = Math.max(0, Number(now - this.#filledAt) / 1e9)
    this.#filledAt = now
    this.#tokens = Math.min(this.#bytesPerSecond, this.#tokens + elapsedSeconds * this.#bytesPerSecond) - bytes
    if (this.#tokens >= 0) return
    try {
      await sleepUnlessInterrupted(this.#clock, (-this.#tokens / this.#bytesPerSecond) * 1000, signal)
    } catch (error) {
      // What will not cross is not paid for.
      this.#tokens += bytes
      throw error
    }
  }
}
