/** Collects small pieces of output into large ones. */
export interface Output {
  /** How many bytes have been put in. */
  readonly position: number
  /** Takes bytes; the caller may change them when the promise has resolved. */
  write(bytes: Uint8Array): Promise<void>
  /** Hands on what is left. */
  flush(): Promise<void>
}

const PIECE_BYTES = 128 * 1024

export function createOutput(write: (bytes: Uint8Array) => Promise<void>): Output {
  const piece = new Uint8Array(PIECE_BYTES)
  let filled = 0
  let position = 0
  const flush = async (): Promise<void> => {
    const length = filled
    filled = 0
    if (length > 0) await write(piece.subarray(0, length))
  }
  return {
    get position() {
      return position
    },
    write: async (bytes) => {
      position += bytes.length
      if (filled + bytes.length > PIECE_BYTES) await flush()
      if (bytes.length >= PIECE_BYTES) return write(bytes)
      piece.set(bytes, filled)
      filled += bytes.length
    },
    flush,
  }
}
