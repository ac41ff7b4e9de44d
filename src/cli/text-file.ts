import { HoldfastError } from '../lib/errors.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true })

/**
 * Text of a small file as restic reads it: UTF-8, or UTF-16 when a byte order mark says so; the mark is dropped.
 * @throws HoldfastError HF_USAGE when the bytes are not such text; `what` names the file
 */
export function decodeText(bytes: Uint8Array, what: string): string {
  const mark = (bytes[0]! << 8) | bytes[1]!
  try {
    if (mark === 0xfffe) return new TextDecoder('utf-16le', { fatal: true }).decode(bytes)
    if (mark === 0xfeff) return new TextDecoder('utf-16be', { fatal: true }).decode(bytes)
    return utf8.decode(bytes)
  } catch (cause) {
    throw new HoldfastError('HF_USAGE', `${what} is not text in UTF-8`, { cause, hint: 'store it as UTF-8' })
  }
}
