import { HoldfastError } from '../../../lib/errors.ts'
import { BsonType, documentLength } from './raw.ts'

/** Documents one behind the other. */
export interface DocumentBatch {
  readonly bytes: Buffer
  readonly count: number
  /** Where the last one begins; meaningless when there is none. */
  readonly lastStart: number
}

/**
 * Turns a BSON array of documents, as cursors return it, into its documents one behind the other, in the same memory: what stands between
 * them is moved over. The array is no array afterwards.
 * @throws HoldfastError HF_SOURCE_DAMAGED when it holds anything but documents
 */
export function unpackArray(array: Buffer): DocumentBatch {
  const end = documentLength(array, 0, array.length) - 1
  let to = 0
  let count = 0
  let lastStart = 0
  for (let at = 4; at < end; ) {
    if (array[at] !== BsonType.document) throw damaged()
    let start = at + 2
    while (start < end && array[start - 1] !== 0) start++
    const length = documentLength(array, start, end)
    array.copyWithin(to, start, start + length)
    lastStart = to
    to += length
    count++
    at = start + length
  }
  return { bytes: array.subarray(0, to), count, lastStart }
}

const damaged = (): HoldfastError =>
  new HoldfastError('HF_SOURCE_DAMAGED', 'the server returns something that is no document')

/** The documents of a batch. @throws HoldfastError HF_SOURCE_DAMAGED */
export function* documentsOf(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; ) {
    const length = documentLength(bytes, at, bytes.length)
    yield bytes.subarray(at, at + length)
    at += length
  }
}
