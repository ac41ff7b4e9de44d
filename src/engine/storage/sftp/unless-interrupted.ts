import { interruption } from '../interruption.ts'

/** What `work` comes to, or at once what `interruption` says when the signal is aborted before. */
export async function unlessInterrupted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await work
  const { promise, reject } = Promise.withResolvers<never>()
  const abort = (): void => reject(interruption(signal))
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  // Whichever comes second is heard by nobody.
  work.catch(() => undefined)
  promise.catch(() => undefined)
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
