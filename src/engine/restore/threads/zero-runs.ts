/** Bytes [start, end) of a piece that hold data. */
export interface DataRun {
  readonly start: number
  readonly end: number
}

/** Unit in which file systems keep holes. */
const BLOCK_BYTES = 4096

const zeros = Buffer.alloc(BLOCK_BYTES)

/**
 * The parts of `bytes`, which go to `offset` of a file, that are not whole blocks of zeros: what has to be written into a new file whose
 * holes read as zeros.
 */
export function* dataRuns(bytes: Uint8Array, offset: number): IterableIterator<DataRun> {
  let start = -1
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + BLOCK_BYTES - ((offset + at) % BLOCK_BYTES))
    const isHole = Buffer.compare(bytes.subarray(at, end), zeros.subarray(0, end - at)) === 0
    if (isHole && start >= 0) {
      yield { start, end: at }
      start = -1
    } else if (!isHole && start < 0) start = at
    at = end
  }
  if (start >= 0) yield { start, end: bytes.length }
}
