import { scryptSync } from 'node:crypto'
import fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { fromHex, fromUtf8, toHex, utf8 } from '../../lib/bytes.ts'
import { nativeLibrary } from '../../lib/native.ts'
import { type Cipher, CRYPTO_OVERHEAD_BYTES, createCipher, type MasterKey } from './cipher.ts'
import { createNativeCipher } from './cipher-native.ts'
import { createPortableCipher } from './cipher-portable.ts'
import { sha256Hex } from './sha256.ts'

const library = nativeLibrary()

const kinds: readonly (readonly [string, (key: MasterKey) => Cipher])[] = [
  ...(library ? [['native', (key: MasterKey): Cipher => createNativeCipher(library, key)!] as const] : []),
  ['portable', createPortableCipher],
]

const notAuthentic = expect.objectContaining({ code: 'HF_CRYPTO_AUTH' })
const misuse = expect.objectContaining({ code: 'HF_INTERNAL' })

const counting = (length: number, from: number): Uint8Array => new Uint8Array(length).map((_, i) => from + i)
const key: MasterKey = { encrypt: counting(32, 0), macK: counting(16, 32), macR: counting(16, 48) }
const nonce = (byte: number): Uint8Array => new Uint8Array(16).fill(byte)

function sealed(cipher: Cipher, nonceBytes: Uint8Array, plain: Uint8Array): Uint8Array {
  const output = new Uint8Array(plain.length + CRYPTO_OVERHEAD_BYTES)
  expect(cipher.seal(nonceBytes, plain, output)).toBe(output.length)
  return output
}

function opened(cipher: Cipher, bytes: Uint8Array): Uint8Array {
  const output = new Uint8Array(bytes.length)
  return output.subarray(0, cipher.open(bytes, output))
}

describe.each(kinds)('the %s cipher', (_, create) => {
  test.each([
    [
      'f3f6',
      'ec074c835580741701425b623235add6',
      '851fc40c3467ac0be05cc20404f3f700',
      'fb447350c4e868c52ac3275cf9d4327e',
      'f4c633c3044fc145f84f335cb81953de',
    ],
    [
      '',
      '75deaa25c09f208e1dc4ce6b5cad3fbf',
      'a0f3080000f46400d0c7e9076c834403',
      '61ee09218d29b0aaed7e154a2c5509cc',
      'dd3fab2251f11ac759f0887129cc2ee7',
    ],
    [
      '663cea190ffb83d89593f3f476b6bc24d7e679107ea26adb8caf6652d0656136',
      '6acb5f61a7176dd320c5c1eb2edcdc74',
      '48443d0bb0d21109c89a100b5ce2c208',
      'ae212a55399729595dea458bc621ff0e',
      '0ee1c16bb73f0f4fd19881753c01cdbe',
    ],
  ])("accepts the tags of the Poly1305-AES paper: message '%s'", (message, k, r, nonceHex, tag) => {
    const cipher = create({ encrypt: key.encrypt, macK: fromHex(k), macR: fromHex(r) })
    expect(cipher.authenticates(fromHex(nonceHex + message + tag))).toBe(true)
    expect(cipher.authenticates(fromHex(nonceHex + message + tag.replace(/^./, '0')))).toBe(tag.startsWith('0'))
  })

  test("opens restic's test message", () => {
    const cipher = create({
      encrypt: fromHex('303e8687b1d7db18421bdc6bb8588ccadac4d59ee87b8ff70c44e635790cafef'),
      macK: fromHex('ef4d8824cb80b2bcc5fbff8a9b12a42c'),
      macR: fromHex('cc8d4b948ee0ebfe1d415de921d10353'),
    })
    const message =
      '69fb41c62d12def4593bd71757138606338f621aeaeb39da0fe4f99233f8037a54ea63338a813bcf3f75d8c3cc75dddf8750'
    expect(fromUtf8(opened(cipher, fromHex(message)))).toBe('Dies ist ein Test!')
  })

  test('seals a tree, an empty message, and a whole pack to the known bytes', () => {
    const cipher = create(key)
    const blob = sealed(cipher, nonce(1), utf8('{"nodes":[]}\n'))
    expect(toHex(blob)).toBe(
      '010101010101010101010101010101010ec0664673446199c8fb104021b0ecdce2e3dec01895c9ccb8f0771e97',
    )
    expect(toHex(sealed(cipher, nonce(1), new Uint8Array(0)))).toBe(
      `${'01'.repeat(16)}840de5c2ed2aa2ae1de784207f23addd`,
    )
    const entry = fromHex(`012d000000${sha256Hex(utf8('{"nodes":[]}\n'))}`)
    const header = sealed(cipher, nonce(2), entry)
    const pack = Buffer.concat([blob, header, fromHex('45000000')])
    expect(pack.length).toBe(118)
    expect(sha256Hex(pack)).toBe('65a0df607d9067e24d38e08e2665e13dd27c632dee08d5cf9a07d227227f2f6e')
    const index = `{"packs":[{"id":"${sha256Hex(pack)}","blobs":[{"id":"${toHex(entry.subarray(5))}","type":"tree","offset":0,"length":45}]}]}\n`
    const indexFile = sealed(cipher, nonce(3), utf8(index))
    expect(indexFile.length).toBe(239)
    expect(sha256Hex(indexFile)).toBe('d447e0a076e71cdf062d4047bd0f46c9773cee55c2dccb2d5faf46e24490e235')
  })

  test('uses a key whose r comes from scrypt without clamping', () => {
    const derived = scryptSync('geheim', counting(64, 0), 64, { N: 1024, r: 8, p: 1 })
    expect(toHex(derived)).toBe(
      'afd9918d07af99c41fe53ea3e2602702a2cc0f1d68f2c224f4f4bdff8a4bea38e522565c84ab5b1070e2da80cfd4ef48e369ce349fb98016146594b711346c99',
    )
    const clamped = new Uint8Array(derived.subarray(48))
    for (const at of [3, 7, 11, 15]) clamped[at]! &= 0x0f
    for (const at of [4, 8, 12]) clamped[at]! &= 0xfc
    expect(toHex(clamped)).not.toBe(toHex(derived.subarray(48)))
    const part = { encrypt: derived.subarray(0, 32), macK: derived.subarray(32, 48) }
    const message = sealed(create({ ...part, macR: derived.subarray(48) }), nonce(9), utf8('message'))
    expect(create({ ...part, macR: clamped }).authenticates(message)).toBe(true)
  })

  test('opens what it sealed, of any size and in shared memory, and so do the others', () => {
    const cipher = create(key)
    const others = kinds.map(([__, other]) => other(key))
    const nonces = fc.uint8Array({ minLength: 16, maxLength: 16 }).filter((bytes) => bytes.some((byte) => byte !== 0))
    const length = fc.oneof(fc.nat(600), fc.nat(200_000))
    fc.assert(
      fc.property(nonces, length, fc.nat(15), (nonceBytes, lengthBytes, offset) => {
        const memory = new Uint8Array(new SharedArrayBuffer(2 * lengthBytes + 100)).subarray(offset)
        const plain = memory.subarray(0, lengthBytes)
        for (let i = 0; i < lengthBytes; i++) plain[i] = (i * 31) >>> 3
        const room = memory.subarray(lengthBytes + 7)
        const bytes = room.subarray(0, cipher.seal(nonceBytes, plain, room))
        for (const other of others) {
          expect(Buffer.compare(sealed(other, nonceBytes, plain), bytes)).toBe(0)
          expect(Buffer.compare(opened(other, bytes), plain)).toBe(0)
        }
      }),
      { numRuns: 60 },
    )
  })

  test('carries the counter across all bytes of the nonce', () => {
    const plain = new Uint8Array(100)
    const first = sealed(create(key), new Uint8Array(16).fill(0xff), plain)
    const second = sealed(create(key), fromHex(`${'00'.repeat(15)}01`), plain.subarray(0, 68))
    // The third block of the one is the first of the other: the counter went from ff..ff over 0 to 1.
    expect(first.subarray(16 + 32, 16 + 32 + 68)).toEqual(second.subarray(16, 16 + 68))
  })

  test('refuses every flipped bit, and every shortening, before it writes anything', () => {
    const cipher = create(key)
    const bytes = sealed(cipher, nonce(5), utf8('a message of more than two blocks of text'))
    const output = new Uint8Array(100)
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const broken = bytes.slice()
      broken[bit >> 3]! ^= 1 << (bit & 7)
      expect(cipher.authenticates(broken)).toBe(false)
      expect(() => cipher.open(broken, output)).toThrow(notAuthentic)
    }
    for (let length = 0; length < bytes.length; length++) {
      expect(cipher.authenticates(bytes.subarray(0, length))).toBe(false)
      expect(() => cipher.open(bytes.subarray(0, length), output)).toThrow(notAuthentic)
    }
    expect(output.every((byte) => byte === 0)).toBe(true)
    expect(cipher.authenticates(bytes)).toBe(true)
  })

  test('refuses what another key sealed', () => {
    const bytes = sealed(create({ ...key, macR: counting(16, 1) }), nonce(5), utf8('message'))
    expect(() => opened(create(key), bytes)).toThrow(notAuthentic)
  })

  test('refuses a nonce of zeros or of the wrong size', () => {
    const cipher = create(key)
    const output = new Uint8Array(100)
    for (const bytes of [new Uint8Array(16), nonce(1).subarray(1), new Uint8Array(17).fill(1)]) {
      expect(() => cipher.seal(bytes, utf8('message'), output)).toThrow(misuse)
    }
    const zero = sealed(cipher, nonce(1), utf8('message'))
    zero.fill(0, 0, 16)
    expect(() => opened(cipher, zero)).toThrow(notAuthentic)
  })

  test('never writes outside its output nor over its input', () => {
    const cipher = create(key)
    const memory = new Uint8Array(200)
    expect(() => cipher.seal(nonce(1), memory.subarray(0, 50), memory.subarray(100, 181))).toThrow(misuse)
    expect(() => cipher.seal(nonce(1), memory.subarray(0, 50), memory.subarray(49))).toThrow(misuse)
    expect(() => cipher.seal(nonce(1), memory.subarray(50, 100), memory.subarray(0, 90))).toThrow(misuse)
    expect(memory.every((byte) => byte === 0)).toBe(true)
    const length = cipher.seal(nonce(1), memory.subarray(150), memory)
    expect(length).toBe(82)
    expect(() => cipher.open(memory.subarray(0, length), new Uint8Array(49))).toThrow(misuse)
    expect(() => cipher.open(memory.subarray(0, length), memory.subarray(81))).toThrow(misuse)
    expect(cipher.open(memory.subarray(0, length), memory.subarray(82))).toBe(50)
  })

  test('is not used after closing', () => {
    const cipher = create(key)
    const bytes = sealed(cipher, nonce(1), utf8('message'))
    cipher.close()
    cipher.close()
    expect(() => sealed(cipher, nonce(1), utf8('message'))).toThrow(misuse)
    expect(() => cipher.authenticates(bytes)).toThrow(misuse)
    expect(() => opened(cipher, bytes)).toThrow(misuse)
  })
})

describe('a key', () => {
  test.each<[string, Partial<MasterKey>]>([
    ['without encryption key', { encrypt: new Uint8Array(32) }],
    ['without k', { macK: new Uint8Array(16) }],
    ['without r', { macR: new Uint8Array(16) }],
    ['too short', { encrypt: counting(31, 1) }],
    ['too long', { macR: counting(17, 1) }],
  ])('%s is refused', (_, part) => {
    expect(() => createCipher({ ...key, ...part })).toThrow(expect.objectContaining({ code: 'HF_KEY_INVALID' }))
  })
})

describe('a cipher', () => {
  afterEach(() => {
    vi.unstubAllEnvs()
  })

  test('is there without the native library', () => {
    vi.stubEnv('HOLDFAST_NATIVE', 'off')
    expect(toHex(sealed(createCipher(key), nonce(1), new Uint8Array(0)))).toMatch(/840de5c2ed2aa2ae1de784207f23addd$/)
  })
})

describe.skipIf(!library)('the native functions', () => {
  test.each([
    ['Poly1305_Final', 'compute something else'],
    ['EVP_EncryptUpdate', 'compute something else'],
    ['EVP_EncryptUpdate', 'are missing'],
    ['Poly1305_Update', 'are missing'],
  ])('%s are refused when they %s', async (name, fault) => {
    vi.resetModules()
    const { createNativeCipher: create } = await import('./cipher-native.ts')
    const broken = {
      ...library!,
      func: (symbol: string, result: string, args: readonly string[]) => {
        if (symbol !== name) return library!.func<never>(symbol, result, args)
        return fault === 'are missing' ? undefined : () => 1 as never
      },
    }
    expect(create(broken, key)).toBeUndefined()
  })
})
