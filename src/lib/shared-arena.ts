import { HoldfastError } from './errors.ts'

/** Pieces begin at a multiple of this, so that no two share a line of a processor's cache. */
const ALIGNMENT = 64

interface Extent {
  readonly start: number
  readonly end: number
}

interface Waiting {
  readonly length: number
  readonly give: (piece: Uint8Array<SharedArrayBuffer>) => void
}

/**
 * Memory of a fixed size that threads share, given out in pieces and taken back: what is read at the same time is bounded by it, and none of
 * it is left to the garbage collector. Whoever asks for more than is free waits, in the order of asking. Memory that was never given out
 * takes no room.
 */
export class SharedArena {
  readonly #memory: SharedArrayBuffer
  /** Free extents in order of their place; no two touch. */
  #free: Extent[]
  /** Pieces given out, by where they begin. */
  readonly #given = new Map<number, Extent>()
  /** A piece larger than all of the memory has its own, and is alone. */
  #oversized: Uint8Array<SharedArrayBuffer> | undefined
  readonly #waiting: Waiting[] = []

  constructor(bytes: number) {
    this.#memory = new SharedArrayBuffer(bytes)
    this.#free = [{ start: 0, end: bytes }]
  }

  /** A piece of exactly `length` bytes, whatever they hold, until `release`. */
  async allocate(length: number): Promise<Uint8Array<SharedArrayBuffer>> {
    const piece = this.#waiting.length === 0 ? this.#take(length) : undefined
    return piece ?? (await new Promise((give) => this.#waiting.push({ length, give })))
  }

  /** Takes a piece back, which nobody may use any more. */
  release(piece: Uint8Array<SharedArrayBuffer>): void {
    if (piece === this.#oversized) this.#oversized = undefined
    else this.#putBack(piece)
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const given = this.#take(next.length)
      if (given === undefined) return
      this.#waiting.shift()
      next.give(given)
    }
  }

  #take(length: number): Uint8Array<SharedArrayBuffer> | undefined {
    if (this.#oversized !== undefined) return undefined
    // Also a piece without bytes takes some room, so that it has a place of its own.
    const room = Math.max(1, Math.ceil(length / ALIGNMENT)) * ALIGNMENT
    if (room > this.#memory.byteLength) {
      if (this.#given.size > 0) return undefined
      this.#oversized = new Uint8Array(new SharedArrayBuffer(length))
      return this.#oversized
    }
    const at = this.#free.findIndex(({ start, end }) => end - start >= room)
    if (at < 0) return undefined
    const { start, end } = this.#free[at]!
    if (end - start === room) this.#free.splice(at, 1)
    else this.#free[at] = { start: start + room, end }
    this.#given.set(start, { start, end: start + room })
    return new Uint8Array(this.#memory, start, length)
  }

  #putBack({ byteOffset, buffer }: Uint8Array<SharedArrayBuffer>): void {
    const extent = buffer === this.#memory ? this.#given.get(byteOffset) : undefined
    if (extent === undefined) throw new HoldfastError('HF_INTERNAL', 'memory was given back that was not given out')
    this.#given.delete(byteOffset)
    let at = this.#free.findIndex(({ start }) => start > byteOffset)
    if (at < 0) at = this.#free.length
    const before = this.#free[at - 1]?.end === extent.start ? this.#free[at - 1] : undefined
    const after = this.#free[at]?.start === extent.end ? this.#free[at] : undefined
    const joined = { start: before?.start ?? extent.start, end: after?.end ?? extent.end }
    const from = before === undefined ? at : at - 1
    this.#free.splice(from, (before === undefined ? 0 : 1) + (after === undefined ? 0 : 1), joined)
  }
}
