import { HoldfastError } from '../../lib/errors.ts'
import { nativeLibrary } from '../../lib/native.ts'
import { createNativeCipher } from './cipher-native.ts'
import { createPortableCipher } from './cipher-portable.ts'

/** The three keys behind everything a repository stores. `macR` need not be clamped. */
export interface MasterKey {
  /** AES-256 key, 32 bytes. */
  readonly encrypt: Uint8Array
  /** AES-128 key that turns a nonce into the second half of the Poly1305 key, 16 bytes. */
  readonly macK: Uint8Array
  /** First half of the Poly1305 key, 16 bytes. */
  readonly macR: Uint8Array
}

/** Nonce before and tag behind the ciphertext. */
export const CRYPTO_OVERHEAD_BYTES = 32

/**
 * Seals and opens as restic does: AES-256-CTR, authenticated by Poly1305-AES over the ciphertext (D. J. Bernstein, "The Poly1305-AES
 * message-authentication code"). Belongs to one thread. Arguments may be views over shared memory; output must not overlap input.
 */
export interface Cipher {
  /** Writes nonce || ciphertext || tag to `output` and returns its length. The 16-byte nonce must never be used twice. */
  seal(nonce: Uint8Array, plaintext: Uint8Array, output: Uint8Array): number
  /** Writes the plaintext to `output` and returns its length. Verifies first: HF_CRYPTO_AUTH, with nothing written, when that fails. */
  open(sealed: Uint8Array, output: Uint8Array): number
  /** Whether the tag fits, without decrypting. */
  authenticates(sealed: Uint8Array): boolean
  /** Wipes and frees the key schedules now instead of at garbage collection; the object cannot be used afterwards. */
  close(): void
}

/** A cipher for this key: the OpenSSL inside Node called directly, or node:crypto and WebAssembly. HF_KEY_INVALID for an unusable key. */
export function createCipher(key: MasterKey): Cipher {
  assertUsableKey(key)
  const library = nativeLibrary()
  return (library && createNativeCipher(library, key)) ?? createPortableCipher(key)
}

/** A key of wrong size or with a part that is all zero is refused, as restic does. */
function assertUsableKey(key: MasterKey): void {
  const parts: readonly (readonly [string, Uint8Array, number])[] = [
    ['encryption key', key.encrypt, 32],
    ['first authentication key', key.macK, 16],
    ['second authentication key', key.macR, 16],
  ]
  for (const [name, part, length] of parts) {
    if (part.length !== length)
      throw new HoldfastError('HF_KEY_INVALID', `the ${name} has ${part.length} bytes instead of ${length}`)
    if (part.every((byte) => byte === 0)) throw new HoldfastError('HF_KEY_INVALID', `the ${name} is all zero`)
  }
}
