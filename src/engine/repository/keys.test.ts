import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CHEAP_KDF } from '../../../test/support/test-repository.ts'
import { fromHex, fromUtf8, toHex, utf8 } from '../../lib/bytes.ts'
import { isHoldfastError } from '../../lib/errors.ts'
import { parseTime } from '../../lib/go-time.ts'
import { createCipher } from '../kernels/cipher.ts'
import { errorFrom, steppedClock } from '../storage/testing.ts'
import { calibrateKdf, createKeyFile, masterKeyJson, newMasterKey, openKeyFile, parseKeyFile } from './keys.ts'

const ID = 'a'.repeat(64)
const cheap = { kdf: CHEAP_KDF }
const salt = new Uint8Array(64).map((_, i) => i)
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

/** A key file as any program could write it. */
const keyFile = (fields: Record<string, unknown> = {}): Uint8Array =>
  utf8(
    JSON.stringify({
      created: '2026-11-21T12:00:00Z',
      username: 'ann',
      hostname: 'desk',
      kdf: 'scrypt',
      N: 1024,
      r: 8,
      p: 1,
      salt: base64(salt),
      data: base64(new Uint8Array(160)),
      ...fields,
    }),
  )

/** `text` sealed with 64 bytes derived from a password. */
function sealWith(derived: Uint8Array, text: string): string {
  const cipher = createCipher({
    encrypt: derived.subarray(0, 32),
    macK: derived.subarray(32, 48),
    macR: derived.subarray(48),
  })
  const sealed = new Uint8Array(text.length + 32)
  cipher.seal(new Uint8Array(16).fill(1), utf8(text), sealed)
  return base64(sealed)
}

/** The master key of a version 1 repository that restic wrote. */
const resticMaster =
  '{"mac":{"k":"TbkpCBdNYAvAwb+64r8VGw==","r":"Q5V1CnAvBQREgJAOQD40Bw=="},"encrypt":"SjCkTpms+XOUJR5LSsy2G+uO9ngG7H0L+IVwPV4u70A="}'

describe('key derivation', () => {
  // scrypt("geheim", salt 00..3f, r = 8, p = 1), computed by an independent implementation.
  test.each([
    [
      1024,
      'afd9918d07af99c41fe53ea3e2602702a2cc0f1d68f2c224f4f4bdff8a4bea38e522565c84ab5b1070e2da80cfd4ef48e369ce349fb98016146594b711346c99',
    ],
    [
      32768,
      '27933cc8ec79b02eb123bc21e60f7e8ef5ba88d8574d1ae4133b74052386d56d0347f1e1c7fd8c914a16d64771e1828415279e3c02e87d177f4773ecdf4374ef',
    ],
  ])('opens what was sealed with the known result for N = %d', async (N, derived) => {
    const file = parseKeyFile(keyFile({ N, data: sealWith(fromHex(derived), resticMaster) }), ID)
    const master = await openKeyFile(file, 'geheim', ID)
    expect(JSON.stringify(masterKeyJson(master!))).toBe(resticMaster)
    expect(toHex(master!.encrypt)).toBe('4a30a44e99acf97394251e4b4accb61beb8ef67806ec7d0bf885703d5e2eef40')
    expect(await openKeyFile(file, 'Geheim', ID)).toBeUndefined()
  })

  test('is as strong as half a second allows, never weaker than restic demands', async () => {
    const kdf = await calibrateKdf()
    expect(kdf).toMatchObject({ N: 32768, r: 8 })
    expect(kdf.p).toBeGreaterThanOrEqual(1)
    expect(kdf.p).toBeLessThanOrEqual(16)
  })
})

describe('key files', () => {
  test('hold the master key for one password, whatever that is', async () => {
    const master = newMasterKey()
    for (const password of ['correct horse', '', 'zwölf Boxkämpfer 😀', 'x'.repeat(1000), '\0', ' ']) {
      const file = parseKeyFile(await createKeyFile(master, password, cheap), ID)
      expect(await openKeyFile(file, password, ID), password).toEqual(master)
      expect(await openKeyFile(file, `${password}!`, ID), password).toBeUndefined()
    }
  })

  test('say who made them when, in the fields and the order of restic', async () => {
    const clock = steppedClock()
    const json = await createKeyFile(newMasterKey(), 'x', { ...cheap, username: 'ann', hostname: 'desk', clock })
    const fields = JSON.parse(fromUtf8(json)) as Record<string, string>
    expect(Object.keys(fields)).toEqual(['created', 'username', 'hostname', 'kdf', 'N', 'r', 'p', 'salt', 'data'])
    expect(parseTime(fields.created!)?.seconds).toBe(Number(clock.now() / 1_000_000_000n))
    expect(fields).toMatchObject({ username: 'ann', hostname: 'desk', kdf: 'scrypt', ...CHEAP_KDF })
    expect(Buffer.from(fields.salt!, 'base64')).toHaveLength(64)
    expect(Buffer.from(fields.data!, 'base64')).toHaveLength(128 + 32)
    const unnamed = JSON.parse(fromUtf8(await createKeyFile(newMasterKey(), 'x', { ...cheap, username: '' })))
    expect(unnamed.hostname).not.toBe('')
  })

  test('never repeat salt or nonce', async () => {
    const master = newMasterKey()
    const files = await Promise.all([1, 2].map(async () => parseKeyFile(await createKeyFile(master, 'x', cheap), ID)))
    expect(files[0]!.salt).not.toEqual(files[1]!.salt)
    expect(files[0]!.data.subarray(0, 16)).not.toEqual(files[1]!.data.subarray(0, 16))
  })

  test.each<[string, Uint8Array, RegExp]>([
    ['empty', new Uint8Array(0), /is not JSON/],
    ['garbage', new Uint8Array([0xff, 0, 1]), /is not JSON/],
    ['null', utf8('null'), /is not a JSON object/],
    ['a number', utf8('7'), /is not a JSON object/],
    ['another derivation', keyFile({ kdf: 'argon2' }), /unknown key derivation "argon2"/],
    ['no derivation', keyFile({ kdf: undefined }), /unknown key derivation/],
    ['N that is no power of two', keyFile({ N: 1000 }), /N=1000/],
    ['N of 1', keyFile({ N: 1 }), /unacceptable/],
    ['N beyond all memory', keyFile({ N: 2 ** 24 }), /unacceptable/],
    ['N beyond 32 bits', keyFile({ N: 2 ** 40 }), /unacceptable/],
    ['a fraction', keyFile({ r: 1.5 }), /unacceptable/],
    ['a text', keyFile({ p: '1' }), /unacceptable/],
    ['nothing', keyFile({ r: null }), /unacceptable/],
    ['a negative number', keyFile({ p: -1 }), /unacceptable/],
    ['hours of work', keyFile({ N: 2 ** 20, r: 8, p: 256 }), /unacceptable/],
    ['a short salt', keyFile({ salt: base64(salt.subarray(1)) }), /salt of 63/],
    ['no salt', keyFile({ salt: 5 }), /salt of 0/],
    ['no data', keyFile({ data: undefined }), /no sealed master key/],
    ['data too short to be sealed', keyFile({ data: base64(new Uint8Array(31)) }), /no sealed master key/],
  ])('with %s are refused', async (_, json, message) => {
    const error = await errorFrom(() => parseKeyFile(json, ID))
    expect(error.code).toBe('HF_KEY_INVALID')
    expect(error.message).toMatch(message)
    expect(error.message).toMatch(/^key file aaaaaaaa /)
  })

  test.each([
    ['no JSON', 'x'.repeat(40)],
    ['no object', 'null'],
    ['no keys', '{}'],
    ['a short key', resticMaster.replace('SjCk', '')],
    ['a long mac', resticMaster.replace('TbkpC', 'TbkpCAAAAAAA')],
  ])('that hold a master key with %s are refused', async (_, text) => {
    const derived = new Uint8Array(
      Buffer.from(
        'afd9918d07af99c41fe53ea3e2602702a2cc0f1d68f2c224f4f4bdff8a4bea38e522565c84ab5b1070e2da80cfd4ef48e369ce349fb98016146594b711346c99',
        'hex',
      ),
    )
    const file = parseKeyFile(keyFile({ data: sealWith(derived, text) }), ID)
    expect((await errorFrom(() => openKeyFile(file, 'geheim', ID))).code).toBe('HF_KEY_INVALID')
  })

  test('with any change either open as before or not at all', async () => {
    const master = newMasterKey()
    const json = await createKeyFile(master, 'x', cheap)
    await fc.assert(
      fc.asyncProperty(fc.nat(json.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const damaged = json.with(at, json[at]! ^ change)
        try {
          const opened = await openKeyFile(parseKeyFile(damaged, ID), 'x', ID)
          if (opened) expect(opened).toEqual(master)
        } catch (error) {
          if (!isHoldfastError(error, 'HF_KEY_INVALID')) throw error
        }
      }),
      { numRuns: 150 },
    )
  })
})
