import { randomBytes } from '../../lib/random.ts'

/** Degree of the polynomials restic cuts files with. */
export const POLYNOMIAL_DEGREE = 53

/** Degree of a polynomial over GF(2) whose coefficients are the bits of `p`; -1 for zero. */
export function degree(p: bigint): number {
  return p === 0n ? -1 : p.toString(2).length - 1
}

/** Remainder of carry-less division. */
export function remainder(p: bigint, modulus: bigint): bigint {
  const modulusDegree = degree(modulus)
  let rest = p
  for (let excess = degree(rest) - modulusDegree; excess >= 0; excess = degree(rest) - modulusDegree)
    rest ^= modulus << BigInt(excess)
  return rest
}

/** Whether `p` has no factors over GF(2), by Ben-Or's test: it shares none with x^(2^i) - x for any i up to half its degree. */
export function isIrreducible(p: bigint): boolean {
  const limit = degree(p) >> 1
  if (degree(p) < 1) return false
  let power = 2n // x^(2^i) mod p, starting with i = 0
  for (let i = 1; i <= limit; i++) {
    power = remainder(square(power), p)
    if (greatestCommonDivisor(p, power ^ 2n) !== 1n) return false
  }
  return true
}

/** A new random irreducible polynomial of degree 53, drawn as restic draws them. */
export function randomPolynomial(): bigint {
  for (;;) {
    const random = new DataView(randomBytes(8).buffer).getBigUint64(0, true)
    const candidate = BigInt.asUintN(POLYNOMIAL_DEGREE, random) | (1n << BigInt(POLYNOMIAL_DEGREE)) | 1n
    if (isIrreducible(candidate)) return candidate
  }
}

/** Squaring over GF(2) spreads the bits: no cross terms remain. */
function square(p: bigint): bigint {
  return BigInt(`0b${[...p.toString(2)].join('0')}`)
}

function greatestCommonDivisor(a: bigint, b: bigint): bigint {
  let [larger, smaller] = [a, b]
  while (smaller !== 0n) [larger, smaller] = [smaller, remainder(larger, smaller)]
  return larger
}
