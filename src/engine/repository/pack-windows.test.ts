import { createHash, randomFillSync } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { scratchFolder } from '../../../test/support/test-repository.ts'
import { PackWindows } from './pack-windows.ts'

const WINDOW = 128 * 1024

/** Packs of noise in the local layout. */
function writePacks(scratch: ReturnType<typeof scratchFolder>, sizes: readonly number[]) {
  return sizes.map((size) => {
    const bytes = randomFillSync(new Uint8Array(size))
    const pack = createHash('sha256').update(bytes).digest('hex')
    mkdirSync(scratch.join('data', pack.slice(0, 2)), { recursive: true })
    writeFileSync(scratch.join('data', pack.slice(0, 2), pack), bytes)
    return { pack, bytes }
  })
}

test('gives the bytes of any part of any pack, however windows and packs lie and are forgotten', () => {
  using scratch = scratchFolder()
  const packs = writePacks(scratch, [
    10 * WINDOW + 17,
    WINDOW,
    5,
    ...Array.from({ length: 12 }, (_, i) => 3 * WINDOW + i),
    // More than are held open.
    ...Array.from({ length: 64 }, (_, i) => 1000 + i),
  ])
  const windows = new PackWindows(scratch.path)
  const read = (pack: string, offset: number, length: number): Uint8Array =>
    windows.read({ pack, offset, length, uncompressedLength: 0 })
  const memory = new Uint8Array(2 * WINDOW)
  const readAlone = (pack: string, offset: number, length: number): Uint8Array => {
    const location = { pack, offset, length, uncompressedLength: 0 }
    windows.willReadAlone(location)
    return windows.readAlone(location, memory)
  }
  for (let round = 0; round < 2; round++)
    for (const { pack, bytes } of packs)
      for (const offset of [0, 1, WINDOW - 1, WINDOW, 2 * WINDOW - 3, bytes.length - 5])
        for (const length of [1, 5, WINDOW, WINDOW + 1, 2 * WINDOW]) {
          if (offset < 0 || offset + length > bytes.length) continue
          for (const one of [read, readAlone])
            expect(Buffer.compare(one(pack, offset, length), bytes.subarray(offset, offset + length))).toBe(0)
        }
  for (const { pack, bytes } of packs) {
    for (const one of [read, readAlone])
      expect(() => one(pack, bytes.length - 4, 5)).toThrow('shorter than the index says')
    expect(() => read(pack, bytes.length + WINDOW, 2 * WINDOW)).toThrow('shorter than the index says')
  }
  for (const one of [read, readAlone]) expect(() => one('ab'.repeat(32), 0, 1)).toThrow('ENOENT')
  windows.close()
})
