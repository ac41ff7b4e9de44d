import { describe, expect, test } from 'vitest'
import { type CpuProfile, sharesOf } from './stages.ts'

/** A profile in which each function took so many microseconds. */
const profile = (...spent: readonly (readonly [functionName: string, url: string, time: number])[]): CpuProfile => ({
  nodes: spent.map(([functionName, url], id) => ({ id, callFrame: { functionName, url } })),
  samples: spent.map((_, id) => id),
  timeDeltas: spent.map(([, , time]) => time),
})

describe('the shares of stages', () => {
  test('are of the time that is not idle, of all threads', () => {
    const saver = profile(
      ['(idle)', '', 1000],
      ['read', '', 10],
      ['wasm-function[1]', 'wasm://wasm/9dc6b606', 10],
      ['run', 'file:///x/kernels/sha256-native.ts', 5],
      ['compress', 'file:///x/kernels/zstd-native.ts', 40],
      ['decompress', 'file:///x/kernels/zstd-native.ts', 10],
      ['crypt', 'file:///x/kernels/cipher-native.ts', 5],
      ['fsync', '', 10],
      ['read', 'file:///x/posix/directory-reader.ts', 5],
    )
    const key = profile(['wasm-function[0]', 'wasm://wasm/a6b54aee', 5], ['', 'file:///x/kernels/scrypt-blocks.ts', 0])
    const shares = { read: 0.1, chunk: 0.1, hash: 0.05, compress: 0.4, verify: 0.1, encrypt: 0.05, write: 0.1 }
    expect(sharesOf([saver, key])).toEqual({ ...shares, key: 0.05, other: 0.05 })
  })

  test('of nothing are not told', () => {
    expect(() => sharesOf([profile(['(idle)', '', 1])])).toThrow('no time')
  })
})
