import { HoldfastError } from '../../lib/errors.ts'
import { shortFile } from './range.ts'
import { type ByteRange, describeFile, type FileRef } from './storage.ts'

/**
 * The bytes of an answer of a server, which are `expected` of the file; in `into` if that is as long.
 * @throws HoldfastError HF_STORAGE_SHORT when fewer come, since the connection was cut; HF_STORAGE_IO when more come
 */
export async function readBody(
  body: AsyncIterable<Uint8Array>,
  expected: ByteRange,
  file: FileRef,
  location: string,
  into?: Uint8Array,
): Promise<Uint8Array> {
  const bytes = into?.length === expected.length ? into : allocate(expected.length, file, location)
  let done = 0
  for await (const piece of body) {
    if (done + piece.length > bytes.length)
      throw new HoldfastError('HF_STORAGE_IO', `${location} sent more of ${describeFile(file)} than was asked for`)
    bytes.set(piece, done)
    done += piece.length
  }
  if (done < bytes.length) throw shortFile(describeFile(file), expected.offset + done, expected, location, 'later')
  return bytes
}

function allocate(length: number, file: FileRef, location: string): Uint8Array {
  try {
    return new Uint8Array(length)
  } catch (cause) {
    const text = `${describeFile(file)} in ${location} is too large to read: ${length} bytes`
    throw new HoldfastError('HF_STORAGE_IO', text, { retry: 'never', cause })
  }
}

/** All of an answer that is small by its nature. @throws HoldfastError HF_STORAGE_IO when it is larger than `maxBytes` */
export async function readBounded(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  let total = 0
  for await (const piece of body) {
    total += piece.length
    if (total > maxBytes)
      throw new HoldfastError('HF_STORAGE_IO', `a server answered with more than ${maxBytes} bytes`, { retry: 'never' })
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}
