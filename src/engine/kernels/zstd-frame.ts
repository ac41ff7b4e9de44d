import { HoldfastError } from '../../lib/errors.ts'

const MAGIC = 0xfd2fb528

/** Largest size of a frame of `length` bytes (libzstd's ZSTD_COMPRESSBOUND). */
export function compressBound(length: number): number {
  const small = 128 * 1024
  return length + Math.floor(length / 256) + (length < small ? (small - length) >>> 11 : 0)
}

/**
 * Content size a frame's header states, in bytes; undefined when it states none, as in the frames of tiny payloads written by restic
 * (RFC 8878, 3.1.1.1). HF_DATA_DAMAGED when this is no zstd frame.
 */
export function frameContentSize(frame: Uint8Array): number | undefined {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength)
  if (frame.length < 6 || view.getUint32(0, true) !== MAGIC) throw damagedFrame(frame, 'it is not a zstd frame')
  const descriptor = frame[4]!
  const singleSegment = (descriptor & 0x20) !== 0
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3]!
  const sizeFlag = descriptor >>> 6
  const at = 5 + (singleSegment ? 0 : 1) + dictionaryBytes
  const sizeBytes = sizeFlag === 0 ? (singleSegment ? 1 : 0) : 1 << sizeFlag
  if (sizeBytes === 0) return undefined
  if (frame.length < at + sizeBytes) throw damagedFrame(frame, 'it is cut short')
  if (sizeBytes === 1) return frame[at]!
  if (sizeBytes === 2) return view.getUint16(at, true) + 256
  if (sizeBytes === 4) return view.getUint32(at, true)
  return Number(view.getBigUint64(at, true))
}

export function damagedFrame(frame: Uint8Array, reason: string, cause?: unknown): HoldfastError {
  return new HoldfastError(
    'HF_DATA_DAMAGED',
    `compressed data of ${frame.length} bytes cannot be decompressed: ${reason}`,
    {
      context: { compressedBytes: frame.length },
      ...(cause === undefined ? {} : { cause }),
    },
  )
}

/** A frame with more content than there is room for; `isTooLarge` recognises it. */
export function tooLargeFrame(frame: Uint8Array, roomBytes: number): HoldfastError {
  return new HoldfastError(
    'HF_DATA_DAMAGED',
    `compressed data of ${frame.length} bytes cannot be decompressed: it holds more than the expected ${roomBytes} bytes`,
    { context: { compressedBytes: frame.length, tooLarge: true } },
  )
}

export const isTooLarge = (error: unknown): boolean => error instanceof HoldfastError && error.context.tooLarge === true

export function outputTooSmall(inputBytes: number, outputBytes: number): HoldfastError {
  return new HoldfastError(
    'HF_INTERNAL',
    `compressing ${inputBytes} bytes needs more room than the ${outputBytes} bytes given`,
  )
}
