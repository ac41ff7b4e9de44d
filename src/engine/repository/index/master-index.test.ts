import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { HoldfastError } from '../../../lib/errors.ts'
import type { Id } from '../../../lib/id.ts'
import { type PackListing, rowsOf } from '../pack/blob-rows.ts'
import { type PackEntry, packBytes } from '../pack/header.ts'
import { decodeListings, encodeListings } from './cached-listing.ts'
import { decodeIndex, encodeIndex, type IndexedPack } from './index-file.ts'
import { MasterIndex } from './master-index.ts'

const idOf = (text: string): Id => createHash('sha256').update(text).digest('hex')

function packOf(name: string, blobs: number, type: PackEntry['type'] = 'data'): IndexedPack {
  let offset = 0
  return {
    pack: idOf(name),
    blobs: Array.from({ length: blobs }, (_, i) => {
      const entry = {
        type,
        id: idOf(`${name}/${i}`),
        offset,
        length: 40 + (i % 7),
        uncompressedLength: i % 2 ? 100 + i : 0,
      }
      offset += entry.length
      return entry
    }),
  }
}

const listing = ({ pack, blobs }: IndexedPack): PackListing => ({ pack, rows: rowsOf(blobs) })

describe('the master index', () => {
  test('finds every blob of 40,000 and none that is not there, loaded, decoded from the cache, or added between lookups', () => {
    const packs = Array.from({ length: 40 }, (_, i) => packOf(`pack ${i}`, 1000, i % 3 ? 'data' : 'tree'))
    const loaded = new MasterIndex()
    for (const pack of packs.slice(0, 10)) loaded.load(listing(pack))
    for (const rows of decodeListings(encodeListings(packs.slice(10, 20).map(listing)))!) loaded.load(rows)
    for (const pack of packs.slice(20)) {
      loaded.load(listing(pack))
      expect(loaded.has(pack.blobs[7]!.type, pack.blobs[7]!.id)).toBe(true)
    }
    for (const { pack, blobs } of packs) {
      expect(loaded.packFacts(pack)).toMatchObject({ sizeBytes: packBytes(blobs), blobs: 1000 })
      for (const { type, id, offset, length, uncompressedLength } of blobs) {
        expect(loaded.find(type, id)).toEqual({ pack, offset, length, uncompressedLength })
        expect(loaded.has(type === 'data' ? 'tree' : 'data', id)).toBe(false)
      }
    }
    expect(loaded.has('data', idOf('absent'))).toBe(false)
    expect(loaded.count).toBe(40_000)
  })

  test('lists every place of a blob that lies in several packs', () => {
    const index = new MasterIndex()
    const first = packOf('a', 3)
    const second = { pack: idOf('b'), blobs: first.blobs.slice(1) }
    const third = { pack: idOf('c'), blobs: first.blobs.slice(2) }
    for (const pack of [first, second, third]) index.load(listing(pack))
    expect(
      index
        .findAll('data', first.blobs[2]!.id)
        .map((at) => at.pack)
        .sort(),
    ).toEqual([first.pack, second.pack, third.pack].sort())
    expect(index.findAll('data', first.blobs[1]!.id)).toHaveLength(2)
    expect(index.findAll('data', first.blobs[0]!.id)).toHaveLength(1)
  })

  test('takes a pack listed twice once, and puts one listed in parts together', () => {
    const whole = packOf('a', 10)
    const index = new MasterIndex()
    index.load(listing({ pack: whole.pack, blobs: whole.blobs.slice(0, 4) }))
    index.load(listing({ pack: whole.pack, blobs: whole.blobs.slice(4) }))
    expect(index.packFacts(whole.pack)).toMatchObject({ blobs: 10, sizeBytes: packBytes(whole.blobs) })
    index.load(listing(whole))
    expect(index.count).toBe(10)
  })
})

describe('index files', () => {
  test('read back as written, in the field order of the format', () => {
    const packs = [packOf('a', 2), packOf('b', 1, 'tree')]
    const json = encodeIndex(packs.map(listing))
    const read: IndexedPack[] = []
    decodeIndex(json, idOf('index'), (pack) => read.push(pack))
    expect(read).toEqual(packs)
    expect(Buffer.from(json).toString()).toMatch(
      /^\{"packs":\[\{"id":"[0-9a-f]{64}","blobs":\[\{"id":"[0-9a-f]{64}","type":"data","offset":0,"length":40\},\{"id":"[0-9a-f]{64}","type":"data","offset":40,"length":41,"uncompressed_length":101\}\]\}.*\]\}\n$/,
    )
  })

  test.each([
    ['{', 'is not JSON'],
    ['[]x', 'is not JSON'],
    ['null', 'is not a JSON object'],
    ['{"packs":{}}', 'has no list of packs'],
    ['{"packs":[{"id":"x","blobs":[]}]}', 'without a valid id'],
    [
      `{"packs":[{"id":"${idOf('p')}","blobs":[{"id":"${idOf('b')}","type":"file","offset":0,"length":1}]}]}`,
      'unknown type',
    ],
    [
      `{"packs":[{"id":"${idOf('p')}","blobs":[{"id":"${idOf('b')}","type":"data","offset":-1,"length":1}]}]}`,
      'impossible place',
    ],
    [
      `{"packs":[{"id":"${idOf('p')}","blobs":[{"id":"${idOf('b')}","type":"data","offset":0,"length":4294967296}]}]}`,
      'impossible place',
    ],
  ])('%s is refused', (json, message) => {
    expect(() => decodeIndex(Buffer.from(json), idOf('i'), () => undefined)).toThrow(
      expect.objectContaining({ code: 'HF_DATA_DAMAGED', message: expect.stringContaining(message) }) as HoldfastError,
    )
  })
})
