import { HoldfastError } from '../../lib/errors.ts'
import { degree, POLYNOMIAL_DEGREE } from './polynomial.ts'

/** No chunk but the last of a file is shorter. */
export const MIN_CHUNK_BYTES: number = 512 * 1024
/** No chunk is longer. */
export const MAX_CHUNK_BYTES: number = 8 * 1024 * 1024
/** Bytes a fingerprint covers. */
export const WINDOW_BYTES = 64
/** A chunk may end where so many low bits of the fingerprint are zero: every MiB on average. */
export const CUT_BITS = 20

/**
 * Lookup tables of a polynomial as pairs of 32-bit halves (low at 2i, high at 2i + 1), for fingerprints kept below 2^53:
 * `modulus[t]` is t * x^53 reduced, with t itself at bit 53 so that xor also clears it; `outgoing[b]` is b * x^(8 * 64) reduced, what is
 * left of a byte that entered 64 steps ago once the next has been shifted in.
 */
export interface RabinTables {
  readonly modulus: Uint32Array
  readonly outgoing: Uint32Array
}

/** Tables by shifting one bit at a time; HF_REPO_CONFIG unless the polynomial has degree 53. */
export function rabinTables(polynomial: bigint): RabinTables {
  if (degree(polynomial) !== POLYNOMIAL_DEGREE) {
    throw new HoldfastError(
      'HF_REPO_CONFIG',
      `the chunker polynomial ${polynomial.toString(16)} does not have degree ${POLYNOMIAL_DEGREE}`,
    )
  }
  const low = Number(polynomial & 0xffffffffn)
  const high = Number(polynomial >> 32n)
  const powers: [number, number][] = []
  let [powerLow, powerHigh] = [1, 0]
  for (let exponent = 0; exponent < 8 * WINDOW_BYTES + 8; exponent++) {
    powers.push([powerLow, powerHigh])
    powerHigh = (powerHigh << 1) | (powerLow >>> 31)
    powerLow = (powerLow << 1) >>> 0
    if (powerHigh >>> (POLYNOMIAL_DEGREE - 32)) {
      powerLow = (powerLow ^ low) >>> 0
      powerHigh ^= high
    }
  }
  const modulus = linearTable(powers.slice(POLYNOMIAL_DEGREE, POLYNOMIAL_DEGREE + 8))
  for (let top = 0; top < 256; top++) modulus[2 * top + 1]! |= top << (POLYNOMIAL_DEGREE - 32)
  return { modulus, outgoing: linearTable(powers.slice(8 * WINDOW_BYTES)) }
}

/** The sums of each subset of eight values, by the bits of the index. */
function linearTable(bits: readonly [number, number][]): Uint32Array {
  const table = new Uint32Array(512)
  for (let index = 1; index < 256; index++) {
    const lowest = 31 - Math.clz32(index & -index)
    const rest = index & (index - 1)
    const [low, high] = bits[lowest]!
    table[2 * index] = table[2 * rest]! ^ low
    table[2 * index + 1] = table[2 * rest + 1]! ^ high
  }
  return table
}

/**
 * Smallest position p with max(from, 64) <= p <= end whose fingerprint of the 64 bytes before it has its low bits zero, else -1.
 * The definition in plain TypeScript: what every faster scan must agree with.
 */
export function scanRabinPlain(
  tables: RabinTables,
  bytes: Uint8Array,
  from: number,
  end: number,
  cutBits: number = CUT_BITS,
): number {
  const { modulus, outgoing } = tables
  const cutMask = 2 ** cutBits - 1
  const first = Math.max(from, WINDOW_BYTES)
  if (first > end) return -1
  let low = 0
  let high = 0
  for (let at = first - WINDOW_BYTES; at < first; at++) {
    const top = high >>> 13
    high = ((high << 8) | (low >>> 24)) ^ modulus[2 * top + 1]!
    low = ((low << 8) | bytes[at]!) ^ modulus[2 * top]!
  }
  for (let at = first; ; at++) {
    if ((low & cutMask) === 0) return at
    if (at === end) return -1
    const top = high >>> 13
    const out = bytes[at - WINDOW_BYTES]!
    high = ((high << 8) | (low >>> 24)) ^ modulus[2 * top + 1]! ^ outgoing[2 * out + 1]!
    low = ((low << 8) | bytes[at]!) ^ modulus[2 * top]! ^ outgoing[2 * out]!
  }
}
