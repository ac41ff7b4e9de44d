import { ProtocolError } from './protocol.ts'

/** OpenSSH sends at most 256 KiB; nothing that is asked for here needs more. */
const LARGEST_PACKET = 1 << 20

/** Cuts what a server sends into packets. */
export class PacketStream {
  readonly #onPacket: (packet: Buffer) => void
  #pieces: Buffer[] = []
  #have = 0

  /** @param onPacket takes each packet without its length */
  constructor(onPacket: (packet: Buffer) => void) {
    this.#onPacket = onPacket
  }

  /** @throws ProtocolError for a packet of an impossible length, and what `onPacket` throws */
  push(piece: Buffer): void {
    this.#pieces.push(piece)
    this.#have += piece.length
    while (this.#have >= 4) {
      const length = this.#peekLength()
      if (length === 0 || length > LARGEST_PACKET) throw new ProtocolError(`a packet of ${length} bytes`)
      if (this.#have < 4 + length) return
      this.#onPacket(this.#take(4 + length).subarray(4))
    }
  }

  #peekLength(): number {
    if (this.#pieces[0]!.length < 4) this.#pieces = [Buffer.concat(this.#pieces)]
    return this.#pieces[0]!.readUInt32BE(0)
  }

  #take(length: number): Buffer {
    this.#have -= length
    const first = this.#pieces[0]!
    if (first.length >= length) {
      if (first.length === length) this.#pieces.shift()
      else this.#pieces[0] = first.subarray(length)
      return first.subarray(0, length)
    }
    const taken: Buffer[] = []
    for (let left = length; left > 0; ) {
      const piece = this.#pieces[0]!
      taken.push(piece.subarray(0, left))
      if (piece.length <= left) this.#pieces.shift()
      else this.#pieces[0] = piece.subarray(left)
      left -= Math.min(left, piece.length)
    }
    return Buffer.concat(taken, length)
  }
}
