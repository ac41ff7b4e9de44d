import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fromHex, utf8 } from '../../lib/bytes.ts'
import { compressBound, createZstd } from '../kernels/zstd.ts'
import { errorFrom } from '../storage/testing.ts'
import { decodePayload, encodePayload } from './unpacked.ts'

const zstd = createZstd({ level: 3 })

describe('the payload of an unpacked file', () => {
  test('comes back, compressed in version 2 and bare in version 1', () => {
    void fc.assert(
      fc.property(fc.json(), (text) => {
        const json = utf8(`{"x":${text}}`)
        const compressed = encodePayload(json, 2, zstd)
        expect(compressed[0]).toBe(2)
        expect([...decodePayload(compressed, 'it')]).toEqual([...json])
        expect(encodePayload(json, 1, zstd)).toBe(json)
        expect(decodePayload(json, 'it')).toBe(json)
      }),
      { numRuns: 50 },
    )
  })

  test('is read bare in version 2 too, be it an object, a list or nothing', () => {
    for (const text of ['{}', '[1]', '']) expect(decodePayload(utf8(text), 'it')).toEqual(utf8(text))
  })

  test('is read from frames that do not state their size, as restic writes them for few bytes', () => {
    // `{}` as one raw block.
    expect(decodePayload(fromHex('0228b52ffd0000' + '1100007b7d'), 'it')).toEqual(utf8('{}'))
  })

  test.each([
    ['an unknown encoding', Uint8Array.of(3, 1, 2)],
    ['a compressed nothing', Uint8Array.of(2)],
    ['something that is no frame', Uint8Array.of(2, 1, 2, 3, 4, 5, 6, 7)],
    ['half a frame', encodePayload(utf8('{"a":"some text, long enough"}'), 2, zstd).slice(0, -4)],
  ])('with %s is damaged', async (_, payload) => {
    expect((await errorFrom(() => decodePayload(payload, 'index abc'))).code).toBe('HF_DATA_DAMAGED')
  })

  test('cannot be made to fill the memory', async () => {
    const bomb = new Uint8Array(14)
    bomb.set(fromHex('0228b52ffd'))
    bomb[5] = 0xe0 // 8 bytes of content size, one segment
    new DataView(bomb.buffer).setBigUint64(6, 1n << 40n, true)
    expect((await errorFrom(() => decodePayload(bomb, 'index abc'))).code).toBe('HF_DATA_DAMAGED')
    const zeros = new Uint8Array(64 << 20)
    const frame = new Uint8Array(1 + compressBound(zeros.length))
    frame[0] = 2
    const small = frame.subarray(0, 1 + zstd.compress(zeros, frame.subarray(1)))
    expect(small.length).toBeLessThan(10_000)
    expect(decodePayload(small, 'it')).toHaveLength(zeros.length)
  })
})
