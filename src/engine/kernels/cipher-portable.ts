import { createCipheriv, createSecretKey } from 'node:crypto'
import { freeNow } from '../../lib/bytes.ts'
import { HoldfastError } from '../../lib/errors.ts'
import type { Cipher, MasterKey } from './cipher.ts'
import {
  BLOCK_BYTES,
  checkOpenArguments,
  checkSealArguments,
  hasSealedForm,
  notAuthentic,
  tagMatches,
} from './cipher-checks.ts'
import { poly1305Wasm } from './poly1305.ts'

/** AES by node:crypto and Poly1305 by WebAssembly. */
export function createPortableCipher(key: MasterKey): Cipher {
  const poly1305 = poly1305Wasm()
  // Key objects make a cipher for a small blob six times cheaper than raw key bytes.
  const encryptKey = createSecretKey(key.encrypt)
  // One ECB cipher serves all nonces: blocks do not depend on each other.
  const nonceCipher = createCipheriv('aes-128-ecb', createSecretKey(key.macK), null).setAutoPadding(false)
  const oneTimeKey = new Uint8Array(2 * BLOCK_BYTES)
  oneTimeKey.set(key.macR)
  const tag = new Uint8Array(BLOCK_BYTES)
  let closed = false

  const assertOpen = (): void => {
    if (closed) throw new HoldfastError('HF_INTERNAL', 'a cipher was used after it was closed')
  }
  const authenticate = (nonce: Uint8Array, ciphertext: Uint8Array): void => {
    oneTimeKey.set(nonceCipher.update(nonce), BLOCK_BYTES)
    poly1305(oneTimeKey, ciphertext, tag)
  }
  /** Counter mode is its own inverse. */
  const crypt = (nonce: Uint8Array, input: Uint8Array, output: Uint8Array, at: number): void => {
    if (input.length === 0) return
    const result = createCipheriv('aes-256-ctr', encryptKey, nonce).update(input)
    output.set(result, at)
    // A large result is memory of its own: give it back now, not at some later collection.
    if (result.length === result.buffer.byteLength) freeNow(result.buffer)
  }
  const authenticates = (sealed: Uint8Array): boolean => {
    assertOpen()
    if (!hasSealedForm(sealed)) return false
    authenticate(sealed.subarray(0, BLOCK_BYTES), sealed.subarray(BLOCK_BYTES, sealed.length - BLOCK_BYTES))
    return tagMatches(sealed, tag)
  }

  return {
    seal(nonce, plaintext, output) {
      assertOpen()
      checkSealArguments(nonce, plaintext, output)
      const end = BLOCK_BYTES + plaintext.length
      crypt(nonce, plaintext, output, BLOCK_BYTES)
      authenticate(nonce, output.subarray(BLOCK_BYTES, end))
      output.set(nonce)
      output.set(tag, end)
      return end + BLOCK_BYTES
    },
    open(sealed, output) {
      checkOpenArguments(sealed, output)
      if (!authenticates(sealed)) throw notAuthentic(sealed)
      const ciphertext = sealed.subarray(BLOCK_BYTES, sealed.length - BLOCK_BYTES)
      crypt(sealed.subarray(0, BLOCK_BYTES), ciphertext, output, 0)
      return ciphertext.length
    },
    authenticates,
    close() {
      closed = true
      oneTimeKey.fill(0)
    },
  }
}
