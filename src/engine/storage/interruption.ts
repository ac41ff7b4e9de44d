import type { Clock } from '../../lib/clock.ts'
import { HoldfastError } from '../../lib/errors.ts'

/** The error a cancelled call ends with: the signal's own reason when that is a HoldfastError, else HF_INTERRUPTED with the reason as cause. */
export function interruption(signal: AbortSignal): HoldfastError {
  if (signal.reason instanceof HoldfastError) return signal.reason
  return new HoldfastError('HF_INTERRUPTED', 'the operation was cancelled', { cause: signal.reason })
}

/** Ends a call whose signal has been aborted, before it does anything more. */
export function throwIfInterrupted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw interruption(signal)
}

/** Waits on a clock; when the signal is aborted meanwhile, ends with what `interruption` says. */
export async function sleepUnlessInterrupted(
  clock: Clock,
  milliseconds: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    await clock.sleep(milliseconds, signal)
  } catch (error) {
    throw signal?.aborted ? interruption(signal) : error
  }
}
