import { type Clock, systemClock } from '../../../lib/clock.ts'
import { HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import { throwIfInterrupted } from '../interruption.ts'
import type { CallOptions, Storage } from '../storage.ts'
import { aroundFeatures } from './around-features.ts'

export interface CircuitBreakerOptions {
  /** So many calls have to fail one after the other; 3 by default. */
  readonly failures?: number
  /** So long nothing is tried; 1 minute by default. */
  readonly restMs?: number
  readonly clock?: Clock
}

/**
 * Stops asking a store that does not answer: when several calls in a row have failed in a way that later may pass, further ones fail at once
 * for a while, with HF_STORAGE_UNREACHABLE. Then one is let through, and when it succeeds, all are.
 *
 * Its place is outside of retries. What counts there is a call that was repeated for as long as is worth it, so an outage that retries live through is
 * never noticed; it spares those who come after, such as the other files of a backup or the removal of its lock, the same long wait once more.
 */
export function withCircuitBreaker(storage: Storage, options: CircuitBreakerOptions = {}): Storage {
  const { failures: limit = 3, restMs = 60_000, clock = systemClock } = options
  let failures = 0
  let closedAt: bigint | undefined
  let isTrying = false
  let lastError: HoldfastError | undefined

  async function through<T>(call: CallOptions | undefined, work: () => Promise<T>): Promise<T> {
    throwIfInterrupted(call?.signal)
    const isOpen = failures >= limit
    if (isOpen) {
      const restedMs = Number((clock.now() - (closedAt ?? 0n)) / 1_000_000n)
      if (isTrying || restedMs < restMs) throw refusal()
      isTrying = true
    }
    try {
      const result = await work()
      failures = 0
      return result
    } catch (error) {
      note(error)
      throw error
    } finally {
      if (isOpen) isTrying = false
    }
  }

  function note(error: unknown): void {
    if (isHoldfastError(error, 'HF_INTERRUPTED')) return
    // An answer that does not please is an answer.
    if (!isHoldfastError(error) || error.retry !== 'later') {
      failures = 0
      return
    }
    failures += 1
    closedAt = clock.now()
    lastError = error
  }

  const refusal = (): HoldfastError =>
    new HoldfastError(
      'HF_STORAGE_UNREACHABLE',
      `${storage.location} is left alone for a while, after ${failures} calls in a row have failed: ${lastError?.message}`,
      { cause: lastError, hint: 'Run it again when the store answers.' },
    )

  async function* throughList<T>(call: CallOptions | undefined, list: () => AsyncIterable<T>): AsyncIterable<T> {
    const items = list()[Symbol.asyncIterator]()
    try {
      for (;;) {
        const next = await through(call, () => items.next())
        if (next.done) return
        yield next.value
      }
    } finally {
      await items.return?.()
    }
  }

  return {
    location: storage.location,
    properties: storage.properties,
    features: aroundFeatures(
      storage.features,
      (_, call, work) => through(call, work),
      (_, call, list) => throughList(call, list),
    ),
    create: (call) => through(call, () => storage.create(call)),
    put: (file, content, call) => through(call, () => storage.put(file, content, call)),
    get: (file, range, call) => through(call, () => storage.get(file, range, call)),
    stat: (file, call) => through(call, () => storage.stat(file, call)),
    list: (kind, call) => throughList(call, () => storage.list(kind, call)),
    delete: (file, call) => through(call, () => storage.delete(file, call)),
    close: () => storage.close(),
  }
}
