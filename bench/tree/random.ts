/**
 * Repeatable pseudo-random numbers for benchmark data: Marsaglia's xorshift with 128 bits of state ("Xorshift RNGs",
 * Journal of Statistical Software, 2003). The same seed gives the same numbers on every machine; never use it for secrets.
 */
export interface Random {
  /** 32 random bits as an unsigned integer. */
  next(): number
  /** An integer in [0, limit), limit at most 2^31; the bias is irrelevant for data. */
  below(limit: number): number
  /** A float in [0, 1). */
  fraction(): number
}

/** A generator for a stream of its own: `seed` chooses the series, `stream` the member of it. */
export function createRandom(seed: number, stream = 0): Random {
  // A typed array holds the state because 32-bit values in object fields would be boxed.
  const state = new Int32Array(4)
  let mixed = (seed ^ Math.imul(stream + 1, 0x9e3779b1)) | 0
  for (let i = 0; i < 4; i++) state[i] = mixed = mix(mixed + 0x6d2b79f5)
  state[3] = state[3]! | 1
  const next = (): number => {
    let t = state[3]!
    const s = state[0]!
    state[3] = state[2]!
    state[2] = state[1]!
    state[1] = s
    t ^= t << 11
    t ^= t >>> 8
    const result = t ^ s ^ (s >>> 19)
    state[0] = result
    return result >>> 0
  }
  return {
    next,
    below: (limit) => Math.floor((next() / 0x1_0000_0000) * limit),
    fraction: () => next() / 0x1_0000_0000,
  }
}

/** A 32-bit finaliser (the one of MurmurHash3): neighbouring inputs give unrelated outputs. */
function mix(value: number): number {
  let h = value | 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}

/** A size with the long tail of real files: log-normal around `median`, between `least` and `most`. */
export function logNormal(random: Random, median: number, sigma: number, least: number, most: number): number {
  const normal = Math.sqrt(-2 * Math.log(1 - random.fraction())) * Math.cos(2 * Math.PI * random.fraction())
  return Math.round(Math.min(most, Math.max(least, median * Math.exp(sigma * normal))))
}
