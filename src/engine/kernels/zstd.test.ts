import { constants, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { fromHex, utf8 } from '../../lib/bytes.ts'
import { nativeLibrary } from '../../lib/native.ts'
import { compressBound, createZstd, decompressAll, frameContentSize, type Zstd, type ZstdSettings } from './zstd.ts'
import { createNativeZstd } from './zstd-native.ts'
import { createPortableZstd } from './zstd-portable.ts'

const library = nativeLibrary()

const kinds: readonly (readonly [string, (settings: ZstdSettings) => Zstd])[] = [
  ...(library ? [['native', (settings: ZstdSettings): Zstd => createNativeZstd(library, settings)!] as const] : []),
  ['portable', createPortableZstd],
]

const damaged = expect.objectContaining({ code: 'HF_DATA_DAMAGED' })
const misuse = expect.objectContaining({ code: 'HF_INTERNAL' })

function compressed(zstd: Zstd, plain: Uint8Array): Uint8Array {
  const output = new Uint8Array(compressBound(plain.length))
  return output.slice(0, zstd.compress(plain, output))
}

const lines = utf8(Array.from({ length: 20_000 }, (_, i) => `line ${i} of a text ${(i * 7919) % 1000}\n`).join(''))

/** Log of the window that a frame asks its reader for (RFC 8878, 3.1.1.1.2); undefined when the content is the window. */
function windowLog(frame: Uint8Array): number | undefined {
  return frame[4]! & 0x20 ? undefined : 10 + (frame[5]! >>> 3)
}

describe.each(kinds)('%s zstd', (_, create) => {
  test('brings back what it compressed, of any size and between shared memory', () => {
    const zstd = create({ level: 3 })
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 2000 }),
      fc.nat(400_000).map((length) => lines.subarray(0, length)),
    )
    fc.assert(
      fc.property(bytes, (plain) => {
        const shared = new Uint8Array(new SharedArrayBuffer(2 * plain.length + compressBound(plain.length)))
        shared.set(plain)
        const room = shared.subarray(plain.length, plain.length + compressBound(plain.length))
        const frame = room.subarray(0, zstd.compress(shared.subarray(0, plain.length), room))
        const back = shared.subarray(plain.length + room.length)
        expect(zstd.decompress(frame, back)).toBe(plain.length)
        expect(Buffer.compare(back, plain)).toBe(0)
      }),
      { numRuns: 50 },
    )
  })

  test('states the content size and adds neither checksum nor dictionary', () => {
    for (const length of [0, 1, 255, 256, 65_791, 65_792, lines.length]) {
      const frame = compressed(create({ level: 1 }), lines.subarray(0, length))
      expect(frameContentSize(frame)).toBe(length)
      expect(frame[4]! & 0b111).toBe(0)
    }
  })

  test('never asks for a window above 8 MiB', () => {
    const plain = new Uint8Array(9 * 1024 * 1024)
    expect(windowLog(compressed(create({ level: 22 }), plain))).toBe(23)
  })

  test('obeys its settings', () => {
    const size = (settings: ZstdSettings): number => compressed(create(settings), lines).length
    expect(size({ level: 1 })).toBeLessThan(size({ level: -5 }))
    expect(size({ level: 19 })).toBeLessThan(size({ level: 1 }))
    expect(size({ level: 1, minMatch: 4 })).not.toBe(size({ level: 1 }))
    expect(windowLog(compressed(create({ level: 3, windowLog: 15 }), lines))).toBe(15)
    expect(size({ level: -1 })).not.toBe(size({ level: 3 }))
  })

  test.each([{ level: 0 }, { level: 23 }, { level: -8 }, { level: 1.5 }, { level: 1, windowLog: 24 }])(
    'refuses %j',
    (settings) => {
      expect(() => create(settings)).toThrow(misuse)
    },
  )

  test('notices a frame cut short anywhere', () => {
    const zstd = create({ level: 3 })
    const plain = lines.subarray(0, 3000)
    const frame = compressed(zstd, plain)
    const back = new Uint8Array(plain.length)
    for (let length = 0; length < frame.length; length++) {
      expect(() => zstd.decompress(frame.subarray(0, length), back)).toThrow(damaged)
    }
    expect(zstd.decompress(frame, back)).toBe(plain.length)
  })

  test('never takes changed bytes for the same content without saying so', () => {
    const zstd = create({ level: 3 })
    const plain = lines.subarray(0, 5000)
    const frame = compressed(zstd, plain)
    const back = new Uint8Array(plain.length)
    for (let at = 0; at < 12; at++) {
      const broken = frame.slice()
      broken[at]! ^= 0x40
      let length: number | undefined
      try {
        length = zstd.decompress(broken, back)
      } catch (error) {
        expect(error).toEqual(damaged)
      }
      if (length === plain.length) expect(Buffer.compare(back, plain)).not.toBe(0)
    }
  })

  test('refuses more content than there is room for, and nonsense', () => {
    const zstd = create({ level: 3 })
    const frame = compressed(zstd, lines)
    const guarded = new Uint8Array(lines.length + 100)
    expect(() => zstd.decompress(frame, guarded.subarray(0, lines.length - 1))).toThrow(damaged)
    expect(guarded.subarray(lines.length).every((byte) => byte === 0)).toBe(true)
    expect(() => zstd.decompress(frame, new Uint8Array(0))).toThrow(damaged)
    expect(() => zstd.decompress(lines, guarded)).toThrow(damaged)
    expect(() => zstd.compress(lines, guarded.subarray(0, 50))).toThrow(misuse)
  })

  test('reads frames others write: without content size, with checksum, with a long window, in several blocks', () => {
    const zstd = create({ level: 3 })
    const back = new Uint8Array(lines.length)
    for (const params of [
      { [constants.ZSTD_c_contentSizeFlag]: 0 },
      { [constants.ZSTD_c_checksumFlag]: 1 },
      { [constants.ZSTD_c_windowLog]: 27 },
      { [constants.ZSTD_c_windowLog]: 10 },
    ]) {
      back.fill(0)
      expect(zstd.decompress(zstdCompressSync(lines, { params }), back)).toBe(lines.length)
      expect(Buffer.compare(back, lines)).toBe(0)
    }
  })
})

describe('frames of unknown size', () => {
  /** As restic writes tiny payloads: one raw block with "a". */
  const tiny = fromHex('28b52ffd0000090000' + '61')
  const without = { params: { [constants.ZSTD_c_contentSizeFlag]: 0 } }

  afterEach(() => {
    vi.unstubAllEnvs()
    vi.resetModules()
  })

  test.each(['on', 'off'])('decompress up to a limit, native library %s', async (native) => {
    vi.resetModules()
    vi.stubEnv('HOLDFAST_NATIVE', native)
    const { decompressAll } = await import('./zstd.ts')
    expect(frameContentSize(tiny)).toBeUndefined()
    expect(decompressAll(tiny, 100)).toEqual(utf8('a'))
    const frame = zstdCompressSync(lines, without)
    expect(frameContentSize(frame)).toBeUndefined()
    expect(Buffer.compare(decompressAll(frame, lines.length), lines)).toBe(0)
    expect(() => decompressAll(frame, lines.length - 1)).toThrow(damaged)
    expect(() => decompressAll(frame.subarray(0, -1), 2 * lines.length)).toThrow(damaged)
  })

  test('cannot fill memory, whether they hide their size or claim one', () => {
    const bomb = new Uint8Array(256 * 1024 * 1024)
    const hidden = zstdCompressSync(bomb, without)
    expect(hidden.length).toBeLessThan(30_000)
    expect(() => decompressAll(hidden, 1024 * 1024)).toThrow(damaged)
    expect(() => decompressAll(zstdCompressSync(bomb), 1024 * 1024)).toThrow(damaged)
  })

  test('are no frames without the magic number', () => {
    expect(() => decompressAll(utf8('{"version":2}'), 1000)).toThrow(damaged)
    expect(() => decompressAll(new Uint8Array(3), 1000)).toThrow(damaged)
  })
})

describe('a bound', () => {
  test('suffices for data that cannot be compressed', () => {
    const zstd = createZstd({ level: 1 })
    for (const length of [0, 1, 100, 70_000, 131_071, 131_072, 300_000]) {
      const noise = crypto.getRandomValues(new Uint8Array(Math.min(length, 65_536)))
      const plain = new Uint8Array(length).map((_, i) => noise[i % 65_536]! ^ (i >>> 16))
      expect(compressed(zstd, plain).length).toBeLessThanOrEqual(compressBound(length))
    }
  })
})

describe.skipIf(!library)('the native functions', () => {
  test('are refused when they compute something else', async () => {
    vi.resetModules()
    const { createNativeZstd: create } = await import('./zstd-native.ts')
    // Compression that stores garbage, with real contexts.
    const broken = {
      ...library!,
      func: (name: string, result: string, args: readonly string[]) =>
        name === 'ZSTD_compress2' ? () => 20 as never : library!.func<never>(name, result, args),
    }
    expect(create(broken, { level: 1 })).toBeUndefined()
  })

  test('are refused when one is missing', async () => {
    vi.resetModules()
    const { createNativeZstd: create } = await import('./zstd-native.ts')
    const incomplete = {
      ...library!,
      func: (name: string, result: string, args: readonly string[]) =>
        name === 'ZSTD_decompressDCtx' ? undefined : library!.func<never>(name, result, args),
    }
    expect(create(incomplete, { level: 1 })).toBeUndefined()
  })

  test('are not used after closing', () => {
    const zstd = createNativeZstd(library!, { level: 1 })!
    zstd.close()
    zstd.close()
    expect(() => zstd.compress(lines, new Uint8Array(compressBound(lines.length)))).toThrow(misuse)
    expect(() => zstd.decompress(lines, new Uint8Array(10))).toThrow(misuse)
  })
})
