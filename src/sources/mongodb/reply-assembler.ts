import { freeNow } from '../../lib/bytes.ts'
import type { ReplyMemory } from './reply-memory.ts'

/** Length, two ids and kind (mongodb/docs, "MongoDB Wire Protocol", "Standard Message Header"). */
const HEADER_BYTES = 16
const KIND_AT = 12
const OP_COMPRESSED = 2012
/** Memory for more is taken as it comes: a length is quickly said. */
const TRUSTED_BYTES = 4 * 1024 * 1024

/**
 * Puts messages together from the pieces of a socket, each into memory of its own where its pieces are copied once. Has the form of the
 * driver's own buffer between a socket and its messages, in whose place it stands (mongodb, lib/utils.js, `BufferPool`).
 */
export class ReplyAssembler {
  readonly #memory: ReplyMemory
  readonly #whole: Buffer[] = []
  readonly #header: Buffer = Buffer.alloc(HEADER_BYTES)
  /** Of the message in the making. */
  #message: Buffer | undefined
  #size: number | null = null
  #filled = 0

  constructor(memory: ReplyMemory) {
    this.#memory = memory
  }

  /** Bytes that were not read yet. */
  get length(): number {
    return this.#whole.reduce((sum, { length }) => sum + length, this.#filled)
  }

  /** Takes a piece of the connection, which nobody else may hold: its memory is freed. */
  append(piece: Uint8Array): void {
    for (let rest = piece; rest.length > 0; ) rest = rest.subarray(this.#add(rest))
    if (piece.length === piece.buffer.byteLength) freeNow(piece.buffer)
  }

  /** The size of the next message; negative for one that no message has, which the driver refuses; null while it is not known. */
  getInt32(): number | null {
    return this.#whole[0]?.length ?? this.#size
  }

  /** The next message, which is whole. */
  read(size: number): Buffer {
    const message = this.#whole.shift()
    if (message?.length !== size) throw new RangeError(`there is no message of ${size} bytes`)
    return message
  }

  /** Adds the beginning of a piece to the message in the making; returns the bytes that are dealt with. */
  #add(piece: Uint8Array): number {
    // Nothing can be made of what follows.
    if (this.#size !== null && this.#size < 0) return piece.length
    if (this.#size === null) {
      const part = piece.subarray(0, HEADER_BYTES - this.#filled)
      this.#header.set(part, this.#filled)
      this.#filled += part.length
      if (this.#filled === HEADER_BYTES) this.#begin()
      return part.length
    }
    const part = piece.subarray(0, this.#size - this.#filled)
    const message = this.#withRoom(part.length)
    message.set(part, this.#filled)
    this.#filled += part.length
    if (this.#filled === this.#size) this.#finish(message)
    return part.length
  }

  #begin(): void {
    const size = this.#header.readInt32LE(0)
    this.#size = size < HEADER_BYTES ? -1 : size
    if (this.#size < 0) return
    this.#message = this.#take(Math.min(size, TRUSTED_BYTES))
    this.#message.set(this.#header)
    if (size === HEADER_BYTES) this.#finish(this.#message)
  }

  #withRoom(bytes: number): Buffer {
    const message = this.#message!
    const needed = this.#filled + bytes
    if (needed <= message.length) return message
    const larger = this.#take(Math.min(this.#size!, Math.max(needed, 2 * message.length)))
    larger.set(message.subarray(0, this.#filled))
    this.#memory.release(message)
    this.#message = larger
    return larger
  }

  #take(bytes: number): Buffer {
    // What is unpacked lies elsewhere, and nobody would give this back.
    const isCompressed = this.#header.readInt32LE(KIND_AT) === OP_COMPRESSED
    return isCompressed ? Buffer.allocUnsafeSlow(bytes) : this.#memory.take(bytes)
  }

  #finish(message: Buffer): void {
    this.#whole.push(message.subarray(0, this.#size!))
    this.#message = undefined
    this.#size = null
    this.#filled = 0
  }
}
