import { createRandom, type Random } from './random.ts'
import { words } from './words.ts'

/** Kinds of binary files: machine code, pages of a database, and bytes that are compressed already. */
export type BinaryKind = 'machine' | 'database' | 'compressed'

const PAGE_BYTES = 4096

/** Writes `length` bytes of `kind` to the start of `out`; the same kind and seed give the same bytes. */
export function fillBinary(kind: BinaryKind, out: Uint8Array, length: number, seed: number): void {
  const random = createRandom(seed, 2)
  if (kind === 'compressed') fillRandom(out, length, random)
  else if (kind === 'machine') fillMachineCode(out, length, random)
  else fillDatabase(out, length, random)
}

function fillRandom(out: Uint8Array, length: number, random: Random): void {
  const whole = length & ~3
  if (out.byteOffset % 4 === 0) {
    const view = new Int32Array(out.buffer, out.byteOffset, whole / 4)
    for (let i = 0; i < view.length; i++) view[i] = random.next()
  } else {
    for (let i = 0; i < whole; i++) out[i] = random.next()
  }
  for (let i = whole; i < length; i++) out[i] = random.next()
}

/** Instructions as compilers write them: fixed bytes, and -1 displacement, -2 register byte, -3 relative call, -4 constant. */
const instructions: readonly (readonly number[])[] = [
  [0x48, 0x8b, -2, 0x24, -1],
  [0x48, 0x89, -2, 0x24, -1],
  [0x48, 0x8b, -2, -1],
  [0x48, 0x89, -2],
  [0xe8, -3],
  [0x48, 0x8d, -2, -3],
  [0x85, -2, 0x74, -1],
  [0x48, 0x83, 0xc4, -1, 0x5b, 0x5d, 0x41, 0x5c, 0xc3],
  [0x55, 0x48, 0x89, 0xe5, 0x41, 0x54, 0x53, 0x48, 0x83, 0xec, -1],
  [0x0f, 0xb6, -2, -1],
  [0x31, 0xc0],
  [0x83, -2, -1, 0x0f, 0x84, -1, -1, 0x00, 0x00],
  [0xbf, -4],
  [0x48, 0xc7, -2, -1, -4],
  [0xeb, -1],
  [0xf3, 0x0f, 0x10, -2, -1],
  [0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
  [0x48, 0x39, -2, 0x75, -1],
  [0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00],
  [0xff, 0x15, -3],
]

/** A program file: code for the most part, with a table of addresses and a table of names in every 64 KiB. */
function fillMachineCode(out: Uint8Array, length: number, random: Random): void {
  let at = 0
  const put = (byte: number): void => {
    if (at < length) out[at++] = byte
  }
  const put32 = (value: number): void => {
    for (let shift = 0; shift < 32; shift += 8) put((value >>> shift) & 0xff)
  }
  for (const byte of [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0]) put(byte)
  const callees = Array.from({ length: 48 }, () => random.below(0x40_0000))
  let address = 0x40_0000
  while (at < length) {
    for (const end = at + 44 * 1024; at < Math.min(end, length); ) {
      // Compilers write the same sequence again and again.
      if (at > 4096 && random.below(24) === 0) {
        for (let from = at - 64 - random.below(4000), more = 24 + random.below(72); more > 0; more--) put(out[from++]!)
      }
      // Two draws multiplied: a few instructions make up most of a program.
      const instruction = instructions[Math.floor(random.fraction() * random.fraction() * instructions.length)]!
      for (const part of instruction) {
        if (part >= 0) put(part)
        else if (part === -1) put((random.below(16) * random.below(16)) & 0xf8)
        else if (part === -2) put(0xc0 | (random.next() & 0x3f))
        else if (part === -3) put32((random.below(3) === 0 ? random.below(0x40_0000) : callees[random.below(48)]!) - at)
        else put32(random.below(4) === 0 ? random.below(0x1_0000) : random.below(16))
      }
    }
    for (let i = 0; i < 1024 && at < length; i++) {
      address += 16 * random.below(40)
      put32(address)
      put32(0)
    }
    for (const end = at + 12 * 1024; at < Math.min(end, length); ) {
      putWord(random, put)
      put(random.below(4) === 0 ? 0 : 0x5f)
    }
  }
}

/** Pages with a header, rows of numbers, ids and words, and free space at the end. */
function fillDatabase(out: Uint8Array, length: number, random: Random): void {
  let rowNumber = random.below(1_000_000)
  for (let start = 0; start < length; start += PAGE_BYTES) {
    const end = Math.min(start + PAGE_BYTES, length)
    let at = start
    const put = (byte: number): void => {
      if (at < end) out[at++] = byte
    }
    const put32 = (value: number): void => {
      for (let shift = 0; shift < 32; shift += 8) put((value >>> shift) & 0xff)
    }
    put32(start / PAGE_BYTES)
    put32(random.next())
    const filledTo = start + 2600 + random.below(1400)
    while (at < Math.min(filledTo, end)) {
      put32(++rowNumber)
      put32(0x6500_0000 + random.below(0x10_0000))
      for (let i = 0; i < 4; i++) put(random.next())
      for (let i = 2 + random.below(7); i > 0; i--) {
        putWord(random, put)
        put(0x20)
      }
      for (let i = 0; i < 9; i++) put(i < 7 ? 0 : random.below(8))
    }
    out.fill(0, at, end)
  }
}

function putWord(random: Random, put: (byte: number) => void): void {
  const { bytes, starts, frequent } = words()
  const index = frequent[random.next() >>> 16]!
  for (let i = starts[index]!; i < starts[index + 1]!; i++) put(bytes[i]!)
}
