import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fromHex, toHex } from '../../../lib/bytes.ts'
import { isHoldfastError } from '../../../lib/errors.ts'
import { errorFrom } from '../../storage/testing.ts'
import { rowsOf } from './blob-rows.ts'
import {
  decodeHeader,
  encodeHeader,
  entryBytes,
  MAX_HEADER_BYTES,
  MAX_PACK_ENTRIES,
  PACK_FRAME_BYTES,
  type PackEntry,
  packBytes,
  sealedHeaderBytes,
} from './header.ts'

const PACK = 'a'.repeat(64)
const BLOB = 'ac08ce34ba4f8123618661bef2425f7028ffb9ac740578a3ee88684d2523fee8'

const lengthField = (length: number): Uint8Array => {
  const field = Buffer.alloc(4)
  field.writeUInt32LE(length)
  return field
}

/** Blobs that lie one behind the other. */
const entries: fc.Arbitrary<PackEntry[]> = fc
  .array(
    fc.record({
      type: fc.constantFrom('data' as const, 'tree' as const),
      id: fc.stringMatching(/^[0-9a-f]{64}$/),
      length: fc.integer({ min: 32, max: 1 << 23 }),
      uncompressedLength: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 0xffff_ffff })),
    }),
    { maxLength: 100 },
  )
  .map((blobs) => {
    let offset = 0
    return blobs.map((blob) => {
      const placed = { ...blob, offset }
      offset += blob.length
      return placed
    })
  })

describe('the header of a pack', () => {
  test('is written as restic writes it', () => {
    const uncompressed = { type: 'tree', id: BLOB, offset: 0, length: 45, uncompressedLength: 0 } as const
    expect(toHex(encodeHeader(rowsOf([uncompressed])))).toBe(`012d000000${BLOB}`)
    const compressed = {
      type: 'data',
      id: BLOB,
      offset: 0,
      length: 0x01020304,
      uncompressedLength: 0x05060708,
    } as const
    expect(toHex(encodeHeader(rowsOf([compressed])))).toBe(`020403020108070605${BLOB}`)
    expect(packBytes([uncompressed])).toBe(118)
  })

  test('comes back, and is as long as it is counted', () => {
    void fc.assert(
      fc.property(entries, (blobs) => {
        const header = encodeHeader(rowsOf(blobs))
        expect(decodeHeader(header, PACK)).toEqual(blobs)
        const counted = blobs.reduce((sum, { uncompressedLength }) => sum + entryBytes(uncompressedLength), 0)
        expect(header.length).toBe(counted)
        const stored = blobs.reduce((sum, { length }) => sum + length, 0)
        expect(packBytes(blobs)).toBe(stored + counted + PACK_FRAME_BYTES)
      }),
      { numRuns: 50 },
    )
  })

  test('of any bytes is read or refused, never misread', () => {
    void fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        try {
          expect(encodeHeader(rowsOf(decodeHeader(bytes, PACK)))).toEqual(Buffer.from(bytes))
        } catch (error) {
          if (!isHoldfastError(error, 'HF_PACK_DAMAGED')) throw error
        }
      }),
    )
  })

  test.each([
    ['an unknown type', `042d000000${BLOB}`],
    ['half an entry', `012d000000${BLOB.slice(2)}`],
    ['half a compressed entry', `022d00000005000000${BLOB.slice(2)}`],
    ['a blob too short to be sealed', `011f000000${BLOB}`],
    ['an empty compressed blob', `022d00000000000000${BLOB}`],
  ])('with %s is damaged', async (_, header) => {
    expect((await errorFrom(() => decodeHeader(fromHex(header), PACK))).code).toBe('HF_PACK_DAMAGED')
  })

  test('has a length that fits into its file and into memory', async () => {
    expect(sealedHeaderBytes(lengthField(69), 118, PACK)).toBe(69)
    expect(sealedHeaderBytes(lengthField(69), 73, PACK)).toBe(69)
    expect(sealedHeaderBytes(lengthField(MAX_HEADER_BYTES), 1 << 30, PACK)).toBe(MAX_HEADER_BYTES)
    for (const [length, size] of [
      [69, 72],
      [0, 118],
      [31, 118],
      [68, 118],
      [115, 118],
      [0xffff_ffff, 118],
      [MAX_HEADER_BYTES + 1, 1 << 30],
    ] as const)
      expect((await errorFrom(() => sealedHeaderBytes(lengthField(length), size, PACK))).code, `${length}`).toBe(
        'HF_PACK_DAMAGED',
      )
  })

  test('has room for as many entries as a writer puts into it', () => {
    expect(MAX_PACK_ENTRIES).toBe(409_199)
    expect(MAX_PACK_ENTRIES * 41 + 32).toBeLessThanOrEqual(MAX_HEADER_BYTES)
  })
})
