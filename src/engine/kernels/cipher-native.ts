import { toHex } from '../../lib/bytes.ts'
import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import type { NativeFunction, NativeLibrary } from '../../lib/native.ts'
import type { Cipher, MasterKey } from './cipher.ts'
import {
  BLOCK_BYTES,
  checkOpenArguments,
  checkSealArguments,
  hasSealedForm,
  notAuthentic,
  tagMatches,
} from './cipher-checks.ts'
import { freeContexts, freeNow, freeWith } from './native-contexts.ts'

interface Functions {
  readonly newContext: NativeFunction
  readonly freeContext: NativeFunction
  readonly setPadding: NativeFunction
  readonly initialise: NativeFunction
  readonly update: NativeFunction
  readonly aes256Ctr: number
  readonly aes128Ecb: number
  readonly polyInit: NativeFunction
  readonly polyUpdate: NativeFunction
  readonly polyFinal: NativeFunction
}

/** Room for OpenSSL's Poly1305 state, which tells its size; 248 bytes in OpenSSL 3. */
const POLY_STATE_BYTES = 1024

/** undefined: not looked for yet in this thread; null: missing or failed the self-test. */
let functions: Functions | null | undefined

/**
 * AES and Poly1305 by the OpenSSL inside Node: cipher contexts are kept and only get a new nonce per message. undefined when symbols are
 * missing or the self-test fails. The key has been checked by the caller.
 */
export function createNativeCipher(library: NativeLibrary, key: MasterKey): Cipher | undefined {
  if (functions === undefined) functions = findFunctions(library) ?? null
  return functions ? open(functions, key) : undefined
}

function findFunctions(library: NativeLibrary): Functions | undefined {
  const newContext = library.func('EVP_CIPHER_CTX_new', 'uintptr_t', [])
  const freeContext = library.func('EVP_CIPHER_CTX_free', 'void', ['uintptr_t'])
  const setPadding = library.func('EVP_CIPHER_CTX_set_padding', 'int', ['uintptr_t', 'int'])
  const initialise = library.func('EVP_EncryptInit_ex', 'int', [
    'uintptr_t',
    'uintptr_t',
    'uintptr_t',
    'void*',
    'void*',
  ])
  const update = library.func('EVP_EncryptUpdate', 'int', ['uintptr_t', 'void*', 'void*', 'void*', 'int'])
  const aes256Ctr = library.func('EVP_aes_256_ctr', 'uintptr_t', [])
  const aes128Ecb = library.func('EVP_aes_128_ecb', 'uintptr_t', [])
  const polyStateBytes = library.func('Poly1305_ctx_size', 'size_t', [])
  const polyInit = library.func('Poly1305_Init', 'void', ['void*', 'void*'])
  const polyUpdate = library.func('Poly1305_Update', 'void', ['void*', 'void*', 'size_t'])
  const polyFinal = library.func('Poly1305_Final', 'void', ['void*', 'void*'])
  if (!newContext || !freeContext || !setPadding || !initialise || !update || !aes256Ctr || !aes128Ecb) return undefined
  if (!polyStateBytes || polyStateBytes() > POLY_STATE_BYTES || !polyInit || !polyUpdate || !polyFinal) return undefined
  const found: Functions = {
    newContext,
    freeContext,
    setPadding,
    initialise,
    update,
    aes256Ctr: aes256Ctr(),
    aes128Ecb: aes128Ecb(),
    polyInit,
    polyUpdate,
    polyFinal,
  }
  return passesSelfTest(found) ? found : undefined
}

/** Tag of the self-test's message, long enough for the vector code of Poly1305; computed by the portable version. */
const SELF_TEST_TAG = 'e73dfb2820a6f0b7a798b7de8fb08dcf'

function passesSelfTest(candidate: Functions): boolean {
  const counting = (length: number, from: number): Uint8Array => new Uint8Array(length).map((_, i) => from + i)
  const cipher = open(candidate, { encrypt: counting(32, 0), macK: counting(16, 32), macR: counting(16, 48) })
  if (!cipher) return false
  const message = counting(1021, 7)
  const sealed = new Uint8Array(message.length + 2 * BLOCK_BYTES)
  const opened = new Uint8Array(message.length)
  try {
    cipher.seal(counting(16, 1), message, sealed)
    if (toHex(sealed.subarray(-BLOCK_BYTES)) !== SELF_TEST_TAG) return false
    cipher.open(sealed, opened)
    sealed[500]! ^= 1
    return toHex(opened) === toHex(message) && !cipher.authenticates(sealed)
  } catch (error) {
    if (isHoldfastError(error)) return false
    throw error
  } finally {
    cipher.close()
  }
}

function open(native: Functions, key: MasterKey): Cipher | undefined {
  const encryptContext = native.newContext()
  const nonceContext = native.newContext()
  const polyState = new Uint8Array(POLY_STATE_BYTES)
  const oneTimeKey = new Uint8Array(2 * BLOCK_BYTES)
  const secondHalf = oneTimeKey.subarray(BLOCK_BYTES)
  const tag = new Uint8Array(BLOCK_BYTES)
  const written = new Int32Array(1)
  const contexts = [encryptContext, nonceContext].map((address) => ({ address, free: native.freeContext }))
  oneTimeKey.set(key.macR)
  const ready =
    encryptContext !== 0 &&
    nonceContext !== 0 &&
    native.initialise(encryptContext, native.aes256Ctr, 0, key.encrypt, tag) === 1 &&
    native.initialise(nonceContext, native.aes128Ecb, 0, key.macK, null) === 1 &&
    native.setPadding(nonceContext, 0) === 1
  if (!ready) {
    freeContexts(contexts)
    return undefined
  }
  let closed = false
  const assertOpen = (): void => {
    if (closed) throw new HoldfastError('HF_INTERNAL', 'a cipher was used after it was closed')
  }

  const authenticate = (nonce: Uint8Array, ciphertext: Uint8Array, length: number): void => {
    if (native.update(nonceContext, secondHalf, written, nonce, BLOCK_BYTES) !== 1) throw failed()
    native.polyInit(polyState, oneTimeKey)
    if (length > 0) native.polyUpdate(polyState, ciphertext, length)
    native.polyFinal(polyState, tag)
  }
  /** Counter mode is its own inverse. */
  const crypt = (nonce: Uint8Array, input: Uint8Array, output: Uint8Array, length: number): void => {
    if (length === 0) return
    if (native.initialise(encryptContext, 0, 0, null, nonce) !== 1) throw failed()
    if (native.update(encryptContext, output, written, input, length) !== 1) throw failed()
  }
  const authenticates = (sealed: Uint8Array): boolean => {
    assertOpen()
    if (!hasSealedForm(sealed)) return false
    authenticate(sealed, sealed.subarray(BLOCK_BYTES), sealed.length - 2 * BLOCK_BYTES)
    return tagMatches(sealed, tag)
  }

  const cipher: Cipher = {
    seal(nonce, plaintext, output) {
      assertOpen()
      checkSealArguments(nonce, plaintext, output)
      const { length } = plaintext
      const ciphertext = output.subarray(BLOCK_BYTES)
      crypt(nonce, plaintext, ciphertext, length)
      authenticate(nonce, ciphertext, length)
      output.set(nonce)
      output.set(tag, BLOCK_BYTES + length)
      return length + 2 * BLOCK_BYTES
    },
    open(sealed, output) {
      checkOpenArguments(sealed, output)
      if (!authenticates(sealed)) throw notAuthentic(sealed)
      const length = sealed.length - 2 * BLOCK_BYTES
      crypt(sealed, sealed.subarray(BLOCK_BYTES), output, length)
      return length
    },
    authenticates,
    close() {
      if (closed) return
      closed = true
      freeNow(cipher, contexts)
      polyState.fill(0)
      oneTimeKey.fill(0)
    },
  }
  freeWith(cipher, contexts)
  return cipher
}

const failed = (): HoldfastError =>
  new HoldfastError('HF_INTERNAL', 'OpenSSL refused to encrypt with a prepared context')
