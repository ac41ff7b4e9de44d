import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { LineSum, lineSumText } from './line-sum.ts'

const key = Uint8Array.from({ length: 16 }, (_, i) => i)
const WORD = (1n << 64n) - 1n

/** SipHash-2-4-128 as its authors describe it. */
function plainHash(secret: Uint8Array, message: Uint8Array): bigint {
  const word = (bytes: Uint8Array, at: number): bigint => Buffer.from(bytes).readBigUInt64LE(at)
  const turned = (x: bigint, by: bigint): bigint => ((x << by) | (x >> (64n - by))) & WORD
  const [k0, k1] = [word(secret, 0), word(secret, 8)]
  let v0 = k0 ^ 0x736f6d6570736575n
  let v1 = k1 ^ 0x646f72616e646f6dn ^ 0xeen
  let v2 = k0 ^ 0x6c7967656e657261n
  let v3 = k1 ^ 0x7465646279746573n
  const rounds = (count: number): void => {
    for (let i = 0; i < count; i++) {
      v0 = (v0 + v1) & WORD
      v1 = turned(v1, 13n) ^ v0
      v0 = turned(v0, 32n)
      v2 = (v2 + v3) & WORD
      v3 = turned(v3, 16n) ^ v2
      v0 = (v0 + v3) & WORD
      v3 = turned(v3, 21n) ^ v0
      v2 = (v2 + v1) & WORD
      v1 = turned(v1, 17n) ^ v2
      v2 = turned(v2, 32n)
    }
  }
  const padded = Buffer.alloc((message.length & ~7) + 8)
  padded.set(message)
  padded[padded.length - 1] = message.length & 0xff
  for (let at = 0; at < padded.length; at += 8) {
    v3 ^= word(padded, at)
    rounds(2)
    v0 ^= word(padded, at)
  }
  v2 ^= 0xeen
  rounds(4)
  const low = v0 ^ v1 ^ v2 ^ v3
  v1 ^= 0xddn
  rounds(4)
  return ((v0 ^ v1 ^ v2 ^ v3) << 64n) | low
}

function sumOf(text: Uint8Array, pieces: readonly number[] = []): { readonly sum: bigint; readonly lines: number } {
  const sum = new LineSum(key)
  let at = 0
  for (const size of pieces) {
    sum.update(text.subarray(at, at + size))
    at += size
  }
  sum.update(text.subarray(at))
  return { sum: sum.sum, lines: sum.lines }
}

describe('the sum of lines', () => {
  test('is SipHash of one line, as its authors published it', () => {
    // The first two of the reference implementation's vectors for 128 bits: messages "" and 00.
    const published = ['a3817f04ba25a8e66df67214c7550293', 'da87c1d86b99af44347659119b22fc45']
    for (const [length, hex] of published.entries()) {
      const { sum } = sumOf(Uint8Array.of(...Array.from({ length }, (_, i) => i), 10))
      const bytes = Buffer.alloc(16)
      bytes.writeBigUInt64LE(sum & WORD)
      bytes.writeBigUInt64LE(sum >> 64n, 8)
      expect(bytes.toString('hex')).toBe(hex)
    }
  })

  test('adds up the hashes of lines, however the text is cut', () => {
    // Bytes beside the newline's value would show a search for it that is off by a bit.
    const byte = fc.oneof(fc.constantFrom(10, 9, 11, 0x8a, 0x0b, 0, 255), fc.integer({ min: 0, max: 255 }))
    const text = fc.array(byte, { maxLength: 300 }).map((bytes) => Uint8Array.from(bytes))
    fc.assert(
      fc.property(text, fc.array(fc.nat(20), { maxLength: 20 }), (bytes, pieces) => {
        const lines = Buffer.from(bytes).toString('latin1').split('\n').slice(0, -1)
        const hashes = lines.map((line) => plainHash(key, Buffer.from(line, 'latin1')))
        const found = sumOf(bytes, pieces)
        expect(found.lines).toBe(lines.length)
        expect(lineSumText([found.sum])).toBe(lineSumText(hashes))
      }),
      { numRuns: 300 },
    )
  })

  test('does not depend on the order of lines, and on every line', () => {
    const lines = Array.from({ length: 20_000 }, (_, i) => `${i}\t${'x'.repeat(i % 90)}\n`)
    const text = (list: readonly string[]): Buffer => Buffer.from(list.join(''))
    const { sum } = sumOf(text(lines))
    expect(sumOf(text(lines.toReversed())).sum).toBe(sum)
    expect(sumOf(text([...lines.slice(0, -1), lines[0]!])).sum).not.toBe(sum)
    expect(sumOf(text([...lines, lines[0]!, lines[0]!])).sum).not.toBe(sum)
    expect(sumOf(text(lines.with(7, '7\txxxxxxy\n'))).sum).not.toBe(sum)
    const half = [sumOf(text(lines.slice(0, 9))).sum, sumOf(text(lines.slice(9))).sum]
    expect(lineSumText(half)).toBe(lineSumText([sum]))
    // Texts take turns in one memory.
    const [one, other] = [new LineSum(key), new LineSum(key.toReversed())]
    for (const line of lines) {
      one.update(Buffer.from(line))
      other.update(Buffer.from(line))
    }
    expect(one.sum).toBe(sum)
    expect(other.sum).not.toBe(sum)
  })
})
