import { HoldfastError } from '../../../lib/errors.ts'

const COPY_DATA = 0x64
const HEADER_BYTES = 5

export interface Unframed {
  /** Bytes of the piece that are dealt with. */
  readonly used: number
  /** Data lies at [0, end) of the piece. */
  readonly end: number
  /** Messages that began, each of them a row. */
  readonly rows: number
  /** Bytes of the last message that are still to come. */
  readonly left: number
}

/**
 * Takes the headers of CopyData messages out of a piece of a connection, in place: what they carry moves together at its beginning. Ends
 * at a message of another type, and at a header that is not whole.
 *
 * @throws HoldfastError HF_SOURCE_DAMAGED for a length no message has
 * @param left bytes at the beginning of `piece` that belong to a message whose header was before it
 */
export function unframe(piece: Buffer, left: number): Unframed {
  const { length } = piece
  let at = 0
  let end = 0
  let rows = 0
  for (;;) {
    if (left > 0) {
      const count = Math.min(left, length - at)
      if (end !== at) move(piece, end, at, count)
      end += count
      at += count
      left -= count
    }
    if (at + HEADER_BYTES > length || piece[at] !== COPY_DATA) return { used: at, end, rows, left }
    left = ((piece[at + 1]! << 24) | (piece[at + 2]! << 16) | (piece[at + 3]! << 8) | piece[at + 4]!) - 4
    if (left < 0) throw new HoldfastError('HF_SOURCE_DAMAGED', 'the server sent a row of an impossible length')
    at += HEADER_BYTES
    rows++
  }
}

/** A call of the engine's own function costs as much as moving some dozens of bytes. */
const SHORT_BYTES = 24

function move(piece: Buffer, to: number, from: number, count: number): void {
  if (count > SHORT_BYTES) piece.copyWithin(to, from, from + count)
  else for (let i = 0; i < count; i++) piece[to + i] = piece[from + i]!
}
