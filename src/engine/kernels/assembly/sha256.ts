/**
 * SHA-256 of four messages side by side (FIPS 180-4), one per 32-bit lane of a vector.
 *
 * Use: write state word h of lane l at STATE + 16 * h + 4 * l and up to PIECE_BLOCKS blocks of lane l at PIECES + l * PIECE_BLOCKS * 64,
 * call `run` with the number of blocks, read the state again.
 */

export const PIECE_BLOCKS: i32 = 64
export const STATE: usize = memory.data(128, 16)
export const PIECES: usize = memory.data(16384, 16)

const LANE_BYTES: usize = 4096
/** The message schedule: 64 vectors. */
const SCHEDULE: usize = memory.data(1024, 16)

const ROUND_CONSTANTS: usize = memory.data<u32>([
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
])

// @ts-ignore: decorator
@inline
function rotate(x: v128, n: i32): v128 {
  return v128.or(i32x4.shr_u(x, n), i32x4.shl(x, 32 - n))
}

// @ts-ignore: decorator
@inline
function xor3(a: v128, b: v128, c: v128): v128 {
  return v128.xor(v128.xor(a, b), c)
}

/** h + S1(e) + Ch(e, f, g) + K[t] + W[t]; `at` is 16 * t. */
// @ts-ignore: decorator
@inline
function first(e: v128, f: v128, g: v128, h: v128, at: usize): v128 {
  const sum = i32x4.add(v128.load(SCHEDULE + at), v128.load32_splat(ROUND_CONSTANTS + (at >> 2)))
  const choice = v128.xor(g, v128.and(e, v128.xor(f, g)))
  return i32x4.add(i32x4.add(i32x4.add(h, sum), choice), xor3(rotate(e, 6), rotate(e, 11), rotate(e, 25)))
}

/** S0(a) + Maj(a, b, c) */
// @ts-ignore: decorator
@inline
function second(a: v128, b: v128, c: v128): v128 {
  const majority = v128.or(v128.and(a, b), v128.and(c, v128.or(a, b)))
  return i32x4.add(majority, xor3(rotate(a, 2), rotate(a, 13), rotate(a, 22)))
}

/** Turns four big-endian words of each lane at `from` into four vectors of the schedule at `to`. */
// @ts-ignore: decorator
@inline
function transpose(from: usize, to: usize): void {
  const order = i8x16(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12)
  const a = i8x16.swizzle(v128.load(from), order)
  const b = i8x16.swizzle(v128.load(from + LANE_BYTES), order)
  const c = i8x16.swizzle(v128.load(from + 2 * LANE_BYTES), order)
  const d = i8x16.swizzle(v128.load(from + 3 * LANE_BYTES), order)
  const ab = i32x4.shuffle(a, b, 0, 4, 1, 5)
  const cd = i32x4.shuffle(c, d, 0, 4, 1, 5)
  const ef = i32x4.shuffle(a, b, 2, 6, 3, 7)
  const gh = i32x4.shuffle(c, d, 2, 6, 3, 7)
  v128.store(to, i64x2.shuffle(ab, cd, 0, 2))
  v128.store(to, i64x2.shuffle(ab, cd, 1, 3), 16)
  v128.store(to, i64x2.shuffle(ef, gh, 0, 2), 32)
  v128.store(to, i64x2.shuffle(ef, gh, 1, 3), 48)
}

function schedule(block: usize): void {
  transpose(block, SCHEDULE)
  transpose(block + 16, SCHEDULE + 64)
  transpose(block + 32, SCHEDULE + 128)
  transpose(block + 48, SCHEDULE + 192)
  for (let at = SCHEDULE; at < SCHEDULE + 768; at += 16) {
    const w1 = v128.load(at, 16)
    const w14 = v128.load(at, 224)
    const s0 = xor3(rotate(w1, 7), rotate(w1, 18), i32x4.shr_u(w1, 3))
    const s1 = xor3(rotate(w14, 17), rotate(w14, 19), i32x4.shr_u(w14, 10))
    const sum = i32x4.add(i32x4.add(v128.load(at), v128.load(at, 144)), i32x4.add(s0, s1))
    v128.store(at, sum, 256)
  }
}

/** Compresses the next `blocks` blocks of all four lanes. */
export function run(blocks: i32): void {
  const end = PIECES + <usize>blocks * 64
  for (let block = PIECES; block < end; block += 64) {
    schedule(block)
    let a = v128.load(STATE)
    let b = v128.load(STATE, 16)
    let c = v128.load(STATE, 32)
    let d = v128.load(STATE, 48)
    let e = v128.load(STATE, 64)
    let f = v128.load(STATE, 80)
    let g = v128.load(STATE, 96)
    let h = v128.load(STATE, 112)
    for (let at: usize = 0; at < 1024; at += 128) {
      h = first(e, f, g, h, at)
      d = i32x4.add(d, h)
      h = i32x4.add(h, second(a, b, c))
      g = first(d, e, f, g, at + 16)
      c = i32x4.add(c, g)
      g = i32x4.add(g, second(h, a, b))
      f = first(c, d, e, f, at + 32)
      b = i32x4.add(b, f)
      f = i32x4.add(f, second(g, h, a))
      e = first(b, c, d, e, at + 48)
      a = i32x4.add(a, e)
      e = i32x4.add(e, second(f, g, h))
      d = first(a, b, c, d, at + 64)
      h = i32x4.add(h, d)
      d = i32x4.add(d, second(e, f, g))
      c = first(h, a, b, c, at + 80)
      g = i32x4.add(g, c)
      c = i32x4.add(c, second(d, e, f))
      b = first(g, h, a, b, at + 96)
      f = i32x4.add(f, b)
      b = i32x4.add(b, second(c, d, e))
      a = first(f, g, h, a, at + 112)
      e = i32x4.add(e, a)
      a = i32x4.add(a, second(b, c, d))
    }
    v128.store(STATE, i32x4.add(a, v128.load(STATE)))
    v128.store(STATE, i32x4.add(b, v128.load(STATE, 16)), 16)
    v128.store(STATE, i32x4.add(c, v128.load(STATE, 32)), 32)
    v128.store(STATE, i32x4.add(d, v128.load(STATE, 48)), 48)
    v128.store(STATE, i32x4.add(e, v128.load(STATE, 64)), 64)
    v128.store(STATE, i32x4.add(f, v128.load(STATE, 80)), 80)
    v128.store(STATE, i32x4.add(g, v128.load(STATE, 96)), 96)
    v128.store(STATE, i32x4.add(h, v128.load(STATE, 112)), 112)
  }
}
