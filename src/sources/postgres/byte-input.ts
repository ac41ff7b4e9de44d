const nothing = new Uint8Array(0)

/** Reads bytes by count from an input that comes in pieces of any size. Nothing is copied but what lies across a border. */
export class ByteInput {
  readonly #source: AsyncIterator<Uint8Array>
  #piece: Uint8Array = nothing

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]()
  }

  /** The next `count` bytes, or as many as are left. Valid until the next call unless copied. */
  async take(count: number): Promise<Uint8Array> {
    if (this.#piece.length >= count) return this.#cut(count)
    const parts: Uint8Array[] = []
    let missing = count
    for (;;) {
      const part = await this.some(missing)
      if (part.length === 0) break
      // Copied: an input may use its memory again for the next piece.
      parts.push(Buffer.from(part))
      missing -= part.length
      if (missing === 0) break
    }
    return Buffer.concat(parts)
  }

  /** Copies the next bytes into `target`; returns how many there were, fewer than it holds only at the end. */
  async fill(target: Uint8Array): Promise<number> {
    let filled = 0
    while (filled < target.length) {
      const part = await this.some(target.length - filled)
      if (part.length === 0) break
      target.set(part, filled)
      filled += part.length
    }
    return filled
  }

  /** At least one and at most `limit` of the next bytes; none only at the end, or when none are asked for. */
  async some(limit: number): Promise<Uint8Array> {
    while (this.#piece.length === 0) {
      const next = await this.#source.next()
      if (next.done === true) return nothing
      this.#piece = next.value
    }
    return this.#cut(limit)
  }

  #cut(limit: number): Uint8Array {
    const part = this.#piece.subarray(0, limit)
    this.#piece = this.#piece.subarray(part.length)
    return part
  }
}
