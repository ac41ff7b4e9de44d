/**
 * scrypt's ROMix (RFC 7914, 5) of one block or of two side by side: each step of Salsa20 waits for the one before, and a processor has time
 * for a second one meanwhile.
 *
 * The host provides the memory. A block has 128 * r bytes; a table of n blocks and two more blocks lie where the host says. While they are
 * worked on, the words of every 64 bytes are in the order in which the diagonals of Salsa20's matrix are vectors.
 */

/** Replaces the block at `block` by its ROMix. `table` has room for n + 2 blocks; n is a power of two. */
export function mixOne(block: usize, table: usize, n: u32, r: u32): void {
  const size = <usize>r << 7
  arrange(block, table, size)
  let at = table
  for (let i: u32 = 0; i < n; i++) {
    blockMix(at, at, at + size, r, false)
    at += size
  }
  let from = at
  let to = at + size
  for (let i: u32 = 0; i < n; i++) {
    blockMix(from, table + <usize>(load<u32>(from + size - 64) & (n - 1)) * size, to, r, true)
    const swap = from
    from = to
    to = swap
  }
  restore(from, block, size)
}

/** The same for two blocks, each with a table of its own. */
export function mixTwo(block: usize, table: usize, otherBlock: usize, otherTable: usize, n: u32, r: u32): void {
  const size = <usize>r << 7
  arrange(block, table, size)
  arrange(otherBlock, otherTable, size)
  let at: usize = 0
  for (let i: u32 = 0; i < n; i++) {
    blockMixTwo(table + at, table + at, table + at + size, otherTable + at, otherTable + at, otherTable + at + size, r, false)
    at += size
  }
  let from = at
  let to = at + size
  const last = size - 64
  for (let i: u32 = 0; i < n; i++) {
    const j = <usize>(load<u32>(table + from + last) & (n - 1)) * size
    const k = <usize>(load<u32>(otherTable + from + last) & (n - 1)) * size
    blockMixTwo(table + from, table + j, table + to, otherTable + from, otherTable + k, otherTable + to, r, true)
    const swap = from
    from = to
    to = swap
  }
  restore(table + from, block, size)
  restore(otherTable + from, otherBlock, size)
}

/** Word i of each 64 bytes is the word 5 i mod 16 of the original. */
function arrange(from: usize, to: usize, size: usize): void {
  for (let at: usize = 0; at < size; at += 64)
    for (let i: usize = 0; i < 16; i++) store<u32>(to + at + (i << 2), load<u32>(from + at + (((i * 5) & 15) << 2)))
}

function restore(from: usize, to: usize, size: usize): void {
  for (let at: usize = 0; at < size; at += 64)
    for (let i: usize = 0; i < 16; i++) store<u32>(to + at + (((i * 5) & 15) << 2), load<u32>(from + at + (i << 2)))
}

// @ts-ignore: decorators of AssemblyScript
@inline
function rotatedLeft(x: v128, bits: i32): v128 {
  return v128.or(i32x4.shl(x, bits), i32x4.shr_u(x, 32 - bits))
}

/** scryptBlockMix of `from`, xored with `other` when `xors`, to `to`. */
function blockMix(from: usize, other: usize, to: usize, r: u32, xors: bool): void {
  const half = <usize>r << 6
  const last = from + (half << 1) - 64
  let x0 = v128.load(last)
  let x1 = v128.load(last, 16)
  let x2 = v128.load(last, 32)
  let x3 = v128.load(last, 48)
  if (xors) {
    const otherLast = other + (half << 1) - 64
    x0 = v128.xor(x0, v128.load(otherLast))
    x1 = v128.xor(x1, v128.load(otherLast, 16))
    x2 = v128.xor(x2, v128.load(otherLast, 32))
    x3 = v128.xor(x3, v128.load(otherLast, 48))
  }
  for (let i: u32 = 0; i < r << 1; i++) {
    const at = <usize>i << 6
    x0 = v128.xor(x0, v128.load(from + at))
    x1 = v128.xor(x1, v128.load(from + at, 16))
    x2 = v128.xor(x2, v128.load(from + at, 32))
    x3 = v128.xor(x3, v128.load(from + at, 48))
    if (xors) {
      x0 = v128.xor(x0, v128.load(other + at))
      x1 = v128.xor(x1, v128.load(other + at, 16))
      x2 = v128.xor(x2, v128.load(other + at, 32))
      x3 = v128.xor(x3, v128.load(other + at, 48))
    }
    const a0 = x0
    const a1 = x1
    const a2 = x2
    const a3 = x3
    for (let round = 0; round < 4; round++) {
      x1 = v128.xor(x1, rotatedLeft(i32x4.add(x0, x3), 7))
      x2 = v128.xor(x2, rotatedLeft(i32x4.add(x1, x0), 9))
      x3 = v128.xor(x3, rotatedLeft(i32x4.add(x2, x1), 13))
      x0 = v128.xor(x0, rotatedLeft(i32x4.add(x3, x2), 18))
      x1 = v128.shuffle<i32>(x1, x1, 3, 0, 1, 2)
      x2 = v128.shuffle<i32>(x2, x2, 2, 3, 0, 1)
      x3 = v128.shuffle<i32>(x3, x3, 1, 2, 3, 0)
      x3 = v128.xor(x3, rotatedLeft(i32x4.add(x0, x1), 7))
      x2 = v128.xor(x2, rotatedLeft(i32x4.add(x3, x0), 9))
      x1 = v128.xor(x1, rotatedLeft(i32x4.add(x2, x3), 13))
      x0 = v128.xor(x0, rotatedLeft(i32x4.add(x1, x2), 18))
      x1 = v128.shuffle<i32>(x1, x1, 1, 2, 3, 0)
      x2 = v128.shuffle<i32>(x2, x2, 2, 3, 0, 1)
      x3 = v128.shuffle<i32>(x3, x3, 3, 0, 1, 2)
    }
    x0 = i32x4.add(x0, a0)
    x1 = i32x4.add(x1, a1)
    x2 = i32x4.add(x2, a2)
    x3 = i32x4.add(x3, a3)
    // Even results come first, odd ones behind them.
    const out = to + (<usize>(i >> 1) << 6) + (i & 1 ? half : 0)
    v128.store(out, x0)
    v128.store(out, x1, 16)
    v128.store(out, x2, 32)
    v128.store(out, x3, 48)
  }
}

/** The same for two blocks. Written out once more: a loop over the two would keep their vectors in memory instead of registers. */
function blockMixTwo(from: usize, other: usize, to: usize, from2: usize, other2: usize, to2: usize, r: u32, xors: bool): void {
  const half = <usize>r << 6
  const lastAt = (half << 1) - 64
  let x0 = v128.load(from + lastAt)
  let x1 = v128.load(from + lastAt, 16)
  let x2 = v128.load(from + lastAt, 32)
  let x3 = v128.load(from + lastAt, 48)
  let y0 = v128.load(from2 + lastAt)
  let y1 = v128.load(from2 + lastAt, 16)
  let y2 = v128.load(from2 + lastAt, 32)
  let y3 = v128.load(from2 + lastAt, 48)
  if (xors) {
    x0 = v128.xor(x0, v128.load(other + lastAt))
    x1 = v128.xor(x1, v128.load(other + lastAt, 16))
    x2 = v128.xor(x2, v128.load(other + lastAt, 32))
    x3 = v128.xor(x3, v128.load(other + lastAt, 48))
    y0 = v128.xor(y0, v128.load(other2 + lastAt))
    y1 = v128.xor(y1, v128.load(other2 + lastAt, 16))
    y2 = v128.xor(y2, v128.load(other2 + lastAt, 32))
    y3 = v128.xor(y3, v128.load(other2 + lastAt, 48))
  }
  for (let i: u32 = 0; i < r << 1; i++) {
    const at = <usize>i << 6
    x0 = v128.xor(x0, v128.load(from + at))
    x1 = v128.xor(x1, v128.load(from + at, 16))
    x2 = v128.xor(x2, v128.load(from + at, 32))
    x3 = v128.xor(x3, v128.load(from + at, 48))
    y0 = v128.xor(y0, v128.load(from2 + at))
    y1 = v128.xor(y1, v128.load(from2 + at, 16))
    y2 = v128.xor(y2, v128.load(from2 + at, 32))
    y3 = v128.xor(y3, v128.load(from2 + at, 48))
    if (xors) {
      x0 = v128.xor(x0, v128.load(other + at))
      x1 = v128.xor(x1, v128.load(other + at, 16))
      x2 = v128.xor(x2, v128.load(other + at, 32))
      x3 = v128.xor(x3, v128.load(other + at, 48))
      y0 = v128.xor(y0, v128.load(other2 + at))
      y1 = v128.xor(y1, v128.load(other2 + at, 16))
      y2 = v128.xor(y2, v128.load(other2 + at, 32))
      y3 = v128.xor(y3, v128.load(other2 + at, 48))
    }
    const a0 = x0
    const a1 = x1
    const a2 = x2
    const a3 = x3
    const b0 = y0
    const b1 = y1
    const b2 = y2
    const b3 = y3
    for (let round = 0; round < 4; round++) {
      x1 = v128.xor(x1, rotatedLeft(i32x4.add(x0, x3), 7))
      y1 = v128.xor(y1, rotatedLeft(i32x4.add(y0, y3), 7))
      x2 = v128.xor(x2, rotatedLeft(i32x4.add(x1, x0), 9))
      y2 = v128.xor(y2, rotatedLeft(i32x4.add(y1, y0), 9))
      x3 = v128.xor(x3, rotatedLeft(i32x4.add(x2, x1), 13))
      y3 = v128.xor(y3, rotatedLeft(i32x4.add(y2, y1), 13))
      x0 = v128.xor(x0, rotatedLeft(i32x4.add(x3, x2), 18))
      y0 = v128.xor(y0, rotatedLeft(i32x4.add(y3, y2), 18))
      x1 = v128.shuffle<i32>(x1, x1, 3, 0, 1, 2)
      y1 = v128.shuffle<i32>(y1, y1, 3, 0, 1, 2)
      x2 = v128.shuffle<i32>(x2, x2, 2, 3, 0, 1)
      y2 = v128.shuffle<i32>(y2, y2, 2, 3, 0, 1)
      x3 = v128.shuffle<i32>(x3, x3, 1, 2, 3, 0)
      y3 = v128.shuffle<i32>(y3, y3, 1, 2, 3, 0)
      x3 = v128.xor(x3, rotatedLeft(i32x4.add(x0, x1), 7))
      y3 = v128.xor(y3, rotatedLeft(i32x4.add(y0, y1), 7))
      x2 = v128.xor(x2, rotatedLeft(i32x4.add(x3, x0), 9))
      y2 = v128.xor(y2, rotatedLeft(i32x4.add(y3, y0), 9))
      x1 = v128.xor(x1, rotatedLeft(i32x4.add(x2, x3), 13))
      y1 = v128.xor(y1, rotatedLeft(i32x4.add(y2, y3), 13))
      x0 = v128.xor(x0, rotatedLeft(i32x4.add(x1, x2), 18))
      y0 = v128.xor(y0, rotatedLeft(i32x4.add(y1, y2), 18))
      x1 = v128.shuffle<i32>(x1, x1, 1, 2, 3, 0)
      y1 = v128.shuffle<i32>(y1, y1, 1, 2, 3, 0)
      x2 = v128.shuffle<i32>(x2, x2, 2, 3, 0, 1)
      y2 = v128.shuffle<i32>(y2, y2, 2, 3, 0, 1)
      x3 = v128.shuffle<i32>(x3, x3, 3, 0, 1, 2)
      y3 = v128.shuffle<i32>(y3, y3, 3, 0, 1, 2)
    }
    x0 = i32x4.add(x0, a0)
    x1 = i32x4.add(x1, a1)
    x2 = i32x4.add(x2, a2)
    x3 = i32x4.add(x3, a3)
    y0 = i32x4.add(y0, b0)
    y1 = i32x4.add(y1, b1)
    y2 = i32x4.add(y2, b2)
    y3 = i32x4.add(y3, b3)
    const out = (<usize>(i >> 1) << 6) + (i & 1 ? half : 0)
    v128.store(to + out, x0)
    v128.store(to + out, x1, 16)
    v128.store(to + out, x2, 32)
    v128.store(to + out, x3, 48)
    v128.store(to2 + out, y0)
    v128.store(to2 + out, y1, 16)
    v128.store(to2 + out, y2, 32)
    v128.store(to2 + out, y3, 48)
  }
}
