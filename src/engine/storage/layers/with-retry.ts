import { equalBytes } from '../../../lib/bytes.ts'
import { type Clock, systemClock } from '../../../lib/clock.ts'
import { type HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import { randomBelow } from '../../../lib/random.ts'
import { interruption, sleepUnlessInterrupted, throwIfInterrupted } from '../interruption.ts'
import { type CallOptions, describeFile, type FileRef, type Storage } from '../storage.ts'
import { aroundFeatures } from './around-features.ts'

export interface RetryEvent {
  /** `put data/ab12cd34`: for people. */
  readonly call: string
  readonly error: HoldfastError
  /** 1 after the first failure. */
  readonly failures: number
  readonly delayMs: number
}

export interface RetryOptions {
  readonly clock?: Clock
  /** No new attempt starts so long after the first one; 15 minutes by default, as restic. The second attempt is always made. */
  readonly maxElapsedMs?: number
  /** The same while the store has never answered: then it is the location that is wrong, more often than the network; 20 seconds by default. */
  readonly firstAnswerMs?: number
  /** Before the second attempt, doubled for each further one, up to a minute; spread by half of it to either side. */
  readonly initialDelayMs?: number
  readonly onRetry?: (event: RetryEvent) => void
}

const MAX_DELAY_MS = 60_000
/** A store that asks for fewer calls is given so many times the time. */
const THROTTLED_FACTOR = 5
/** No server makes us wait for longer between two attempts. */
const MAX_ASKED_DELAY_MS = 5 * 60_000

/**
 * Repeats calls that failed with `retry: 'later'`, with growing pauses. An attempt may have done its work although its answer was lost, so
 * a repeated `put` that meets the same content, and a repeated `delete` that meets nothing, have succeeded.
 * A repeated listing continues without yielding a file twice; listings of features, whose items have no names, are repeated only while they have
 * yielded nothing. A store that says when to come again (`retryAfterMs` of an error's context) is believed.
 */
export function withRetry(storage: Storage, options: RetryOptions = {}): Storage {
  const {
    clock = systemClock,
    maxElapsedMs = 15 * 60_000,
    firstAnswerMs = 20_000,
    initialDelayMs = 1000,
    onRetry,
  } = options
  let hasAnswered = false

  /** Waits before the next attempt, or throws `error` when there should be none. */
  async function pause(
    call: string,
    error: unknown,
    failures: number,
    start: bigint,
    signal?: AbortSignal,
  ): Promise<void> {
    if (signal?.aborted) throw interruption(signal)
    if (!isHoldfastError(error, 'HF_STORAGE_UNREACHABLE')) hasAnswered = true
    if (!isHoldfastError(error) || error.retry !== 'later' || error.code === 'HF_INTERRUPTED') throw error
    const elapsedMs = Number((clock.now() - start) / 1_000_000n)
    const isThrottled = error.code === 'HF_STORAGE_THROTTLED'
    const plannedMs = Math.min(
      MAX_DELAY_MS,
      (isThrottled ? THROTTLED_FACTOR : 1) * initialDelayMs * 2 ** (failures - 1),
    )
    const spreadMs = Math.round(plannedMs * (0.5 + randomBelow(1001) / 1000))
    const delayMs = Math.max(spreadMs, askedDelayMs(error))
    if (!hasAnswered && elapsedMs + delayMs > firstAnswerMs) throw error
    if (failures > 1 && elapsedMs + delayMs > maxElapsedMs) throw error
    onRetry?.({ call, error, failures, delayMs })
    await sleepUnlessInterrupted(clock, delayMs, signal)
  }

  async function attempts<T>(
    call: string,
    options: CallOptions | undefined,
    attempt: (failures: number) => Promise<T>,
  ): Promise<T> {
    const start = clock.now()
    for (let failures = 0; ; ) {
      throwIfInterrupted(options?.signal)
      try {
        const result = await attempt(failures)
        hasAnswered = true
        return result
      } catch (error) {
        failures += 1
        await pause(call, error, failures, start, options?.signal)
      }
    }
  }

  async function holds(file: FileRef, content: Uint8Array, options: CallOptions | undefined): Promise<boolean> {
    const { sizeBytes } = await storage.stat(file, options)
    return sizeBytes === content.length && equalBytes(await storage.get(file, undefined, options), content)
  }

  return {
    location: storage.location,
    properties: storage.properties,
    features: aroundFeatures(
      storage.features,
      (call, options, work) => attempts(call, options, work),
      async function* (call, options, list) {
        const { items, first } = await attempts(call, options, async () => {
          const items = list()[Symbol.asyncIterator]()
          return { items, first: await items.next() }
        })
        try {
          for (let next = first; !next.done; next = await items.next()) yield next.value
        } finally {
          await items.return?.()
        }
      },
    ),
    create: (options) => attempts('create', options, () => storage.create(options)),
    put: (file, content, options) =>
      attempts(`put ${describeFile(file)}`, options, async (failures) => {
        try {
          await storage.put(file, content, options)
        } catch (error) {
          const mayBeOurs = failures > 0 && isHoldfastError(error, 'HF_STORAGE_EXISTS')
          if (!mayBeOurs || !(await holds(file, content, options))) throw error
        }
      }),
    get: (file, range, options) =>
      attempts(`get ${describeFile(file)}`, options, () => storage.get(file, range, options)),
    stat: (file, options) => attempts(`stat ${describeFile(file)}`, options, () => storage.stat(file, options)),
    delete: (file, options) =>
      attempts(`delete ${describeFile(file)}`, options, async (failures) => {
        try {
          await storage.delete(file, options)
        } catch (error) {
          if (failures === 0 || !isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) throw error
        }
      }),
    list: async function* (kind, options) {
      const yielded = new Set<string>()
      let failures = 0
      let start = clock.now()
      for (;;) {
        throwIfInterrupted(options?.signal)
        try {
          for await (const file of storage.list(kind, options)) {
            if (yielded.has(file.name)) continue
            yielded.add(file.name)
            hasAnswered = true
            yield file
            // Getting on starts the count anew, so that a slow reader does not use up the time for retries.
            failures = 0
          }
          hasAnswered = true
          return
        } catch (error) {
          if (failures === 0) start = clock.now()
          failures += 1
          await pause(`list ${kind}`, error, failures, start, options?.signal)
        }
      }
    },
    close: () => storage.close(),
  }
}

/** How long the store wants not to be asked again. */
function askedDelayMs({ context }: HoldfastError): number {
  const { retryAfterMs } = context
  return typeof retryAfterMs === 'number' && retryAfterMs > 0 ? Math.min(MAX_ASKED_DELAY_MS, retryAfterMs) : 0
}
