import { equalBytes } from '../../lib/bytes.ts'
import { HoldfastError } from '../../lib/errors.ts'
import type { NativeFunction, NativeLibrary } from '../../lib/native.ts'
import { freeContexts, freeNow, freeWith, type NativeContext } from './native-contexts.ts'
import type { Zstd } from './zstd.ts'
import { compressBound, damagedFrame, frameContentSize, outputTooSmall, tooLargeFrame } from './zstd-frame.ts'
import { type ZstdSettings, zstdParameters } from './zstd-settings.ts'

/** ZSTD_error_dstSize_tooSmall of zstd_errors.h. Failures come back as the negated code. */
const DESTINATION_TOO_SMALL = -70

interface Functions {
  readonly createCompressor: NativeFunction
  readonly createDecompressor: NativeFunction
  readonly freeCompressor: NativeFunction
  readonly freeDecompressor: NativeFunction
  readonly setParameter: NativeFunction
  readonly compress: NativeFunction
  readonly decompress: NativeFunction
}

/** undefined: not looked for yet in this thread; null: missing or failed the self-test. */
let functions: Functions | null | undefined

/**
 * zstd by the libzstd inside Node with one compression and one decompression context; undefined when its symbols are missing, its
 * self-test fails or a parameter is refused.
 */
export function createNativeZstd(library: NativeLibrary, settings: ZstdSettings): Zstd | undefined {
  if (functions === undefined) functions = findFunctions(library) ?? null
  return functions ? open(functions, settings) : undefined
}

function findFunctions(library: NativeLibrary): Functions | undefined {
  // Results are size_t; read as signed so that error codes are small negative numbers.
  const createCompressor = library.func('ZSTD_createCCtx', 'uintptr_t', [])
  const createDecompressor = library.func('ZSTD_createDCtx', 'uintptr_t', [])
  const freeCompressor = library.func('ZSTD_freeCCtx', 'intptr_t', ['uintptr_t'])
  const freeDecompressor = library.func('ZSTD_freeDCtx', 'intptr_t', ['uintptr_t'])
  const setParameter = library.func('ZSTD_CCtx_setParameter', 'intptr_t', ['uintptr_t', 'int', 'int'])
  const compress = library.func('ZSTD_compress2', 'intptr_t', ['uintptr_t', 'void*', 'size_t', 'void*', 'size_t'])
  const decompress = library.func('ZSTD_decompressDCtx', 'intptr_t', [
    'uintptr_t',
    'void*',
    'size_t',
    'void*',
    'size_t',
  ])
  if (!createCompressor || !createDecompressor || !freeCompressor || !freeDecompressor) return undefined
  if (!setParameter || !compress || !decompress) return undefined
  const found = {
    createCompressor,
    createDecompressor,
    freeCompressor,
    freeDecompressor,
    setParameter,
    compress,
    decompress,
  }
  return passesSelfTest(found) ? found : undefined
}

/** Round trip of a compressible message, and refusal of a damaged frame and of too small an output. */
function passesSelfTest(candidate: Functions): boolean {
  const zstd = open(candidate, { level: 1 })
  if (!zstd) return false
  const message = new Uint8Array(5000)
  for (let i = 0; i < message.length; i++) message[i] = (i * i) >>> 4
  const frame = new Uint8Array(compressBound(message.length))
  const plain = new Uint8Array(message.length)
  try {
    const written = frame.subarray(0, zstd.compress(message, frame))
    if (frameContentSize(written) !== message.length || written.length >= message.length) return false
    if (zstd.decompress(written, plain) !== message.length || !equalBytes(plain, message)) return false
    return (
      refuses(() => zstd.decompress(written.subarray(0, written.length - 1), plain)) &&
      refuses(() => zstd.decompress(written, plain.subarray(1)))
    )
  } catch {
    return false
  } finally {
    zstd.close()
  }
}

function refuses(action: () => unknown): boolean {
  try {
    action()
    return false
  } catch {
    return true
  }
}

function open(native: Functions, settings: ZstdSettings): Zstd | undefined {
  const compressor = native.createCompressor()
  const decompressor = native.createDecompressor()
  const contexts: readonly NativeContext[] = [
    { address: compressor, free: native.freeCompressor },
    { address: decompressor, free: native.freeDecompressor },
  ]
  let usable = compressor !== 0 && decompressor !== 0
  for (const [parameter, value] of usable ? zstdParameters(settings) : []) {
    if (native.setParameter(compressor, parameter, value) < 0) usable = false
  }
  if (!usable) {
    freeContexts(contexts)
    return undefined
  }
  let closed = false
  const assertOpen = (): void => {
    if (closed) throw new HoldfastError('HF_INTERNAL', 'a zstd context was used after it was closed')
  }
  const zstd: Zstd = {
    compress(input, output) {
      assertOpen()
      const written = native.compress(compressor, output, output.length, input, input.length)
      if (written >= 0) return written
      if (written === DESTINATION_TOO_SMALL) throw outputTooSmall(input.length, output.length)
      throw new HoldfastError('HF_INTERNAL', `zstd failed to compress ${input.length} bytes (error ${-written})`)
    },
    decompress(input, output) {
      assertOpen()
      // libzstd takes nothing for zero frames.
      if (input.length === 0) throw damagedFrame(input, 'it is not a zstd frame')
      const written = native.decompress(decompressor, output, output.length, input, input.length)
      if (written >= 0) return written
      if (written === DESTINATION_TOO_SMALL) throw tooLargeFrame(input, output.length)
      throw damagedFrame(input, `it is damaged (zstd error ${-written})`)
    },
    close() {
      if (closed) return
      closed = true
      freeNow(zstd, contexts)
    },
  }
  freeWith(zstd, contexts)
  return zstd
}
