import { createHash, hash } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest'
import { toHex, utf8 } from '../../lib/bytes.ts'
import { nativeLibrary } from '../../lib/native.ts'
import type * as sha256Module from './sha256.ts'
import { type Sha256Choice, type Sha256Job, sha256Calibration } from './sha256.ts'
import { nativeSha256 } from './sha256-native.ts'

/** The module as a process with or without the native library sees it. */
async function fresh(native: 'on' | 'off'): Promise<typeof sha256Module> {
  vi.resetModules()
  vi.stubEnv('HOLDFAST_NATIVE', native)
  return import('./sha256.ts')
}

const library = nativeLibrary()
const native = library && nativeSha256(library)

const ways: readonly (readonly [name: string, library: 'on' | 'off', Sha256Choice])[] = [
  ...(native?.lanes ? [2, 4, 8] : []).map(
    (lanes) => [`${lanes} native lanes`, 'on', { kernel: 'native', lanes, minimumLanes: lanes / 2, rate: 1 }] as const,
  ),
  ['WebAssembly lanes', 'on', { kernel: 'wasm', lanes: 4, minimumLanes: 2, rate: 1 }],
  ['WebAssembly lanes without the native library', 'off', { kernel: 'wasm', lanes: 4, minimumLanes: 2, rate: 1 }],
  ['one after the other', 'on', { kernel: 'alone', lanes: 1, minimumLanes: 1, rate: 1 }],
  ['one after the other without the native library', 'off', { kernel: 'alone', lanes: 1, minimumLanes: 1, rate: 1 }],
]

afterEach(() => {
  vi.unstubAllEnvs()
})
afterAll(() => {
  vi.resetModules()
})

describe.each(ways)('SHA-256 by %s', (_, library, choice) => {
  test('digests the examples of FIPS 180-4', async () => {
    const { sha256, sha256Hex } = await fresh(library)
    expect(sha256Hex(utf8('abc'))).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
    expect(sha256Hex(new Uint8Array(0))).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
    expect(sha256Hex(utf8('abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq'))).toBe(
      '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
    )
    expect(toHex(sha256(new Uint8Array(1_000_000).fill(0x61)))).toBe(
      'cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0',
    )
  })

  test('digests every length around blocks and copied messages', async () => {
    const { sha256Hex } = await fresh(library)
    const bytes = new Uint8Array(new SharedArrayBuffer(1200)).map((__, i) => i * 13)
    for (let length = 0; length <= bytes.length; length++) {
      const message = bytes.subarray(bytes.length - length)
      expect(sha256Hex(message)).toBe(hash('sha256', message))
    }
  })

  test('digests batches of messages and streams as node:crypto does one by one', async () => {
    const { hashTogether, Sha256Stream, useSha256 } = await fresh(library)
    expect(useSha256(choice).kernel).toBe(choice.kernel)
    const length = fc.oneof(fc.nat(300), fc.nat(5000), fc.nat(100_000))
    const job = fc.record({ length, at: fc.nat(5000), stream: fc.constantFrom(undefined, undefined, 0, 1, 2) })
    const data = new Uint8Array(new SharedArrayBuffer(110_000)).map((__, i) => (i * i) >>> 5)
    fc.assert(
      fc.property(fc.array(job, { maxLength: 30 }), (jobs) => {
        const streams = [0, 1, 2].map(() => new Sha256Stream().update(utf8('before')))
        const expectedStreams = streams.map(() => createHash('sha256').update('before'))
        const batch = jobs.map(({ length, at, stream }): Sha256Job => {
          const bytes = data.subarray(at, at + length)
          if (stream === undefined) return { bytes, digest: new Uint8Array(32) }
          expectedStreams[stream]!.update(bytes)
          return { bytes, stream: streams[stream]! }
        })
        hashTogether(batch)
        for (const done of batch) if ('digest' in done) expect(toHex(done.digest)).toBe(hash('sha256', done.bytes))
        for (const stream of streams) stream.update(utf8('after'))
        for (const expected of expectedStreams) expected.update('after')
        expect(streams.map((stream) => toHex(stream.digest()))).toEqual(
          expectedStreams.map((expected) => expected.digest('hex')),
        )
      }),
      { numRuns: 60 },
    )
  })

  test('refuses a stream whose digest was taken, and a digest of the wrong size', async () => {
    const { hashTogether, Sha256Stream, useSha256 } = await fresh(library)
    useSha256(choice)
    const stream = new Sha256Stream()
    stream.digest()
    const bytes = new Uint8Array(1000)
    const misuse = expect.objectContaining({ code: 'HF_INTERNAL' })
    expect(() => stream.digest()).toThrow(misuse)
    expect(() => stream.update(bytes)).toThrow(misuse)
    expect(() => hashTogether([{ bytes, stream }])).toThrow(misuse)
    expect(() => hashTogether([{ bytes, digest: new Uint8Array(31) }])).toThrow(misuse)
  })
})

describe('calibration', () => {
  test('chooses something that is there, and keeps to it', () => {
    const choice = sha256Calibration()
    expect(choice.rate).toBeGreaterThan(0)
    expect(choice.minimumLanes).toBeGreaterThanOrEqual(1)
    if (choice.kernel === 'native') expect(native?.lanes).toBeDefined()
    expect(sha256Calibration()).toBe(choice)
  })

  test('made by a thread with the native library serves one without', async () => {
    const { hashTogether, useSha256 } = await fresh('off')
    expect(useSha256({ kernel: 'native', lanes: 8, minimumLanes: 2, rate: 1 }).kernel).toBe('alone')
    const bytes = new Uint8Array(5000)
    const digest = new Uint8Array(32)
    hashTogether([{ bytes, digest }])
    expect(toHex(digest)).toBe(hash('sha256', bytes))
  })
})

describe('the native functions', () => {
  test.skipIf(!library)('are refused when they compute something else', async () => {
    vi.resetModules()
    const { nativeSha256: find } = await import('./sha256-native.ts')
    const wrong = find({ ...library!, func: () => () => 0 as never })
    expect(wrong).toBeUndefined()
  })

  test.skipIf(!native?.lanes)('are used alone when only the lanes compute something else', async () => {
    vi.resetModules()
    const { nativeSha256: find } = await import('./sha256-native.ts')
    const half = find({
      ...library!,
      func: (name, result, args) =>
        name === 'sha256_multi_block' ? () => 0 as never : library!.func(name, result, args),
    })
    expect(half?.compress).toBeDefined()
    expect(half?.lanes).toBeUndefined()
  })
})
