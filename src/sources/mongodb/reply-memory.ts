import { freeNow } from '../../lib/bytes.ts'

/** What large replies come into: twice what is asked for at a time, since documents differ in size. */
const REPLY_BYTES = 2 * 1024 * 1024
/** Smaller messages are left to the garbage collection. */
const SMALL_BYTES = 64 * 1024

/**
 * Memory for replies, which is used again. V8 counts memory outside of its heap, and looks through all of the heap for every few dozen
 * megabytes that come and go there: for a stream of replies that was a fifth of all processor time.
 */
export class ReplyMemory {
  readonly #free: Buffer[] = []
  /** Whatever is not given back is collected like anything else. */
  readonly #lent = new WeakSet<ArrayBufferLike>()

  /** Memory for a message of which `bytes` are known to come: at least so much. */
  take(bytes: number): Buffer {
    if (bytes <= SMALL_BYTES) return Buffer.allocUnsafeSlow(bytes)
    const memory = this.#kept(bytes) ?? Buffer.allocUnsafeSlow(Math.max(bytes, REPLY_BYTES))
    this.#lent.add(memory.buffer)
    return memory
  }

  /** Takes back what `bytes` lie in, if it is of here. They cannot be read any more. */
  release({ buffer }: Uint8Array): void {
    if (!this.#lent.delete(buffer)) return
    if (buffer.byteLength === REPLY_BYTES) this.#free.push(Buffer.from(buffer))
    else freeNow(buffer)
  }

  #kept(bytes: number): Buffer | undefined {
    return bytes <= REPLY_BYTES ? this.#free.pop() : undefined
  }
}
