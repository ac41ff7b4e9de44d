import fc from 'fast-check'
import { expect, test } from 'vitest'
import { dataRuns } from './zero-runs.ts'

test('what is left out are whole blocks of zeros, and what is written makes the same file', () => {
  const part = fc.record({ isZero: fc.boolean(), length: fc.integer({ min: 1, max: 12_000 }) })
  fc.assert(
    fc.property(fc.array(part, { maxLength: 6 }), fc.integer({ min: 0, max: 20_000 }), (parts, offset) => {
      const bytes = Buffer.concat(parts.map(({ isZero, length }) => Buffer.alloc(length, isZero ? 0 : 1)))
      const file = Buffer.alloc(offset + bytes.length)
      const written = Buffer.alloc(file.length)
      for (const { start, end } of dataRuns(bytes, offset)) {
        expect(end).toBeGreaterThan(start)
        bytes.copy(file, offset + start, start, end)
        written.fill(1, offset + start, offset + end)
      }
      expect(file.subarray(offset).equals(bytes)).toBe(true)
      // A whole block of zeros within the piece is never written.
      for (let block = Math.ceil(offset / 4096); (block + 1) * 4096 <= file.length; block++) {
        const at = block * 4096
        if (file.subarray(at, at + 4096).every((byte) => byte === 0))
          expect(written.subarray(at, at + 4096).includes(1)).toBe(false)
      }
    }),
    { numRuns: 200 },
  )
})
