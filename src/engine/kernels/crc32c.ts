/**
 * CRC-32C (Castagnoli, reflected; `123456789` comes to e3069283), as backup manifests have it, and the arithmetic to follow the checksum of a
 * file through changes without reading what stays. A register is the state before the final xor. Without its initial value the register is
 * linear: that of a difference is the difference of registers, and that of a message with n zero bytes behind it is a product.
 */

const POLYNOMIAL = 0x82f63b78
const STEP_BYTES = 8
export const INITIAL_REGISTER = -1

/** Of table k, at `k << 8 | byte`: what `byte` comes to once k more zero bytes have followed it. */
const table = new Int32Array(STEP_BYTES * 256)

for (let byte = 0; byte < 256; byte++) {
  let register = byte
  for (let bit = 0; bit < 8; bit++) register = (register >>> 1) ^ (register & 1 ? POLYNOMIAL : 0)
  table[byte] = register
}
for (let i = 256; i < table.length; i++) table[i] = (table[i - 256]! >>> 8) ^ table[table[i - 256]! & 0xff]!

/** The register after more bytes. */
export function advance(register: number, bytes: Uint8Array): number {
  let state = register
  let i = 0
  for (const end = bytes.length - STEP_BYTES; i <= end; i += STEP_BYTES)
    state =
      table[1792 | ((state ^ bytes[i]!) & 0xff)]! ^
      table[1536 | (((state >>> 8) ^ bytes[i + 1]!) & 0xff)]! ^
      table[1280 | (((state >>> 16) ^ bytes[i + 2]!) & 0xff)]! ^
      table[1024 | ((state >>> 24) ^ bytes[i + 3]!)]! ^
      table[768 | bytes[i + 4]!]! ^
      table[512 | bytes[i + 5]!]! ^
      table[256 | bytes[i + 6]!]! ^
      table[bytes[i + 7]!]!
  for (; i < bytes.length; i++) state = (state >>> 8) ^ table[(state ^ bytes[i]!) & 0xff]!
  return state
}

/** Stretches of so many words are looked at for being equal: most of a page is as it was. */
const STRETCH_WORDS = 64

/**
 * The register, without initial value, of the difference between two stretches of the same length: an even number of words, in the byte order
 * of this machine.
 */
export function differenceOf(before: Int32Array, after: Int32Array): number {
  let state = 0
  const { length } = after
  for (let start = 0; start < length; start += STRETCH_WORDS) {
    const end = Math.min(start + STRETCH_WORDS, length)
    let first = start
    while (first < end && before[first] === after[first]) first++
    if (first === end && end - start === STRETCH_WORDS) {
      if (state !== 0) state = behindStretch(state)
      continue
    }
    for (let i = start; i < end; i += 2) {
      const low = state ^ before[i]! ^ after[i]!
      const high = before[i + 1]! ^ after[i + 1]!
      state =
        table[1792 | (low & 0xff)]! ^
        table[1536 | ((low >>> 8) & 0xff)]! ^
        table[1280 | ((low >>> 16) & 0xff)]! ^
        table[1024 | (low >>> 24)]! ^
        table[768 | (high & 0xff)]! ^
        table[512 | ((high >>> 8) & 0xff)]! ^
        table[256 | ((high >>> 16) & 0xff)]! ^
        table[high >>> 24]!
    }
  }
  return state
}

/** Of byte k of a register, at `k << 8 | byte`: what it comes to once a stretch of zeros has followed. */
let stretchTable: Int32Array | undefined

/** The register after a stretch of zeros. */
function behindStretch(register: number): number {
  stretchTable ??= Int32Array.from({ length: 1024 }, (_, i) => shift((i & 0xff) << (8 * (i >>> 8)), 4 * STRETCH_WORDS))
  return (
    stretchTable[register & 0xff]! ^
    stretchTable[256 | ((register >>> 8) & 0xff)]! ^
    stretchTable[512 | ((register >>> 16) & 0xff)]! ^
    stretchTable[768 | (register >>> 24)]!
  )
}

/** The polynomial 1, and x: the highest power is the lowest bit. */
const ONE = 0x80000000 | 0
const X = 0x40000000
/** x to this power is 1: the polynomial is (x + 1) times a primitive one of degree 31. */
const ORDER = 2 ** 31 - 1

function multiply(a: number, b: number): number {
  let factor = a
  let product = 0
  for (let bit = 31; bit >= 0; bit--) {
    if ((b >>> bit) & 1) product ^= factor
    factor = (factor >>> 1) ^ (factor & 1 ? POLYNOMIAL : 0)
  }
  return product
}

/** x to the powers 1, 2, 4, 8 ... */
const powers = new Int32Array(31)
powers[0] = X
for (let i = 1; i < powers.length; i++) powers[i] = multiply(powers[i - 1]!, powers[i - 1]!)

/** The register after so many zero bytes; a negative number takes them back. */
export function shift(register: number, zeroBytes: number): number {
  if (register === 0 || zeroBytes === 0) return register
  let exponent = (8 * zeroBytes) % ORDER
  if (exponent < 0) exponent += ORDER
  let factor = ONE
  for (let i = 0; exponent !== 0; i++, exponent >>>= 1) if (exponent & 1) factor = multiply(factor, powers[i]!)
  return multiply(register, factor)
}

/** Follows the checksum of a file from one state of it to another. */
export class ChangedChecksum {
  readonly #before: number
  readonly #sizeBefore: number
  readonly #sizeAfter: number
  /** Of the differences so far, without initial value, at the end of the file. */
  #difference = 0
  /** Of what is cut off, without initial value. */
  #cutOff = 0

  /** `before`: the checksum of the file as it was. */
  constructor(before: number, sizeBefore: number, sizeAfter: number) {
    this.#before = ~before
    this.#sizeBefore = sizeBefore
    this.#sizeAfter = sizeAfter
  }

  /**
   * A stretch of the file that ends at `end` has this `differenceOf` what it was; what was not there was zeros. Stretches come in any order, none
   * twice.
   */
  differs(end: number, difference: number): void {
    this.#difference ^= shift(difference, this.#sizeAfter - end)
  }

  /** Bytes behind the new end, in order. */
  cutOff(bytes: Uint8Array): void {
    this.#cutOff = advance(this.#cutOff, bytes)
  }

  /** The checksum of the file as it is. */
  finish(): number {
    const base = shift(this.#before ^ this.#cutOff, this.#sizeAfter - this.#sizeBefore)
    return ~(base ^ this.#difference) >>> 0
  }
}

/** As manifests write a checksum: the bytes as they lie in the memory of a little-endian machine. */
export function checksumText(checksum: number): string {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(checksum)
  return bytes.toString('hex')
}

/** The checksum a manifest states; undefined when it is none of eight digits. */
export const parseChecksum = (text: string): number | undefined =>
  /^[0-9a-f]{8}$/i.test(text) ? Buffer.from(text, 'hex').readUInt32LE() : undefined
