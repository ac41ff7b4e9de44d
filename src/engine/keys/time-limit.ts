import { systemClock } from '../../lib/clock.ts'
import { interruption, throwIfInterrupted } from '../storage/index.ts'
import { keyUnavailable } from './key-failure.ts'

/** A key that does not answer within this time counts as unreachable, so that the next one gets its turn. */
export const KEY_TIMEOUT_MS = 10_000

/**
 * Runs `work` for at most `timeoutMs`, whether or not what it calls listens to its signal.
 * @throws HoldfastError HF_KEY_UNAVAILABLE when the time is over; HF_INTERRUPTED
 */
export async function withTimeLimit<T>(
  title: string,
  { signal, timeoutMs = KEY_TIMEOUT_MS }: { readonly signal?: AbortSignal | undefined; readonly timeoutMs?: number },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  throwIfInterrupted(signal)
  const ended = new AbortController()
  const stop = signal === undefined ? ended.signal : AbortSignal.any([signal, ended.signal])
  const limit = systemClock.sleep(timeoutMs, stop).then(
    () => {
      throw keyUnavailable(title, 'unreachable', `no answer within ${timeoutMs / 1000} s`)
    },
    (error: unknown) => {
      throw signal?.aborted ? interruption(signal) : error
    },
  )
  try {
    return await Promise.race([work(stop), limit])
  } catch (error) {
    throw signal?.aborted ? interruption(signal) : error
  } finally {
    ended.abort()
    limit.catch(() => undefined)
  }
}
