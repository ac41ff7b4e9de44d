import { asBuffer } from '../../../lib/bytes.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import { documentLength, MAX_DOCUMENT_BYTES, MIN_DOCUMENT_BYTES } from './raw.ts'

/** With which a document begins. */
const LENGTH_BYTES = 4

/** Whole documents one behind the other. */
export interface DocumentRun {
  readonly bytes: Buffer
  readonly count: number
}

/**
 * Cuts a stream of BSON, as a `.bson` file of mongodump is one, into runs of whole documents. Memory is bounded by the largest piece and the
 * largest document.
 * @throws HoldfastError HF_DATA_DAMAGED that says at which byte of `name` what is no document begins
 */
export async function* documentRuns(input: AsyncIterable<Uint8Array>, name: string): AsyncGenerator<DocumentRun> {
  /** The beginning of a document, and where in the file it is. */
  let rest: Buffer = Buffer.alloc(0)
  let offset = 0
  const damaged = (what: string, at: number, cause?: unknown): HoldfastError =>
    new HoldfastError('HF_DATA_DAMAGED', `${name} is damaged: ${what} at byte ${offset + at}`, { cause })
  const lengthAt = (bytes: Buffer, at: number): number => {
    const length = bytes.readInt32LE(at)
    if (length < MIN_DOCUMENT_BYTES || length > MAX_DOCUMENT_BYTES) throw damaged('no document begins', at)
    return length
  }
  const checkEnd = (bytes: Buffer, at: number): void => {
    try {
      documentLength(bytes, at, bytes.length)
    } catch (error) {
      throw damaged('a document does not end where it says', at, error)
    }
  }
  for await (const piece of input) {
    let bytes: Buffer = asBuffer(piece)
    // Only the document that lies in two pieces is copied.
    while (rest.length > 0 && bytes.length > 0) {
      const wanted = rest.length < LENGTH_BYTES ? LENGTH_BYTES : lengthAt(rest, 0)
      const missing = bytes.subarray(0, wanted - rest.length)
      rest = Buffer.concat([rest, missing])
      bytes = bytes.subarray(missing.length)
      if (rest.length < LENGTH_BYTES || rest.length < lengthAt(rest, 0)) continue
      checkEnd(rest, 0)
      yield { bytes: rest, count: 1 }
      offset += rest.length
      rest = Buffer.alloc(0)
    }
    let at = 0
    let count = 0
    while (bytes.length - at >= LENGTH_BYTES) {
      const length = lengthAt(bytes, at)
      if (at + length > bytes.length) break
      checkEnd(bytes, at)
      at += length
      count++
    }
    if (count > 0) yield { bytes: bytes.subarray(0, at), count }
    offset += at
    if (at < bytes.length) rest = Buffer.from(bytes.subarray(at))
  }
  if (rest.length > 0) throw damaged('a document is cut off', 0)
}
