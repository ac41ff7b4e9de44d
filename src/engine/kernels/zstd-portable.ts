import { constants, type ZstdOptions, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { asBuffer } from '../../lib/bytes.ts'
import { systemErrorCode } from '../../lib/errors.ts'
import type { Zstd } from './zstd.ts'
import { compressBound, damagedFrame, frameContentSize, outputTooSmall, tooLargeFrame } from './zstd-frame.ts'
import { type ZstdSettings, zstdParameters } from './zstd-settings.ts'

const SMALLEST_CHUNK_BYTES = 64

/** zstd by node:zlib, which makes a context for every call. */
export function createPortableZstd(settings: ZstdSettings): Zstd {
  const params: Record<number, number> = {}
  for (const [parameter, value] of zstdParameters(settings)) params[parameter] = value
  // node:zlib keeps parameters in unsigned words and reads all ones as "not set": level -1 would mean the default level 3.
  if (settings.level === -1) params[constants.ZSTD_c_compressionLevel] = -2
  return {
    compress(input, output) {
      const chunkSize = compressBound(input.length) + SMALLEST_CHUNK_BYTES
      const options: ZstdOptions = { params, chunkSize, pledgedSrcSize: input.length }
      const frame = zstdCompressSync(asBuffer(input), options)
      if (frame.length > output.length) throw outputTooSmall(input.length, output.length)
      output.set(frame)
      return frame.length
    },
    decompress(input, output) {
      const expected = frameContentSize(input)
      if (expected !== undefined && expected > output.length) throw tooLargeFrame(input, output.length)
      const plain = decompress(input, expected ?? output.length, output.length)
      if (expected !== undefined && plain.length !== expected) throw damagedFrame(input, 'it is cut short')
      if (plain.length > output.length) throw tooLargeFrame(input, output.length)
      output.set(plain)
      return plain.length
    },
    close() {},
  }
}

function decompress(input: Uint8Array, expectedBytes: number, limitBytes: number): Uint8Array {
  try {
    return zstdDecompressSync(asBuffer(input), {
      chunkSize: expectedBytes + SMALLEST_CHUNK_BYTES,
      maxOutputLength: Math.max(1, limitBytes),
    })
  } catch (error) {
    if (systemErrorCode(error) === 'ERR_BUFFER_TOO_LARGE') throw tooLargeFrame(input, limitBytes)
    throw damagedFrame(input, 'it is damaged', error)
  }
}
