import type { InputStream } from './terminal.ts'

/**
 * What comes in on standard input, until its end.
 * @throws the signal's reason, also while nothing comes
 */
export async function* readInput(input: InputStream, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  signal.throwIfAborted()
  const stop = (): void => {
    input.destroy(signal.reason)
  }
  signal.addEventListener('abort', stop, { once: true })
  try {
    for await (const chunk of input) yield chunk as Uint8Array
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
