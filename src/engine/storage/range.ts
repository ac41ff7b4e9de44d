import { HoldfastError } from '../../lib/errors.ts'
import { type ByteRange, describeFile, type FileRef } from './storage.ts'

/**
 * The part of a file of `sizeBytes` that a read asks for: all of it without `range`.
 * Throws HF_STORAGE_SHORT when the range ends past the end of the file.
 */
export function rangeWithin(
  file: FileRef,
  sizeBytes: number,
  range: ByteRange | undefined,
  location: string,
): ByteRange {
  if (range === undefined) return { offset: 0, length: sizeBytes }
  assertRange(file, range)
  if (range.offset + range.length > sizeBytes) throw shortFile(describeFile(file), sizeBytes, range, location)
  return range
}

/** Throws HF_INTERNAL for a range that is none: negative, fractional or not a safe integer. */
export function assertRange(file: FileRef, { offset, length }: ByteRange): void {
  if (Number.isSafeInteger(offset) && offset >= 0 && Number.isSafeInteger(length) && length >= 0) return
  throw new HoldfastError('HF_INTERNAL', `${length} bytes at ${offset} of ${describeFile(file)} is not a range`)
}

/**
 * What a reader gets for bytes that are not there. By default nothing a retry could heal; a store behind a network that may have cut the
 * answer says `retry: 'later'`.
 */
export function shortFile(
  object: string,
  sizeBytes: number,
  range: ByteRange,
  location: string,
  retry: 'never' | 'later' = 'never',
): HoldfastError {
  return new HoldfastError(
    'HF_STORAGE_SHORT',
    `${object} in ${location} ends at ${sizeBytes}: there are no ${range.length} bytes at ${range.offset}`,
    {
      retry,
      hint: 'The file is damaged or the index is wrong: run check.',
      context: { object, sizeBytes, offset: range.offset, length: range.length },
    },
  )
}
