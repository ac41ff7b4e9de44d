/** Time for the whole program; replaced in tests. Wall-clock nanoseconds since the Unix epoch. */
export interface Clock {
  now(): bigint
  /** Resolves after `milliseconds`, or rejects with the signal's reason. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  now: () => BigInt(Date.now()) * 1_000_000n + subMillisecondNanoseconds(),
  sleep: (milliseconds, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const done = (): void => {
        signal?.removeEventListener('abort', cancel)
        resolve()
      }
      const timer = setTimeout(done, milliseconds)
      const cancel = (): void => {
        clearTimeout(timer)
        reject(signal?.reason)
      }
      signal?.addEventListener('abort', cancel, { once: true })
    }),
}

/** Milliseconds of a clock that only moves forward, for measuring and for rates; never for file or lock times. */
export const monotonicMilliseconds = (): number => performance.now()

function subMillisecondNanoseconds(): bigint {
  const fraction = (performance.timeOrigin + performance.now()) % 1
  return BigInt(Math.floor(fraction * 1_000_000))
}
