import { createRequire } from 'node:module'

/** What a native function takes: numbers and bigints for integers and addresses, views for `void*`, null for a null pointer. */
export type NativeArgument = number | bigint | string | boolean | null | ArrayBufferView | ArrayBufferLike

export type NativeFunction<Result = number> = (...args: NativeArgument[]) => Result

/**
 * Calls into the C library and into the libraries bundled with Node (OpenSSL, libzstd), without copying.
 *
 * Nothing checks a native call: whoever makes one checks every length first.
 */
export interface NativeLibrary {
  /**
   * A function of the process by its symbol; undefined when there is none.
   * Types are C names (`int`, `size_t`, `uintptr_t`, `void*` ...). `void*` takes views, also over shared memory, without copying.
   * 64-bit results are numbers while they are safe integers, else bigints.
   */
  func<Result = number>(name: string, result: string, args: readonly string[]): NativeFunction<Result> | undefined
  /**
   * Address of the first byte of a view, for tables of pointers. Valid as long as the view's buffer lives and is not detached;
   * the caller keeps the view reachable until the call that uses the address has returned.
   */
  addressOf(view: Uint8Array): number
  /** The `errno` left by the last call. */
  errno(): number
}

/** The part of koffi used here; spelled out so that our declarations do not need an optional dependency. */
interface Koffi {
  load(path: null): { func(name: string, result: string, args: readonly string[]): NativeFunction<never> }
  address(value: ArrayBufferLike): bigint
  errno(): number
}

/** undefined: not tried yet in this thread; null: not available. */
let loaded: NativeLibrary | null | undefined

/**
 * The native library of this thread, loaded at the first call; undefined when koffi is not installed or does not load, or when
 * `HOLDFAST_NATIVE=off` is in the environment. Callers then use their portable version.
 */
export function nativeLibrary(): NativeLibrary | undefined {
  if (process.env.HOLDFAST_NATIVE === 'off') return undefined
  if (loaded === undefined) loaded = load()
  return loaded ?? undefined
}

function load(): NativeLibrary | null {
  try {
    const koffi = createRequire(import.meta.url)('koffi') as Koffi
    const library = koffi.load(null)
    // Memory behind a buffer never moves once its buffer object exists, so the address is asked for once per buffer.
    const addresses = new WeakMap<ArrayBufferLike, number>()
    return {
      func: (name, result, args) => {
        try {
          return library.func(name, result, args)
        } catch {
          return undefined
        }
      },
      addressOf: (view) => {
        const buffer = view.buffer
        let address = addresses.get(buffer)
        if (address === undefined) {
          address = Number(koffi.address(buffer))
          addresses.set(buffer, address)
        }
        return address + view.byteOffset
      },
      errno: () => koffi.errno(),
    }
  } catch {
    return null
  }
}
