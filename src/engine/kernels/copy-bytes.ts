import { nativeLibrary } from '../../lib/native.ts'

/** Shorter copies are quicker without a call into the C library. */
const LEAST_NATIVE_BYTES = 16 * 1024

type Copy = (target: Uint8Array, bytes: Uint8Array, at: number) => void

/** undefined: not looked for yet in this thread. */
let copy: Copy | undefined

/**
 * Copies `bytes` into `target` from `at` on. V8 copies into shared memory word by word, since another thread might look on. Nobody does
 * where memory changes hands by messages, and the C library takes a fraction of that time.
 *
 * @throws RangeError when they do not fit
 */
export function copyBytes(target: Uint8Array, bytes: Uint8Array, at: number): void {
  if (bytes.length < LEAST_NATIVE_BYTES) {
    target.set(bytes, at)
    return
  }
  if (at < 0 || at + bytes.length > target.length) throw new RangeError(`${bytes.length} bytes do not fit at ${at}`)
  copy ??= nativeCopy() ?? plainCopy
  copy(target, bytes, at)
}

const plainCopy: Copy = (target, bytes, at) => target.set(bytes, at)

function nativeCopy(): Copy | undefined {
  const library = nativeLibrary()
  const move = library?.func('memmove', 'void', ['uintptr_t', 'uintptr_t', 'size_t'])
  if (library === undefined || move === undefined) return undefined
  return (target, bytes, at) => {
    move(library.addressOf(target) + at, library.addressOf(bytes), bytes.length)
  }
}
