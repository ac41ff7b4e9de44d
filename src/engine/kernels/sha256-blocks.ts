/** SHA-256 (FIPS 180-4) around a function that compresses whole blocks: state, padding, byte order, and the walk over a message's blocks. */

export const BLOCK_BYTES = 64
export const DIGEST_BYTES = 32

/** Compresses `blocks` (at least one) whole blocks at the front of `bytes` into the eight words of `state`. */
export type CompressBlocks = (state: Uint32Array, bytes: Uint8Array, blocks: number) => void

export const initialWords: Uint32Array = new Uint32Array([
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
])

/** A message in progress: the state after its whole blocks, and the bytes of the block begun (the first totalBytes mod 64 of `block`). */
export interface Sha256State {
  readonly words: Uint32Array
  readonly block: Uint8Array
  totalBytes: number
}

/** Padding is one byte with the top bit set, zeros, and the length in bits as eight bytes. */
const PADDING_BYTES = 9

export const newSha256State = (): Sha256State => ({
  words: initialWords.slice(),
  block: new Uint8Array(BLOCK_BYTES),
  totalBytes: 0,
})

/** Writes the state words at `first`, `first + stride` ... as a digest. */
export function writeDigest(words: Uint32Array, first: number, stride: number, digest: Uint8Array): void {
  for (let i = 0; i < 8; i++) writeWord(digest, 4 * i, words[first + i * stride]!)
}

/**
 * Completes a message of `totalBytes` whose last `usedBytes` are at the front of `area`, which has room for two blocks more; returns the number of
 * blocks they now fill.
 */
export function pad(area: Uint8Array, usedBytes: number, totalBytes: number): number {
  const blocks = Math.ceil((usedBytes + PADDING_BYTES) / BLOCK_BYTES)
  const end = blocks * BLOCK_BYTES
  area[usedBytes] = 0x80
  area.fill(0, usedBytes + 1, end - 8)
  writeWord(area, end - 8, Math.floor(totalBytes / 0x20000000))
  writeWord(area, end - 4, totalBytes << 3)
  return blocks
}

function writeWord(area: Uint8Array, at: number, word: number): void {
  area[at] = word >>> 24
  area[at + 1] = word >>> 16
  area[at + 2] = word >>> 8
  area[at + 3] = word
}

/** Messages up to this size are copied and padded as one run, which is cheaper than a run of its own for the last block. */
const STAGED_BYTES = 1024

const nothing = new Uint8Array(0)

/**
 * Walks over bytes as runs of whole blocks, copying only what does not make up a block. After a `start...`, each `next` that answers true
 * leaves a run of `blocks` blocks at `at` in `source`, to be compressed before `next` is called again.
 */
export class BlockWalk {
  source: Uint8Array = nothing
  at = 0
  blocks = 0
  readonly #staging: Uint8Array = new Uint8Array(STAGED_BYTES + 2 * BLOCK_BYTES)
  #pieces: readonly Uint8Array[] = []
  #piece = 0
  #position = 0
  #state: Sha256State | undefined
  #padded = false

  /** A whole message with its padding. */
  startMessage(message: Uint8Array): void {
    this.source = message
    this.#state = undefined
    this.#position = 0
    this.#padded = false
  }

  /** Bytes to append to a message in progress; `state` keeps what does not fill a block, and counts them. */
  startUpdate(state: Sha256State, pieces: readonly Uint8Array[]): void {
    this.#state = state
    this.#pieces = pieces
    this.#piece = 0
    this.#position = 0
  }

  next(): boolean {
    return this.#state ? this.#nextOfUpdate(this.#state) : this.#nextOfMessage()
  }

  #nextOfMessage(): boolean {
    if (this.#padded) return false
    const message = this.source
    const rest = message.length - this.#position
    if (rest > STAGED_BYTES) {
      this.#run(message, 0, Math.floor(rest / BLOCK_BYTES))
      this.#position = this.blocks * BLOCK_BYTES
      return true
    }
    this.#staging.set(this.#position === 0 ? message : message.subarray(this.#position))
    this.#padded = true
    this.#run(this.#staging, 0, pad(this.#staging, rest, message.length))
    return true
  }

  #nextOfUpdate(state: Sha256State): boolean {
    for (; this.#piece < this.#pieces.length; this.#piece++, this.#position = 0) {
      const piece = this.#pieces[this.#piece]!
      const rest = piece.length - this.#position
      const used = state.totalBytes % BLOCK_BYTES
      const take = used === 0 && rest >= BLOCK_BYTES ? rest - (rest % BLOCK_BYTES) : Math.min(rest, BLOCK_BYTES - used)
      if (take === 0) continue
      const at = this.#position
      this.#position += take
      state.totalBytes += take
      if (take >= BLOCK_BYTES) {
        this.#run(piece, at, take / BLOCK_BYTES)
        return true
      }
      state.block.set(piece.subarray(at, at + take), used)
      if (used + take === BLOCK_BYTES) {
        this.#run(state.block, 0, 1)
        return true
      }
    }
    return false
  }

  #run(source: Uint8Array, at: number, blocks: number): void {
    this.source = source
    this.at = at
    this.blocks = blocks
  }
}

/** Compresses all runs of a started walk, one after the other. */
export function compressWalk(walk: BlockWalk, words: Uint32Array, compress: CompressBlocks): void {
  while (walk.next()) compress(words, walk.at === 0 ? walk.source : walk.source.subarray(walk.at), walk.blocks)
}

/** Ends a message in progress and writes its digest; the state is used up. */
export function finishState(state: Sha256State, compress: CompressBlocks, digest: Uint8Array): void {
  const last = new Uint8Array(2 * BLOCK_BYTES)
  const used = state.totalBytes % BLOCK_BYTES
  last.set(state.block.subarray(0, used))
  compress(state.words, last, pad(last, used, state.totalBytes))
  writeDigest(state.words, 0, 1, digest)
}
