/**
 * CRC-64 as it stands at the end of RDB files and DUMP payloads: the Jones polynomial, reflected, initial value 0, no final xor; the check value of
 * `123456789` is e9c6d914c4b8d9ca (crc64.c of Redis).
 */

const POLYNOMIAL_HIGH = 0x95ac9329
const POLYNOMIAL_LOW = 0xac4bc9b5
const STEP_BYTES = 8

/** Of table k, at `k << 8 | byte`: what `byte` comes to once k more zero bytes have followed it. */
const high = new Uint32Array(STEP_BYTES * 256)
const low = new Uint32Array(STEP_BYTES * 256)

for (let byte = 0; byte < 256; byte++) {
  let h = 0
  let l = byte
  for (let bit = 0; bit < 8; bit++) {
    const isOdd = (l & 1) !== 0
    l = ((l >>> 1) | (h << 31)) >>> 0
    h >>>= 1
    if (isOdd) {
      h ^= POLYNOMIAL_HIGH
      l ^= POLYNOMIAL_LOW
    }
  }
  high[byte] = h
  low[byte] = l
}
for (let i = 256; i < high.length; i++) {
  const h = high[i - 256]!
  const l = low[i - 256]!
  high[i] = (h >>> 8) ^ high[l & 0xff]!
  low[i] = ((l >>> 8) | (h << 24)) ^ low[l & 0xff]!
}

/** The checksum of bytes that come in pieces. */
export class Crc64 {
  #high = 0
  #low = 0

  /** Begins anew. */
  reset(): this {
    this.#high = 0
    this.#low = 0
    return this
  }

  update(bytes: Uint8Array): this {
    let h = this.#high
    let l = this.#low
    let at = 0
    for (const end = bytes.length - (STEP_BYTES - 1); at < end; at += STEP_BYTES) {
      l ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
      h ^= bytes[at + 4]! | (bytes[at + 5]! << 8) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 24)
      const a = 0x700 | (l & 0xff)
      const b = 0x600 | ((l >>> 8) & 0xff)
      const c = 0x500 | ((l >>> 16) & 0xff)
      const d = 0x400 | (l >>> 24)
      const e = 0x300 | (h & 0xff)
      const f = 0x200 | ((h >>> 8) & 0xff)
      const g = 0x100 | ((h >>> 16) & 0xff)
      const i = h >>> 24
      h = high[a]! ^ high[b]! ^ high[c]! ^ high[d]! ^ high[e]! ^ high[f]! ^ high[g]! ^ high[i]!
      l = low[a]! ^ low[b]! ^ low[c]! ^ low[d]! ^ low[e]! ^ low[f]! ^ low[g]! ^ low[i]!
    }
    for (; at < bytes.length; at++) {
      const index = (l ^ bytes[at]!) & 0xff
      l = ((l >>> 8) | (h << 24)) ^ low[index]!
      h = (h >>> 8) ^ high[index]!
    }
    this.#high = h
    this.#low = l
    return this
  }

  get value(): bigint {
    return (BigInt(this.#high >>> 0) << 32n) | BigInt(this.#low >>> 0)
  }
}
