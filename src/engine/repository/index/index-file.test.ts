import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fromUtf8, utf8 } from '../../../lib/bytes.ts'
import { errorFrom } from '../../storage/testing.ts'
import { entriesOf, rowsOf } from '../pack/blob-rows.ts'
import type { PackEntry } from '../pack/header.ts'
import { decodeIndex, encodeIndex, type IndexedPack } from './index-file.ts'

const NAME = 'a'.repeat(64)
const PACK = '65a0df607d9067e24d38e08e2665e13dd27c632dee08d5cf9a07d227227f2f6e'
const BLOB = 'ac08ce34ba4f8123618661bef2425f7028ffb9ac740578a3ee88684d2523fee8'

function decode(json: Uint8Array | string): IndexedPack[] {
  const packs: IndexedPack[] = []
  decodeIndex(typeof json === 'string' ? utf8(json) : json, NAME, (pack) => packs.push(pack))
  return packs
}

const id = fc.stringMatching(/^[0-9a-f]{64}$/)
const length = fc.integer({ min: 0, max: 0xffff_ffff })
const entry: fc.Arbitrary<PackEntry> = fc.record({
  type: fc.constantFrom('data' as const, 'tree' as const),
  id,
  offset: length,
  length,
  uncompressedLength: fc.oneof(fc.constant(0), length),
})

describe('an index file', () => {
  test('is written as restic writes it', () => {
    const rows = rowsOf([{ type: 'tree', id: BLOB, offset: 0, length: 45, uncompressedLength: 0 }])
    expect(fromUtf8(encodeIndex([{ pack: PACK, rows }]))).toBe(
      `{"packs":[{"id":"${PACK}","blobs":[{"id":"${BLOB}","type":"tree","offset":0,"length":45}]}]}\n`,
    )
    const compressed = rowsOf([{ type: 'data', id: BLOB, offset: 7, length: 45, uncompressedLength: 99 }])
    expect(fromUtf8(encodeIndex([{ pack: PACK, rows: compressed }]))).toContain(
      `{"id":"${BLOB}","type":"data","offset":7,"length":45,"uncompressed_length":99}`,
    )
  })

  test('comes back, in either form of rows', () => {
    void fc.assert(
      fc.property(fc.array(fc.record({ pack: id, blobs: fc.array(entry, { maxLength: 20 }) })), (packs) => {
        for (const { blobs } of packs) expect(entriesOf(rowsOf(blobs))).toEqual(blobs)
        expect(decode(encodeIndex(packs.map(({ pack, blobs }) => ({ pack, rows: rowsOf(blobs) }))))).toEqual(packs)
      }),
      { numRuns: 50 },
    )
  })

  test('is read with what other programs add, and with what they leave out', () => {
    expect(decode('{}')).toEqual([])
    expect(decode('{"packs":null}')).toEqual([])
    expect(
      decode(`{"supersedes":["${NAME}"],"packs":[{"id":"${PACK}","time":"x","size":5}],"packs_to_delete":[7]}`),
    ).toEqual([{ pack: PACK, blobs: [] }])
  })

  const blob = (fields: Record<string, unknown>): string =>
    JSON.stringify({ packs: [{ id: PACK, blobs: [{ id: BLOB, type: 'data', offset: 0, length: 40, ...fields }] }] })
  test.each([
    ['no JSON', '{"packs":['],
    ['null', 'null'],
    ['a list', '[]'],
    ['packs that are no list', '{"packs":{}}'],
    ['a pack that is null', '{"packs":[null]}'],
    ['a pack without id', '{"packs":[{"blobs":[]}]}'],
    ['a pack whose id is a path', `{"packs":[{"id":"${'../'.repeat(21)}x"}]}`],
    ['blobs that are no list', `{"packs":[{"id":"${PACK}","blobs":"x"}]}`],
    ['a blob that is null', `{"packs":[{"id":"${PACK}","blobs":[null]}]}`],
    ['a blob with a wrong id', blob({ id: BLOB.toUpperCase() })],
    ['a blob of another type', blob({ type: 'invalid' })],
    ['a negative offset', blob({ offset: -1 })],
    ['an offset beyond 32 bits', blob({ offset: 2 ** 32 })],
    ['half a byte', blob({ length: 40.5 })],
    ['a length in quotes', blob({ length: '40' })],
    ['no length', blob({ length: undefined })],
    ['a plaintext beyond 32 bits', blob({ uncompressed_length: 2 ** 40 })],
  ])('with %s is damaged', async (_, json) => {
    const error = await errorFrom(() => decode(json))
    expect(error.code).toBe('HF_DATA_DAMAGED')
    expect(error.message).toMatch(`index ${NAME} `)
  })
})
