/**
 * Search for the cuts of restic's chunker: positions whose Rabin fingerprint of the 64 bytes before has its low bits zero: 20 of them, or
 * fewer for smaller chunks.
 *
 * Sixteen stretches are searched side by side, one per byte lane of a vector. A fingerprint has 53 bits; multiplied by x^3 it fills seven
 * bytes, which seven vectors hold as planes: shifting in a byte renames planes, and a table of 256 entries becomes two swizzles by half
 * bytes per plane, since all tables are linear.
 *
 * The host lays out the first page of the imported memory; see the constants. Files lie behind it.
 */

/** 256 times 8 bytes: t * x^53 reduced, with t at bit 53. */
export const MODULUS: usize = 1024
/** 256 times 8 bytes: b * x^512 reduced. */
export const OUTGOING: usize = 3072
/**
 * The same two tables by planes, multiplied by x^3 (MODULUS without its bits from 53): for each of seven planes 16 bytes by the low half of
 * the index and 16 by the high half.
 */
export const MODULUS_PLANES: usize = 5120
export const OUTGOING_PLANES: usize = 5376

/** A ring of 128 rows: row p mod 128 holds byte p of each stretch. */
const ROWS: usize = 8192
const ROW_BYTES: usize = 16
/**
 * Vectors of one repeated byte. In memory because V8 builds constants anew wherever they are used, which in the inner loop costs a tenth.
 */
const HALF_MASK: usize = 7168
const SHIFTED_MASK: usize = 7184
const CARRIED_MASK: usize = 7200
const TESTED_MASK: usize = 7216
/** 64 bits: those of a fingerprint that are zero at a cut. */
const CUT_MASK: usize = 7232
const RING_BYTES: usize = 2048

const WINDOW: usize = 64
const LANES: usize = 16
/** Bytes per row and per group of positions tested with one branch. */
const GROUP: usize = 16
/** The longest stretch: 64 bytes in front of each are read twice, and a hit costs the rest of the others. */
const LONGEST_STRETCH: usize = 2048
const SHORTEST_STRETCH: usize = 64

/** Called once per memory, before `scan`. `cutBits`, 13 to 20: how many low bits of a fingerprint are zero at a cut. */
export function prepare(cutBits: u32): void {
  v128.store(HALF_MASK, i8x16.splat(0x0f))
  v128.store(SHIFTED_MASK, i8x16.splat(-8))
  v128.store(CARRIED_MASK, i8x16.splat(0x07))
  // The first 13 bits are the whole of the second plane and five bits of the first.
  v128.store(TESTED_MASK, i8x16.splat(<i8>((<u32>1 << (cutBits - 13)) - 1)))
  store<u64>(CUT_MASK, (<u64>1 << cutBits) - 1)
}

/**
 * Smallest p with from <= p <= to that may be a cut, or -1. `from` is at least 64 behind the start of the file's bytes; those before `to`
 * are in memory.
 */
export function scan(from: usize, to: usize): i32 {
  let at = from
  while (at <= to) {
    const stretch = min(((to - at + 1) / LANES) & ~(GROUP - 1), LONGEST_STRETCH)
    if (stretch < SHORTEST_STRETCH) return scanAlone(at, to)
    const hit = scanStretches(at, stretch)
    if (hit >= 0) return hit
    at += stretch * LANES
  }
  return -1
}

function scanAlone(from: usize, to: usize): i32 {
  const cutMask = load<u64>(CUT_MASK)
  let hash: u64 = 0
  for (let at = from - WINDOW; at < from; at++) hash = ((hash << 8) | load<u8>(at)) ^ load<u64>(MODULUS + (<usize>(hash >> 45) << 3))
  for (let at = from; (hash & cutMask) != 0; at++) {
    if (at == to) return -1
    const old = <usize>load<u8>(at - WINDOW)
    hash = ((hash << 8) | load<u8>(at)) ^ load<u64>(MODULUS + (<usize>(hash >> 45) << 3)) ^ load<u64>(OUTGOING + (old << 3))
    from = at + 1
  }
  return <i32>from
}

/** The same over 16 stretches; the first tests `from` to `from + stretch - 1`, the next one goes on from there. */
function scanStretches(from: usize, stretch: usize): i32 {
  let p0 = i64x2.splat(0)
  let p1 = p0
  let p2 = p0
  let p3 = p0
  let p4 = p0
  let p5 = p0
  let p6 = p0
  // Zero rows have no effect on their way out.
  memory.fill(ROWS, 0, RING_BYTES)
  let best: i32 = -1
  let lanesLeft: i32 = 0xffff
  // Position p is tested once byte p - 1 is in: the first tested is `start` + WINDOW + 1.
  const start = from - 1 - WINDOW
  const half = v128.load(HALF_MASK)
  const shifted = v128.load(SHIFTED_MASK)
  const tested7 = v128.load(TESTED_MASK)
  const carried = v128.load(CARRIED_MASK)
  for (let offset: usize = 0; offset < stretch + WINDOW; offset += GROUP) {
    const rows = ROWS + ((offset * ROW_BYTES) & (RING_BYTES - 1))
    const oldRows = ROWS + ((offset * ROW_BYTES + RING_BYTES / 2) & (RING_BYTES - 1))
    transpose(start + offset, stretch, rows)
    let least = i8x16.splat(-1)
    for (let row: usize = 0; row < GROUP * ROW_BYTES; row += ROW_BYTES) {
      const old = v128.load(oldRows + row)
      const oldLow = v128.and(old, half)
      const oldHigh = v128.and(i16x8.shr_u(old, 4), half)
      const topLow = v128.and(p6, half)
      const topHigh = v128.and(i16x8.shr_u(p6, 4), half)
      const byte = v128.load(rows + row)
      p6 = v128.xor(p5, plane(6, topLow, topHigh, oldLow, oldHigh))
      p5 = v128.xor(p4, plane(5, topLow, topHigh, oldLow, oldHigh))
      p4 = v128.xor(p3, plane(4, topLow, topHigh, oldLow, oldHigh))
      p3 = v128.xor(p2, plane(3, topLow, topHigh, oldLow, oldHigh))
      p2 = v128.xor(p1, plane(2, topLow, topHigh, oldLow, oldHigh))
      p1 = v128.xor(v128.xor(p0, v128.and(i16x8.shr_u(byte, 5), carried)), plane(1, topLow, topHigh, oldLow, oldHigh))
      p0 = v128.xor(v128.and(i16x8.shl(byte, 3), shifted), plane(0, topLow, topHigh, oldLow, oldHigh))
      // Bits 3 to 22 of a plane stack are the low 20 of the fingerprint; fewer of them are tested when chunks are to be smaller.
      least = i8x16.min_u(least, v128.or(p1, v128.or(p0, v128.and(p2, tested7))))
    }
    if (offset < WINDOW || i8x16.all_true(least)) continue
    const hits = i8x16.bitmask(i8x16.eq(least, i64x2.splat(0))) & lanesLeft
    if (hits == 0) continue
    // Only the first stretch with a hit counts from here on, and those before it.
    const lane = ctz(hits)
    const tested = start + offset + 1 + <usize>lane * stretch
    best = scanAlone(tested, tested + GROUP - 1)
    if (lane == 0) return best
    lanesLeft = (1 << lane) - 1
  }
  return best
}

/** What the byte on top and the byte that leaves the window add to one plane. Indices are below 16. */
// @ts-ignore: decorator
@inline
function plane(k: usize, topLow: v128, topHigh: v128, oldLow: v128, oldHigh: v128): v128 {
  const top = v128.xor(
    i8x16.relaxed_swizzle(v128.load(MODULUS_PLANES + k * 32), topLow),
    i8x16.relaxed_swizzle(v128.load(MODULUS_PLANES + k * 32 + 16), topHigh),
  )
  const old = v128.xor(
    i8x16.relaxed_swizzle(v128.load(OUTGOING_PLANES + k * 32), oldLow),
    i8x16.relaxed_swizzle(v128.load(OUTGOING_PLANES + k * 32 + 16), oldHigh),
  )
  return v128.xor(top, old)
}

// @ts-ignore: decorator
@inline
function low(a: v128, b: v128): v128 {
  return i8x16.shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
}

// @ts-ignore: decorator
@inline
function high(a: v128, b: v128): v128 {
  return i8x16.shuffle(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
}

/** Writes 16 rows: row i holds byte i of each of the 16 stretches that begin `stride` bytes apart. Four perfect shuffles transpose. */
// @ts-ignore: decorator
@inline
function transpose(from: usize, stride: usize, rows: usize): void {
  const a0 = v128.load(from)
  const a1 = v128.load(from + 1 * stride)
  const a2 = v128.load(from + 2 * stride)
  const a3 = v128.load(from + 3 * stride)
  const a4 = v128.load(from + 4 * stride)
  const a5 = v128.load(from + 5 * stride)
  const a6 = v128.load(from + 6 * stride)
  const a7 = v128.load(from + 7 * stride)
  const a8 = v128.load(from + 8 * stride)
  const a9 = v128.load(from + 9 * stride)
  const a10 = v128.load(from + 10 * stride)
  const a11 = v128.load(from + 11 * stride)
  const a12 = v128.load(from + 12 * stride)
  const a13 = v128.load(from + 13 * stride)
  const a14 = v128.load(from + 14 * stride)
  const a15 = v128.load(from + 15 * stride)
  const b0 = low(a0, a8)
  const b1 = high(a0, a8)
  const b2 = low(a1, a9)
  const b3 = high(a1, a9)
  const b4 = low(a2, a10)
  const b5 = high(a2, a10)
  const b6 = low(a3, a11)
  const b7 = high(a3, a11)
  const b8 = low(a4, a12)
  const b9 = high(a4, a12)
  const b10 = low(a5, a13)
  const b11 = high(a5, a13)
  const b12 = low(a6, a14)
  const b13 = high(a6, a14)
  const b14 = low(a7, a15)
  const b15 = high(a7, a15)
  const c0 = low(b0, b8)
  const c1 = high(b0, b8)
  const c2 = low(b1, b9)
  const c3 = high(b1, b9)
  const c4 = low(b2, b10)
  const c5 = high(b2, b10)
  const c6 = low(b3, b11)
  const c7 = high(b3, b11)
  const c8 = low(b4, b12)
  const c9 = high(b4, b12)
  const c10 = low(b5, b13)
  const c11 = high(b5, b13)
  const c12 = low(b6, b14)
  const c13 = high(b6, b14)
  const c14 = low(b7, b15)
  const c15 = high(b7, b15)
  const d0 = low(c0, c8)
  const d1 = high(c0, c8)
  const d2 = low(c1, c9)
  const d3 = high(c1, c9)
  const d4 = low(c2, c10)
  const d5 = high(c2, c10)
  const d6 = low(c3, c11)
  const d7 = high(c3, c11)
  const d8 = low(c4, c12)
  const d9 = high(c4, c12)
  const d10 = low(c5, c13)
  const d11 = high(c5, c13)
  const d12 = low(c6, c14)
  const d13 = high(c6, c14)
  const d14 = low(c7, c15)
  const d15 = high(c7, c15)
  const e0 = low(d0, d8)
  const e1 = high(d0, d8)
  const e2 = low(d1, d9)
  const e3 = high(d1, d9)
  const e4 = low(d2, d10)
  const e5 = high(d2, d10)
  const e6 = low(d3, d11)
  const e7 = high(d3, d11)
  const e8 = low(d4, d12)
  const e9 = high(d4, d12)
  const e10 = low(d5, d13)
  const e11 = high(d5, d13)
  const e12 = low(d6, d14)
  const e13 = high(d6, d14)
  const e14 = low(d7, d15)
  const e15 = high(d7, d15)
  v128.store(rows, e0)
  v128.store(rows, e1, 16)
  v128.store(rows, e2, 32)
  v128.store(rows, e3, 48)
  v128.store(rows, e4, 64)
  v128.store(rows, e5, 80)
  v128.store(rows, e6, 96)
  v128.store(rows, e7, 112)
  v128.store(rows, e8, 128)
  v128.store(rows, e9, 144)
  v128.store(rows, e10, 160)
  v128.store(rows, e11, 176)
  v128.store(rows, e12, 192)
  v128.store(rows, e13, 208)
  v128.store(rows, e14, 224)
  v128.store(rows, e15, 240)
}
