import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { sha256Hex } from '../../kernels/sha256.ts'
import { withFaults } from '../../storage/layers/with-faults.ts'
import { openMemoryStorage } from '../../storage/memory/memory-storage.ts'
import { errorFrom } from '../../storage/testing.ts'
import { rangesOf, readRanges } from './read-ranges.ts'

const blobs = fc.array(fc.record({ offset: fc.nat(10_000), length: fc.nat(500) }))

describe('reading blobs of a pack', () => {
  test('asks for each blob once, whole, in order, and within the limits', () => {
    void fc.assert(
      fc.property(blobs, fc.nat(300), fc.nat(2000), (wanted, gapBytes, requestBytes) => {
        const ranges = [...rangesOf(wanted, { gapBytes, requestBytes })]
        const order = (a: { offset: number }, b: { offset: number }): number => a.offset - b.offset
        expect(ranges.flatMap((range) => range.blobs)).toEqual(wanted.toSorted(order))
        for (const { offset, length, blobs: inside } of ranges) {
          expect(Math.min(...inside.map((blob) => blob.offset))).toBe(offset)
          expect(Math.max(...inside.map((blob) => blob.offset + blob.length))).toBe(offset + length)
          if (inside.length > 1)
            expect(inside.at(-1)!.offset + inside.at(-1)!.length - offset).toBeLessThanOrEqual(requestBytes)
          let end = offset
          for (const blob of inside) {
            expect(blob.offset - end).toBeLessThanOrEqual(gapBytes)
            end = Math.max(end, blob.offset + blob.length)
          }
        }
      }),
    )
  })

  test('gives the bytes of each with few requests', async () => {
    const content = new Uint8Array(5 << 20).map((_, i) => (i * 7) % 251)
    const name = sha256Hex(content)
    const storage = withFaults(openMemoryStorage(), [])
    await storage.put({ kind: 'data', name }, content)
    const wanted = [
      { offset: 4 << 20, length: 1000 },
      { offset: 0, length: 10 },
      { offset: 1000, length: 0 },
      { offset: 900_000, length: 77 },
    ]
    const found: number[] = []
    for await (const { blob, sealed } of readRanges(storage, name, wanted)) {
      expect(sealed).toEqual(content.subarray(blob.offset, blob.offset + blob.length))
      found.push(blob.offset)
    }
    expect(found).toEqual([0, 1000, 900_000, 4 << 20])
    expect(storage.calls.filter((call) => call.startsWith('get'))).toHaveLength(2)
    const beyond = readRanges(storage, name, [{ offset: 5 << 20, length: 1 }])
    expect((await errorFrom(() => beyond.next())).code).toBe('HF_STORAGE_SHORT')
  })
})
