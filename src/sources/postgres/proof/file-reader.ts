import { closeSync, openSync, readSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { monotonicMilliseconds } from '../../../lib/clock.ts'

/** A whole number of pages of every size there is. */
const PIECE_BYTES = 1024 * 1024
/** Reading gives way to other work after this long. */
const TURN_MS = 30

/** Reads many files one after the other, with one buffer for all of them. */
export class FileReader {
  readonly #piece = Buffer.from(new ArrayBuffer(PIECE_BYTES))
  readonly #signal: AbortSignal | undefined
  #turnEnds = 0

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal
  }

  /** A file from beginning to end. Each piece lies at a multiple of four bytes, and is valid until the next one. */
  async *pieces(path: string | Buffer): AsyncGenerator<Buffer> {
    // Small files by the thousand: opening them asynchronously would cost more than reading them.
    const fd = openSync(path, 'r')
    try {
      for (let filled = PIECE_BYTES; filled === PIECE_BYTES; ) {
        await this.#turn()
        filled = this.#fill(fd)
        if (filled > 0) yield this.#piece.subarray(0, filled)
      }
    } finally {
      closeSync(fd)
    }
  }

  #fill(fd: number): number {
    let filled = 0
    while (filled < PIECE_BYTES) {
      const count = readSync(fd, this.#piece, filled, PIECE_BYTES - filled, null)
      if (count === 0) break
      filled += count
    }
    return filled
  }

  async #turn(): Promise<void> {
    this.#signal?.throwIfAborted()
    if (monotonicMilliseconds() < this.#turnEnds) return
    await setImmediate()
    this.#turnEnds = monotonicMilliseconds() + TURN_MS
  }
}

/** Path of a file below a folder, for names that need not be UTF-8. */
export const pathBelow = (folder: string, name: string): Buffer =>
  Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(name, 'latin1')])
