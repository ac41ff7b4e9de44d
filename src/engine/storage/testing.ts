import type { Clock } from '../../lib/clock.ts'
import { HoldfastError } from '../../lib/errors.ts'

/** For tests: the HoldfastError that a call ends with; an error of its own when it succeeds or fails otherwise. */
export async function errorFrom(call: () => unknown): Promise<HoldfastError> {
  try {
    await call()
  } catch (error) {
    if (error instanceof HoldfastError) return error
    throw error
  }
  throw new Error('the call was expected to fail')
}

/** For tests: time passes only when somebody waits, and then at once. */
export function steppedClock(start = 1_800_000_000_000_000_000n): Clock & { readonly sleeps: number[] } {
  let now = start
  const sleeps: number[] = []
  return {
    sleeps,
    now: () => now,
    sleep: async (milliseconds, signal) => {
      signal?.throwIfAborted()
      sleeps.push(milliseconds)
      now += BigInt(Math.round(milliseconds * 1e6))
    },
  }
}
