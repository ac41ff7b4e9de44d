const INITIAL_BYTES = 64 * 1024

/** Commands as servers take them (https://redis.io/docs/latest/develop/reference/protocol-spec/), put together without an object for each argument. */
export class CommandBuffer {
  #bytes: Buffer = Buffer.alloc(0)
  #used = 0

  /** Where the next byte comes to stand. */
  get length(): number {
    return this.#used
  }

  /** The head of a command of so many arguments. */
  command(args: number): void {
    this.#number('*', args)
  }

  /** The head of an argument of so many bytes, which come next, with `end` behind them. */
  argument(bytes: number): void {
    this.#number('$', bytes)
  }

  end(): void {
    this.text('\r\n')
  }

  /** A whole argument. */
  string(bytes: Uint8Array): void {
    this.argument(bytes.length)
    this.raw(bytes)
    this.end()
  }

  /** Text of ASCII as it is. */
  text(text: string): void {
    this.#reserve(text.length)
    this.#used += this.#bytes.write(text, this.#used, 'latin1')
  }

  byte(value: number): void {
    this.#reserve(1)
    this.#bytes[this.#used++] = value
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#bytes.set(bytes, this.#used)
    this.#used += bytes.length
  }

  /** What stands from `start` on. Valid until more is added. */
  since(start: number): Uint8Array {
    return this.#bytes.subarray(start, this.#used)
  }

  /** What has been added since the last call; its memory is not used again. */
  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.#used)
    this.#bytes = Buffer.alloc(0)
    this.#used = 0
    return taken
  }

  #number(mark: string, value: number): void {
    this.text(`${mark}${value}\r\n`)
  }

  #reserve(bytes: number): void {
    const needed = this.#used + bytes
    if (needed <= this.#bytes.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(INITIAL_BYTES, 2 * needed))
    grown.set(this.#bytes.subarray(0, this.#used))
    this.#bytes = grown
  }
}
