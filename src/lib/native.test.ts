import { afterEach, describe, expect, test, vi } from 'vitest'
import { nativeLibrary } from './native.ts'

const library = nativeLibrary()

describe.skipIf(!library)('the native library', () => {
  test('copies between views by address, whatever memory they are over', () => {
    const copy = library!.func('memcpy', 'void', ['uintptr_t', 'uintptr_t', 'size_t'])!
    const source = new Uint8Array(new SharedArrayBuffer(100)).map((_, i) => i)
    const target = new Uint8Array(200)
    copy(library!.addressOf(target.subarray(50)), library!.addressOf(source.subarray(10)), 20)
    expect(target.subarray(50, 70)).toEqual(source.slice(10, 30))
    expect(target.subarray(70).every((byte) => byte === 0)).toBe(true)
  })

  test('passes views without copying', () => {
    const fill = library!.func('memset', 'void', ['void*', 'int', 'size_t'])!
    const target = new Uint8Array(30)
    fill(target.subarray(10), 7, 5)
    expect([...target].map((byte, at) => byte === 7 && at)).toEqual(
      [...target].map((_, at) => at >= 10 && at < 15 && at),
    )
  })

  test('has nothing for a symbol that does not exist', () => {
    expect(library!.func('holdfast_no_such_symbol', 'int', [])).toBeUndefined()
  })

  test('tells why the C library refused', () => {
    const close = library!.func('close', 'int', ['int'])!
    expect(close(1_000_000)).toBe(-1)
    expect(library!.errno()).toBe(9) // EBADF
  })
})

describe('switched off', () => {
  afterEach(() => {
    vi.unstubAllEnvs()
  })

  test('there is none', () => {
    vi.stubEnv('HOLDFAST_NATIVE', 'off')
    expect(nativeLibrary()).toBeUndefined()
  })
})
