/**
 * Poly1305 (RFC 8439, 2.5) on five limbs of 26 bits, so that every product and sum fits 64 bits.
 *
 * Use: write the 32-byte one-time key (r, s) at KEY, call `start`; for each piece of the message write it at MESSAGE and call `update`
 * (every piece but the last a multiple of 16 bytes); call `finish` and read the tag at TAG. Clamps r itself.
 */

export const MESSAGE_BYTES: i32 = 65536
export const KEY: usize = memory.data(32, 16)
export const TAG: usize = memory.data(16, 16)
/** 16 bytes more than a piece, for the padding of the last block. */
export const MESSAGE: usize = memory.data(65552, 16)

const LIMB: u64 = 0x3ffffff

let r0: u64 = 0
let r1: u64 = 0
let r2: u64 = 0
let r3: u64 = 0
let r4: u64 = 0
let h0: u64 = 0
let h1: u64 = 0
let h2: u64 = 0
let h3: u64 = 0
let h4: u64 = 0

export function start(): void {
  const low = load<u64>(KEY) & 0x0ffffffc0fffffff
  const high = load<u64>(KEY, 8) & 0x0ffffffc0ffffffc
  r0 = low & LIMB
  r1 = (low >> 26) & LIMB
  r2 = ((low >> 52) | (high << 12)) & LIMB
  r3 = (high >> 14) & LIMB
  r4 = high >> 40
  h0 = 0
  h1 = 0
  h2 = 0
  h3 = 0
  h4 = 0
}

/** Takes the next `length` bytes at MESSAGE. */
export function update(length: i32): void {
  const whole = length & ~15
  absorb(MESSAGE, whole, 1 << 24)
  const rest = length - whole
  if (rest > 0) {
    const end = MESSAGE + <usize>length
    store<u8>(end, 1)
    memory.fill(end + 1, 0, 15 - rest)
    absorb(MESSAGE + <usize>whole, 16, 0)
  }
}

/** h = (h + block) * r mod 2^130 - 5 for each block; `topBit` is the bit above a full block, in the last limb. */
function absorb(from: usize, length: i32, topBit: u64): void {
  const a0 = r0
  const a1 = r1
  const a2 = r2
  const a3 = r3
  const a4 = r4
  // Limbs that overflow 2^130 come back multiplied by 5.
  const b1 = a1 * 5
  const b2 = a2 * 5
  const b3 = a3 * 5
  const b4 = a4 * 5
  let x0 = h0
  let x1 = h1
  let x2 = h2
  let x3 = h3
  let x4 = h4
  const end = from + <usize>length
  for (let at = from; at < end; at += 16) {
    const low = load<u64>(at)
    const high = load<u64>(at, 8)
    x0 += low & LIMB
    x1 += (low >> 26) & LIMB
    x2 += ((low >> 52) | (high << 12)) & LIMB
    x3 += (high >> 14) & LIMB
    x4 += (high >> 40) | topBit

    const d0 = x0 * a0 + x1 * b4 + x2 * b3 + x3 * b2 + x4 * b1
    const d1 = x0 * a1 + x1 * a0 + x2 * b4 + x3 * b3 + x4 * b2
    const d2 = x0 * a2 + x1 * a1 + x2 * a0 + x3 * b4 + x4 * b3
    const d3 = x0 * a3 + x1 * a2 + x2 * a1 + x3 * a0 + x4 * b4
    const d4 = x0 * a4 + x1 * a3 + x2 * a2 + x3 * a1 + x4 * a0

    x0 = d0 & LIMB
    const e1 = d1 + (d0 >> 26)
    x1 = e1 & LIMB
    const e2 = d2 + (e1 >> 26)
    x2 = e2 & LIMB
    const e3 = d3 + (e2 >> 26)
    x3 = e3 & LIMB
    const e4 = d4 + (e3 >> 26)
    x4 = e4 & LIMB
    x0 += (e4 >> 26) * 5
    x1 += x0 >> 26
    x0 &= LIMB
  }
  h0 = x0
  h1 = x1
  h2 = x2
  h3 = x3
  h4 = x4
}

/** Writes (h mod 2^130 - 5) + s, mod 2^128, at TAG. */
export function finish(): void {
  let x0 = h0
  let x1 = h1
  let x2 = h2
  let x3 = h3
  let x4 = h4
  // Two rounds of carrying leave every limb below 2^26.
  for (let round = 0; round < 2; round++) {
    x1 += x0 >> 26
    x0 &= LIMB
    x2 += x1 >> 26
    x1 &= LIMB
    x3 += x2 >> 26
    x2 &= LIMB
    x4 += x3 >> 26
    x3 &= LIMB
    x0 += (x4 >> 26) * 5
    x4 &= LIMB
  }
  x1 += x0 >> 26
  x0 &= LIMB
  // h + 5 reaches 2^130 exactly when h is not below the prime; then h - prime is h + 5 without that bit. Selected without a branch.
  let y0 = x0 + 5
  let y1 = x1 + (y0 >> 26)
  y0 &= LIMB
  let y2 = x2 + (y1 >> 26)
  y1 &= LIMB
  let y3 = x3 + (y2 >> 26)
  y2 &= LIMB
  let y4 = x4 + (y3 >> 26)
  y3 &= LIMB
  const mask = 0 - (y4 >> 26)
  y4 &= LIMB
  x0 ^= mask & (x0 ^ y0)
  x1 ^= mask & (x1 ^ y1)
  x2 ^= mask & (x2 ^ y2)
  x3 ^= mask & (x3 ^ y3)
  x4 ^= mask & (x4 ^ y4)

  const low = x0 | (x1 << 26) | (x2 << 52)
  const high = (x2 >> 12) | (x3 << 14) | (x4 << 40)
  const tagLow = low + load<u64>(KEY, 16)
  const carry: u64 = tagLow < low ? 1 : 0
  store<u64>(TAG, tagLow)
  store<u64>(TAG, high + load<u64>(KEY, 24) + carry, 8)
}
