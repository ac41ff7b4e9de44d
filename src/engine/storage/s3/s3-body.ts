import type { CallOptions } from '../storage.ts'

/** A stream of the answer to a request. */
export interface S3Body extends AsyncIterable<Uint8Array> {
  destroy(): void
}

/** So much is asked for before anything has come. */
export const TRUSTED_BYTES: number = 32 << 20

/**
 * Reads an answer of `length` bytes, into `into` if that is as long, else into memory of its own; fewer bytes when the answer ends early, and
 * no more than were announced. Throws the errors of the stream, and any when the signal is aborted.
 */
export async function readBody(
  body: S3Body,
  length: number,
  { signal, into }: Pick<CallOptions, 'signal' | 'into'>,
): Promise<Uint8Array> {
  let bytes = into?.length === length ? into : new Uint8Array(Math.min(length, TRUSTED_BYTES))
  let used = 0
  const stop = (): void => body.destroy()
  signal?.addEventListener('abort', stop, { once: true })
  try {
    for await (const piece of body) {
      if (used + piece.length > length) throw new Error('more bytes came than were announced')
      if (used + piece.length > bytes.length) {
        const larger = new Uint8Array(Math.min(length, Math.max(bytes.length * 2, used + piece.length)))
        larger.set(bytes.subarray(0, used))
        bytes = larger
      }
      bytes.set(piece, used)
      used += piece.length
    }
    signal?.throwIfAborted()
  } finally {
    signal?.removeEventListener('abort', stop)
  }
  return bytes.length === used ? bytes : bytes.slice(0, used)
}
