import { asBuffer } from '../../../lib/bytes.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import { documentLength, MAX_DOCUMENT_BYTES, MIN_DOCUMENT_BYTES } from './raw.ts'

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
  let rest: Buffer = Buffer.alloc(0)
  let offset = 0
  const damaged = (what: string, at: number, cause?: unknown): HoldfastError =>
    new HoldfastError('HF_DATA_DAMAGED', `${name} is damaged: ${what} at byte ${offset + at}`, { cause })
  for await (const piece of input) {
    const bytes: Buffer = rest.length === 0 ? asBuffer(piece) : Buffer.concat([rest, piece])
    let at = 0
    let count = 0
    while (bytes.length - at >= 4) {
      const length = bytes.readInt32LE(at)
      if (length < MIN_DOCUMENT_BYTES || length > MAX_DOCUMENT_BYTES) throw damaged('no document begins', at)
      if (at + length > bytes.length) break
      try {
        documentLength(bytes, at, bytes.length)
      } catch (error) {
        throw damaged('a document does not end where it says', at, error)
      }
      at += length
      count++
    }
    if (count > 0) yield { bytes: bytes.subarray(0, at), count }
    offset += at
    rest = Buffer.from(bytes.subarray(at))
  }
  if (rest.length > 0) throw damaged('a document is cut off', 0)
}
