/** Text and byte helpers shared by every layer. */

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export const utf8 = (text: string): Uint8Array => encoder.encode(text)

/** Decodes UTF-8, replacing invalid sequences. */
export const fromUtf8 = (bytes: Uint8Array): string =>
  decoder.decode(bytes.buffer instanceof SharedArrayBuffer ? bytes.slice() : bytes)

/** A Buffer over the same memory. */
export const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

export const toHex = (bytes: Uint8Array): string => asBuffer(bytes).toString('hex')

/** Bytes of a hex string; throws RangeError unless it is an even number of hex digits. */
export function fromHex(hex: string): Uint8Array {
  const bytes = Buffer.from(hex, 'hex')
  if (bytes.length * 2 !== hex.length) throw new RangeError(`not a hex string: ${JSON.stringify(hex)}`)
  return bytes
}

/** Byte order comparison, as of file names in a tree: negative, zero or positive. */
export const compareBytes = (a: Uint8Array, b: Uint8Array): number => Buffer.compare(a, b)

export const equalBytes = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && Buffer.compare(a, b) === 0

/**
 * Frees memory that nobody is going to read, rather than when it is collected: V8 looks through its whole heap for every few dozen megabytes
 * outside of it. Views of it are empty from then on.
 */
export function freeNow(memory: ArrayBufferLike): void {
  if (memory instanceof ArrayBuffer) memory.transfer(0)
}
