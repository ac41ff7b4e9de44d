import { HoldfastError } from '../../lib/errors.ts'

/** Bytes of a nonce, of a tag, and of half a one-time key. */
export const BLOCK_BYTES = 16

const OVERHEAD_BYTES = 2 * BLOCK_BYTES

/** OpenSSL counts in C ints. */
const MAX_BYTES = 0x7fffffff

/** Refuses arguments that would make `seal` write outside `output`, overwrite its input or use a nonce that cannot be random. */
export function checkSealArguments(nonce: Uint8Array, plaintext: Uint8Array, output: Uint8Array): void {
  if (nonce.length !== BLOCK_BYTES) throw misuse(`a nonce of ${nonce.length} bytes was given`)
  if (isZero(nonce)) throw misuse('an all-zero nonce was given')
  checkOutput(plaintext, output, plaintext.length + OVERHEAD_BYTES)
}

/** Refuses arguments that would make `open` write outside `output` or overwrite its input; HF_CRYPTO_AUTH when there is no room for a tag. */
export function checkOpenArguments(sealed: Uint8Array, output: Uint8Array): void {
  if (sealed.length < OVERHEAD_BYTES) throw notAuthentic(sealed)
  checkOutput(sealed, output, sealed.length - OVERHEAD_BYTES)
}

function checkOutput(input: Uint8Array, output: Uint8Array, neededBytes: number): void {
  if (output.length < neededBytes)
    throw misuse(`${output.length} bytes of output were given where ${neededBytes} are needed`)
  if (input.length > MAX_BYTES) throw misuse(`${input.length} bytes were given at once`)
  if (input.buffer !== output.buffer) return
  const overlaps =
    input.byteOffset < output.byteOffset + neededBytes && output.byteOffset < input.byteOffset + input.length
  if (overlaps && neededBytes > 0) throw misuse('output overlaps input')
}

/** Whether sealed bytes can be authentic at all: long enough, and a nonce that `seal` accepts. */
export const hasSealedForm = (sealed: Uint8Array): boolean =>
  sealed.length >= OVERHEAD_BYTES && sealed.length <= MAX_BYTES && !isZero(sealed)

/** Compares the tag at the end of `sealed` with `tag`, in a time that does not depend on where they differ. */
export function tagMatches(sealed: Uint8Array, tag: Uint8Array): boolean {
  const at = sealed.length - BLOCK_BYTES
  let difference = 0
  for (let i = 0; i < BLOCK_BYTES; i++) difference |= sealed[at + i]! ^ tag[i]!
  return difference === 0
}

export function notAuthentic(sealed: Uint8Array): HoldfastError {
  return new HoldfastError('HF_CRYPTO_AUTH', `${sealed.length} sealed bytes fail their authentication code`, {
    context: { sealedBytes: sealed.length },
  })
}

function isZero(nonce: Uint8Array): boolean {
  for (let i = 0; i < BLOCK_BYTES; i++) if (nonce[i] !== 0) return false
  return true
}

const misuse = (what: string): HoldfastError =>
  new HoldfastError('HF_INTERNAL', `sealing or opening was asked for wrongly: ${what}`)
