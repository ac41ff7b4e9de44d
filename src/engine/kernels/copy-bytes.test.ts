import fc from 'fast-check'
import { expect, test } from 'vitest'
import { copyBytes } from './copy-bytes.ts'

const lengths = [0, 1, 16_383, 16_384, 16_385, 40_000]

test.each([true, false])('copies what Uint8Array does, into shared memory: %s', (isShared) => {
  fc.assert(
    fc.property(
      fc.constantFrom(...lengths),
      fc.nat(70),
      fc.nat(70),
      fc.uint8Array({ minLength: 1, maxLength: 50 }),
      (length, from, at, seed) => {
        const source = Uint8Array.from({ length: from + length }, (_, i) => seed[i % seed.length]! ^ (i >> 8))
        const target = new Uint8Array(new (isShared ? SharedArrayBuffer : ArrayBuffer)(60_000)).subarray(3)
        const expected = Uint8Array.from(target)
        expected.set(source.subarray(from), at)
        copyBytes(target, source.subarray(from), at)
        expect(Buffer.compare(target, expected)).toBe(0)
      },
    ),
  )
})

test.each(lengths.slice(1))('writes nothing when %d bytes do not fit', (length) => {
  const memory = new Uint8Array(new SharedArrayBuffer(length + 100))
  const target = memory.subarray(50, 50 + length)
  expect(() => copyBytes(target, new Uint8Array(length).fill(1), 1)).toThrow(RangeError)
  expect(() => copyBytes(target, new Uint8Array(length).fill(1), -1)).toThrow(RangeError)
  expect(memory.every((byte) => byte === 0)).toBe(true)
})
