/**
 * LZF as Redis compresses strings with (lzf_d.c of LibLZF). A control byte below 32 announces that many literals and one more; any other
 * a reference: 3 bits of length (7: one more byte adds to it) plus 2, 13 bits of distance minus 1.
 */

/** What three bytes can come to at most is 264. */
const MAX_EXPANSION = 88
const MAX_DISTANCE = 1 << 13
const MAX_RUN = 264
const PIECE_BYTES = 64 * 1024

/** Whether `compressed` bytes can hold `length` bytes at all: asked before memory is taken. */
export const mayExpandTo = (compressed: number, length: number): boolean => length <= compressed * MAX_EXPANSION

/** Writes the content of `compressed` to `output`. @returns false when it does not fill exactly that */
export function decompressLzf(compressed: Uint8Array, output: Uint8Array): boolean {
  const { length } = output
  const end = compressed.length
  let from = 0
  let to = 0
  while (from < end) {
    const control = compressed[from++]!
    if (control < 32) {
      const literals = control + 1
      if (from + literals > end || to + literals > length) return false
      for (const stop = from + literals; from < stop; ) output[to++] = compressed[from++]!
      continue
    }
    let run = control >> 5
    if (run === 7) run += compressed[from++] ?? MAX_RUN
    if (from >= end) return false
    const start = to - (((control & 31) << 8) | compressed[from++]!) - 1
    run += 2
    if (start < 0 || to + run > length) return false
    // A reference may reach into what it writes itself: byte by byte.
    for (let at = start, stop = to + run; to < stop; ) output[to++] = output[at++]!
  }
  return to === length
}

/** The same for strings that are too long to be held: takes pieces, and gives pieces that are valid until the next call. */
export class LzfStream {
  /** The window of references, and room for what a piece adds. */
  readonly #output = Buffer.allocUnsafe(MAX_DISTANCE + PIECE_BYTES + MAX_RUN)
  /** Up to here it has been given away. */
  #given = 0
  #used = 0
  #literals = 0
  #control = -1
  #run = 0
  /** Whether the second byte of a length is still to come. */
  #needsRun = false

  /** True once all that was announced has come. */
  get isComplete(): boolean {
    return this.#literals === 0 && this.#control < 0
  }

  /** Gives what `compressed` comes to. @returns false when it refers to what was never there */
  write(compressed: Uint8Array, give: (piece: Uint8Array) => void): boolean {
    const output = this.#output
    for (let from = 0; from < compressed.length; ) {
      if (this.#used >= MAX_DISTANCE + PIECE_BYTES) this.#flush(give)
      if (this.#literals > 0) {
        const take = Math.min(this.#literals, compressed.length - from)
        output.set(compressed.subarray(from, from + take), this.#used)
        this.#used += take
        this.#literals -= take
        from += take
        continue
      }
      const byte = compressed[from++]!
      if (this.#control < 0) {
        if (byte < 32) this.#literals = byte + 1
        else {
          this.#control = byte
          this.#run = (byte >> 5) + 2
          this.#needsRun = byte >> 5 === 7
        }
      } else if (this.#needsRun) {
        this.#run += byte
        this.#needsRun = false
      } else {
        let at = this.#used - (((this.#control & 31) << 8) | byte) - 1
        if (at < 0) return false
        for (const stop = this.#used + this.#run; this.#used < stop; ) output[this.#used++] = output[at++]!
        this.#control = -1
      }
    }
    this.#flush(give)
    return true
  }

  #flush(give: (piece: Uint8Array) => void): void {
    if (this.#used > this.#given) give(this.#output.subarray(this.#given, this.#used))
    const kept = Math.min(this.#used, MAX_DISTANCE)
    this.#output.copyWithin(0, this.#used - kept, this.#used)
    this.#given = kept
    this.#used = kept
  }
}
