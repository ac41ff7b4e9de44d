import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { degree, isIrreducible, randomPolynomial, remainder } from './polynomial.ts'

/** Carry-less product. */
function product(a: bigint, b: bigint): bigint {
  let sum = 0n
  for (let bit = 0n; b >> bit > 0n; bit++) if ((b >> bit) & 1n) sum ^= a << bit
  return sum
}

describe('polynomials', () => {
  test.each([0x3da3358b4dc173n, 0x25b468838dcb75n, 0x2482734cacca49n, 0b10n, 0b11n, 0b111n, 0b10011n])(
    '%s is irreducible',
    (p) => {
      expect(isIrreducible(p)).toBe(true)
    },
  )

  test.each([0x38f1e565e288dfn, 0x30a8295b9d5c91n, 0x3c8de80aaf5835n, 0n, 1n, 0b101n, 0b110n])('%s is not', (p) => {
    expect(isIrreducible(p)).toBe(false)
  })

  test('as many are irreducible as there are', () => {
    // Counts by degree: OEIS A001037.
    const counts = [2, 1, 2, 3, 6, 9, 18, 30].map((_, i) => {
      const lowest = 2 ** (i + 1)
      return Array.from({ length: lowest }, (__, rest) => BigInt(lowest + rest)).filter(isIrreducible).length
    })
    expect(counts).toEqual([2, 1, 2, 3, 6, 9, 18, 30])
  })

  test('a product is never irreducible', () => {
    const factor = fc.bigInt({ min: 2n, max: 2n ** 27n })
    fc.assert(fc.property(factor, factor, (a, b) => !isIrreducible(product(a, b))))
  })

  test('division leaves a remainder of lower degree', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 200n }), fc.bigInt({ min: 2n, max: 2n ** 60n }), (p, modulus) => {
        const rest = remainder(p, modulus)
        expect(degree(rest)).toBeLessThan(degree(modulus))
        expect(remainder(p ^ rest, modulus)).toBe(0n)
      }),
    )
  })

  test('new ones are irreducible, of degree 53 and different', () => {
    const drawn = Array.from({ length: 5 }, randomPolynomial)
    expect(drawn.every((p) => degree(p) === 53 && isIrreducible(p))).toBe(true)
    expect(new Set(drawn).size).toBe(5)
  })
})
