import { pbkdf2Sync, scryptSync } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { utf8 } from '../../lib/bytes.ts'
import { opensslScrypt, scrypt } from './scrypt.ts'
import { mixScryptBlocks } from './scrypt-blocks.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** The vectors of RFC 7914, 12, but for the one that takes a gigabyte. */
const vectors = [
  {
    ...{ password: '', salt: '', cost: { N: 16, r: 1, p: 1 } },
    derived:
      '77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906',
  },
  {
    ...{ password: 'password', salt: 'NaCl', cost: { N: 1024, r: 8, p: 16 } },
    derived:
      'fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640',
  },
  {
    ...{ password: 'pleaseletmein', salt: 'SodiumChloride', cost: { N: 16384, r: 8, p: 1 } },
    derived:
      '7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887',
  },
] as const

/** scrypt on this thread, by our own code. */
function mixed(password: Uint8Array, salt: Uint8Array, N: number, r: number, p: number): string | undefined {
  const blocks = pbkdf2Sync(password, salt, 1, 128 * r * p, 'sha256')
  return mixScryptBlocks(blocks, N, r) ? hex(pbkdf2Sync(password, blocks, 1, 64, 'sha256')) : undefined
}

describe('scrypt', () => {
  test.each(vectors)('derives what RFC 7914 says for $cost', async ({ password, salt, cost, derived }) => {
    expect(mixed(utf8(password), utf8(salt), cost.N, cost.r, cost.p)).toBe(derived)
    expect(hex(await scrypt(utf8(password), utf8(salt), cost, 64))).toBe(derived)
    expect(hex(await opensslScrypt(utf8(password), utf8(salt), cost, 64))).toBe(derived)
  })

  test('derives what OpenSSL does, whatever the parameters', () => {
    const bytes = fc.uint8Array({ maxLength: 100 })
    const cost = fc.record({
      log: fc.integer({ min: 1, max: 8 }),
      r: fc.integer({ min: 1, max: 9 }),
      p: fc.integer({ min: 1, max: 5 }),
    })
    fc.assert(
      fc.property(bytes, bytes, cost, (password, salt, { log, r, p }) => {
        expect(mixed(password, salt, 2 ** log, r, p)).toBe(hex(scryptSync(password, salt, 64, { N: 2 ** log, r, p })))
      }),
    )
  })

  test.each([2, 3, 5])('%d passes are spread over threads and put together again', async (p) => {
    const cost = { N: 16384, r: 8, p }
    const [password, salt] = [utf8('password'), utf8('salt')]
    expect(hex(await scrypt(password, salt, cost, 64))).toBe(hex(await opensslScrypt(password, salt, cost, 64)))
  })
})
