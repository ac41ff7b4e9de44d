import { describe, expect, test } from 'vitest'
import { fromUtf8, utf8 } from '../../lib/bytes.ts'
import { isIrreducible } from '../kernels/rabin.ts'
import { errorFrom } from '../storage/testing.ts'
import { decodeConfig, encodeConfig, newConfig } from './config.ts'

const id = '0123456789abcdef'.repeat(4)
const json = (fields: Record<string, unknown>): Uint8Array =>
  utf8(JSON.stringify({ version: 2, id, chunker_polynomial: '3da3358b4dc173', ...fields }))

describe('the config file', () => {
  test('is written as restic writes it', () => {
    const config = { version: 2, id, chunkerPolynomial: 0x3da3358b4dc173n } as const
    expect(fromUtf8(encodeConfig(config))).toBe(`{"version":2,"id":"${id}","chunker_polynomial":"3da3358b4dc173"}`)
    expect(decodeConfig(encodeConfig(config))).toEqual(config)
  })

  test('of a new repository has an id and a polynomial of its own, unless one is given', () => {
    const [a, b] = [newConfig(2), newConfig(1)]
    expect(a.id).not.toBe(b.id)
    expect(a.chunkerPolynomial).not.toBe(b.chunkerPolynomial)
    expect(isIrreducible(a.chunkerPolynomial)).toBe(true)
    expect(newConfig(2, 0x25b468838dcb75n).chunkerPolynomial).toBe(0x25b468838dcb75n)
  })

  test('is read with a newline behind it and fields of other programs in it', () => {
    const text = `${fromUtf8(json({ compression: 3, is_hot: true }))}\n`
    expect(decodeConfig(utf8(text))).toEqual({ version: 2, id, chunkerPolynomial: 0x3da3358b4dc173n })
  })

  test.each<[string, Uint8Array, string]>([
    ['version 3', json({ version: 3 }), 'HF_REPO_VERSION'],
    ['version 0', json({ version: 0 }), 'HF_REPO_VERSION'],
    ['no version', json({ version: undefined }), 'HF_REPO_VERSION'],
    ['a version in quotes', json({ version: '2' }), 'HF_REPO_VERSION'],
    ['a short id', json({ id: 'ab' }), 'HF_REPO_CONFIG'],
    ['an id that leads out of the cache', json({ id: '../'.repeat(21) }), 'HF_REPO_CONFIG'],
    ['no id', json({ id: 7 }), 'HF_REPO_CONFIG'],
    ['a reducible polynomial', json({ chunker_polynomial: '38f1e565e288df' }), 'HF_REPO_CONFIG'],
    ['a polynomial that is no number', json({ chunker_polynomial: 'xyz' }), 'HF_REPO_CONFIG'],
    ['a polynomial of zero', json({ chunker_polynomial: '0' }), 'HF_REPO_CONFIG'],
    ['an endless polynomial', json({ chunker_polynomial: 'f'.repeat(100_000) }), 'HF_REPO_CONFIG'],
    ['no polynomial', json({ chunker_polynomial: undefined }), 'HF_REPO_CONFIG'],
    ['nothing in it', new Uint8Array(0), 'HF_REPO_CONFIG'],
    ['no object', utf8('null'), 'HF_REPO_CONFIG'],
    ['no JSON', utf8('{"version":2'), 'HF_REPO_CONFIG'],
  ])('with %s is refused', async (_, bytes, code) => {
    expect((await errorFrom(() => decodeConfig(bytes))).code).toBe(code)
  })
})
