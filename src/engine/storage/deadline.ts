import { HoldfastError } from '../../lib/errors.ts'
import { interruption, throwIfInterrupted } from './interruption.ts'
import type { CallOptions } from './storage.ts'

/** Time for a call that moves nothing. */
const CALL_MS = 120_000
/** A connection slower than this is taken for a broken one. */
const SLOWEST_BYTES_PER_MS = 16

export interface Deadline {
  /** For messages: "cannot read data/ab12cd34 in gs:bucket:/". */
  readonly what: string
  /** How much goes over the wire. */
  readonly bytes?: number
}

/**
 * Makes one call to a server, with a signal that is aborted when the caller's is, or when the call takes longer than on the slowest link
 * there is, so that a server that stops in the middle holds up nobody for ever.
 * @throws HoldfastError HF_INTERRUPTED, HF_STORAGE_UNREACHABLE when it took too long, what `call` throws
 */
export async function withDeadline<T>(
  { what, bytes = 0 }: Deadline,
  { signal }: CallOptions,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  throwIfInterrupted(signal)
  const stop = new AbortController()
  const milliseconds = CALL_MS + Math.ceil(bytes / SLOWEST_BYTES_PER_MS)
  let isLate = false
  const timer = setTimeout(() => {
    isLate = true
    stop.abort()
  }, milliseconds)
  const cancel = (): void => stop.abort()
  signal?.addEventListener('abort', cancel, { once: true })
  try {
    return await call(stop.signal)
  } catch (error) {
    if (signal?.aborted) throw interruption(signal)
    if (!isLate) throw error
    throw new HoldfastError('HF_STORAGE_UNREACHABLE', `${what}: no end came in ${milliseconds / 1000} s`)
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', cancel)
  }
}
