/** A queue that one side fills without waiting, and the other empties. */
export class PackFeed<T> implements AsyncIterable<T> {
  readonly #capacity: number
  readonly #waiting: T[] = []
  #hasEnded = false
  #wake: () => void = () => undefined

  /** Beyond `capacity` nothing more is taken. */
  constructor(capacity: number) {
    this.#capacity = capacity
  }

  /** False when it is full, or has ended. */
  push(item: T): boolean {
    if (this.#hasEnded || this.#waiting.length >= this.#capacity) return false
    this.#waiting.push(item)
    this.#wake()
    return true
  }

  /** What is in it still comes out. */
  end(): void {
    this.#hasEnded = true
    this.#wake()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const item = this.#waiting.shift()
      if (item !== undefined) yield item
      else if (this.#hasEnded) return
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
    }
  }
}
