import { nativeLibrary } from '../../lib/native.ts'
import { damagedFrame, frameContentSize, isTooLarge, tooLargeFrame } from './zstd-frame.ts'
import { createNativeZstd } from './zstd-native.ts'
import { createPortableZstd } from './zstd-portable.ts'
import type { ZstdSettings } from './zstd-settings.ts'

export { compressBound, frameContentSize } from './zstd-frame.ts'
export type { ZstdSettings } from './zstd-settings.ts'

/**
 * One compressor and decompressor with contexts kept for its lifetime; belongs to one thread.
 * Input and output may be views over shared memory and must not overlap.
 */
export interface Zstd {
  /**
   * Compresses `input` into one frame with content size, without checksum and dictionary, and returns the bytes written.
   * `compressBound(input.length)` bytes of output are always enough; HF_INTERNAL when it is too small.
   */
  compress(input: Uint8Array, output: Uint8Array): number
  /** Returns the bytes written; HF_DATA_DAMAGED when the frame is damaged or holds more than `output` has room for. */
  decompress(input: Uint8Array, output: Uint8Array): number
  /** Frees the contexts now instead of at garbage collection; the object cannot be used afterwards. */
  close(): void
}

/** zstd with these settings: the libzstd inside Node called directly, or node:zlib. */
export function createZstd(settings: ZstdSettings): Zstd {
  const library = nativeLibrary()
  return (library && createNativeZstd(library, settings)) ?? createPortableZstd(settings)
}

const FIRST_GUESS_BYTES = 64 * 1024

/** Settings do not matter for decompression; one object serves the thread. */
let decompressor: Zstd | undefined

/**
 * Decompresses a frame of unknown size to new memory. HF_DATA_DAMAGED when it is damaged or holds more than `limitBytes`, so that a small
 * hostile frame cannot exhaust memory.
 */
export function decompressAll(frame: Uint8Array, limitBytes: number): Uint8Array {
  const size = frameContentSize(frame)
  if (size !== undefined && size > limitBytes) throw tooLargeFrame(frame, limitBytes)
  decompressor ??= createZstd({ level: 1 })
  if (size !== undefined) {
    const plain = new Uint8Array(size)
    if (decompressor.decompress(frame, plain) !== size) throw damagedFrame(frame, 'it is shorter than it claims')
    return plain
  }
  for (let guessBytes = Math.max(FIRST_GUESS_BYTES, frame.length * 4); ; guessBytes *= 4) {
    const plain = new Uint8Array(Math.min(guessBytes, limitBytes))
    try {
      return plain.slice(0, decompressor.decompress(frame, plain))
    } catch (error) {
      if (plain.length === limitBytes || !isTooLarge(error)) throw error
    }
  }
}
