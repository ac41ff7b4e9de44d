/**
 * The sum modulo 2^128 of the SipHash-2-4-128 (Aumasson and Bernstein, "SipHash: a fast short-input PRF") of each line, without its newline.
 *
 * Use: write the key at STATE, zeros behind it, call `start`. For each piece of the text write it at PIECE and call `update`. The sum and the
 * number of lines are at SUM and LINES. What is at STATE may be kept and put back, so that one instance takes several texts in turn.
 */

export const PIECE_BYTES: i32 = 65536
/** Key, the four words of the hash, bytes of a word that is not full, their number, length of the line, sum, lines. */
export const STATE_BYTES: i32 = 96
export const STATE: usize = memory.data(96, 16)
export const SUM: usize = STATE + 72
export const LINES: usize = STATE + 88
export const PIECE: usize = memory.data(65536, 16)

const NEWLINES: u64 = 0x0a0a0a0a0a0a0a0a
const LOW_BITS: u64 = 0x0101010101010101
const HIGH_BITS: u64 = 0x8080808080808080

/** Begins with the first line. */
export function start(): void {
  const k0 = load<u64>(STATE)
  const k1 = load<u64>(STATE, 8)
  store<u64>(STATE, k0 ^ 0x736f6d6570736575, 16)
  store<u64>(STATE, k1 ^ 0x646f72616e646f6d ^ 0xee, 24)
  store<u64>(STATE, k0 ^ 0x6c7967656e657261, 32)
  store<u64>(STATE, k1 ^ 0x7465646279746573, 40)
}

/** Takes the next `length` bytes at PIECE. */
export function update(length: i32): void {
  const k0 = load<u64>(STATE)
  const k1 = load<u64>(STATE, 8)
  let v0 = load<u64>(STATE, 16)
  let v1 = load<u64>(STATE, 24)
  let v2 = load<u64>(STATE, 32)
  let v3 = load<u64>(STATE, 40)
  let tail = load<u64>(STATE, 48)
  let packed = load<u64>(STATE, 56)
  let tailBytes: u64 = packed & 7
  let lineBytes: u64 = packed >> 3
  let low = load<u64>(STATE, 72)
  let high = load<u64>(STATE, 80)
  let lines = load<u64>(STATE, 88)
  let at = PIECE
  const end = PIECE + <usize>length
  for (;;) {
    let word: u64 = 0
    let isLast = false
    if (tailBytes == 0 && at + 8 <= end) {
      word = load<u64>(at)
      const differing = word ^ NEWLINES
      // The lowest bit that is set is that of the first newline.
      const found = (differing - LOW_BITS) & ~differing & HIGH_BITS
      if (found == 0) {
        at += 8
        lineBytes += 8
      } else {
        const before = ctz(found) >> 3
        word &= (<u64>1 << (before << 3)) - 1
        lineBytes += before
        at += <usize>before + 1
        isLast = true
      }
    } else if (at < end) {
      const byte = <u64>load<u8>(at)
      at++
      if (byte == 0x0a) {
        word = tail
        isLast = true
      } else {
        tail |= byte << (tailBytes << 3)
        tailBytes++
        lineBytes++
        if (tailBytes < 8) continue
        word = tail
      }
      tail = 0
      tailBytes = 0
    } else break
    if (isLast) word |= lineBytes << 56
    v3 ^= word
    v0 += v1
    v2 += v3
    v1 = rotl(v1, 13) ^ v0
    v3 = rotl(v3, 16) ^ v2
    v0 = rotl(v0, 32)
    v2 += v1
    v0 += v3
    v1 = rotl(v1, 17) ^ v2
    v3 = rotl(v3, 21) ^ v0
    v2 = rotl(v2, 32)
    v0 += v1
    v2 += v3
    v1 = rotl(v1, 13) ^ v0
    v3 = rotl(v3, 16) ^ v2
    v0 = rotl(v0, 32)
    v2 += v1
    v0 += v3
    v1 = rotl(v1, 17) ^ v2
    v3 = rotl(v3, 21) ^ v0
    v2 = rotl(v2, 32)
    v0 ^= word
    if (!isLast) continue
    v2 ^= 0xee
    for (let half = 0; half < 2; half++) {
      for (let round = 0; round < 4; round++) {
        v0 += v1
        v2 += v3
        v1 = rotl(v1, 13) ^ v0
        v3 = rotl(v3, 16) ^ v2
        v0 = rotl(v0, 32)
        v2 += v1
        v0 += v3
        v1 = rotl(v1, 17) ^ v2
        v3 = rotl(v3, 21) ^ v0
        v2 = rotl(v2, 32)
      }
      const hash = v0 ^ v1 ^ v2 ^ v3
      if (half == 0) {
        low += hash
        high += u64(low < hash)
        v1 ^= 0xdd
      } else high += hash
    }
    lines++
    lineBytes = 0
    v0 = k0 ^ 0x736f6d6570736575
    v1 = k1 ^ 0x646f72616e646f6d ^ 0xee
    v2 = k0 ^ 0x6c7967656e657261
    v3 = k1 ^ 0x7465646279746573
  }
  packed = (lineBytes << 3) | tailBytes
  store<u64>(STATE, v0, 16)
  store<u64>(STATE, v1, 24)
  store<u64>(STATE, v2, 32)
  store<u64>(STATE, v3, 40)
  store<u64>(STATE, tail, 48)
  store<u64>(STATE, packed, 56)
  store<u64>(STATE, low, 72)
  store<u64>(STATE, high, 80)
  store<u64>(STATE, lines, 88)
}
