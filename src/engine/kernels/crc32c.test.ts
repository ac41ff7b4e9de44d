import { describe, expect, test } from 'vitest'
import { noise } from '../../../test/support/storage-victims.ts'
import {
  advance,
  ChangedChecksum,
  checksumText,
  differenceOf,
  INITIAL_REGISTER,
  parseChecksum,
  shift,
} from './crc32c.ts'

const PAGE = 8192
const crc = (bytes: Uint8Array): number => ~advance(INITIAL_REGISTER, bytes) >>> 0
const words = (bytes: Uint8Array): Int32Array => new Int32Array(Uint8Array.from(bytes).buffer)

test('the checksum is the one everybody knows, and is written as manifests have it', () => {
  expect(crc(Buffer.from('123456789'))).toBe(0xe3069283)
  expect(checksumText(0xe3069283)).toBe('839206e3')
  expect(parseChecksum('839206e3')).toBe(0xe3069283)
  expect(parseChecksum('839206e')).toBeUndefined()
})

test.each([0, 1, 77, PAGE, 1024 ** 3, 2 ** 33 + 1])('%i zero bytes can be put behind and taken back', (count) => {
  const register = advance(INITIAL_REGISTER, noise(1, 100))
  if (count <= PAGE) expect(shift(register, count)).toBe(advance(register, new Uint8Array(count)))
  expect(shift(shift(register, count), -count)).toBe(register)
})

test('the difference of stretches that are mostly the same is that of their bytes', () => {
  for (const [length, places] of [
    [PAGE, [0, 4000, 4001]],
    [PAGE, [256, 511, 512]],
    [PAGE, [PAGE - 1]],
    [PAGE, []],
    [520, [519]],
    [8, [3]],
  ] as const) {
    const before = noise(3, length)
    const after = Uint8Array.from(before)
    for (const place of places) after[place]! ^= 0x5a
    const difference = before.map((byte, i) => byte ^ after[i]!)
    expect(differenceOf(words(before), words(after)), `${places}`).toBe(advance(0, difference))
  }
})

describe('the checksum of a changed file follows from that of the file before', () => {
  test.each<{ readonly what: string; readonly pages: number; readonly now: number; readonly dirty: readonly number[] }>(
    [
      { what: 'nothing changed', pages: 5, now: 5, dirty: [] },
      { what: 'some pages changed', pages: 9, now: 9, dirty: [0, 3, 4, 8] },
      { what: 'it grew', pages: 3, now: 8, dirty: [1, 3, 7] },
      { what: 'it grew by zeros', pages: 3, now: 8, dirty: [] },
      { what: 'it was empty', pages: 0, now: 2, dirty: [0, 1] },
      { what: 'it was cut', pages: 9, now: 4, dirty: [2] },
      { what: 'it was emptied', pages: 9, now: 0, dirty: [] },
    ],
  )('when $what', ({ pages, now, dirty }) => {
    const before = noise(1, pages * PAGE)
    const after = new Uint8Array(now * PAGE)
    after.set(before.subarray(0, after.length))
    const padded = new Uint8Array(after.length)
    padded.set(before.subarray(0, after.length))
    const checksum = new ChangedChecksum(crc(before), before.length, after.length)
    for (const page of dirty.toReversed()) {
      after.set(noise(100 + page, PAGE), page * PAGE)
      const [from, to] = [page * PAGE, (page + 1) * PAGE]
      checksum.differs(to, differenceOf(words(padded.subarray(from, to)), words(after.subarray(from, to))))
    }
    for (let at = after.length; at < before.length; at += 10_000) checksum.cutOff(before.subarray(at, at + 10_000))
    expect(checksum.finish()).toBe(crc(after))
  })
})
