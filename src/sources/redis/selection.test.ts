import { describe, expect, test } from 'vitest'
import { readRdbFile } from '../../../test/support/servers/redis.ts'
import { noise } from '../../../test/support/storage-victims.ts'
import { RdbWriter } from './rdb/writer.ts'
import { selectionOf, selectRdb } from './selection.ts'

/** A file of text values, with what files say of themselves at places where servers do not put it. */
function crafted(): Buffer {
  const writer = new RdbWriter('redis', 10)
  const key = (name: string, value: Uint8Array, db: number, expiresAt?: bigint): void => {
    writer.key(db, {
      db,
      key: Buffer.from(name),
      expiresAt,
      frequency: db === 2 ? 7 : undefined,
      idleSeconds: db === 1 ? 300n : undefined,
      code: 0,
      start: 0,
    })
    const length = Buffer.alloc(5)
    length[0] = 0x80
    length.writeUInt32BE(value.length, 1)
    writer.value(length)
    writer.value(value)
  }
  writer.aux(Buffer.from('redis-ver'), Buffer.from('7.0.15'))
  key('a:short', noise(1, 100), 0, 4_102_444_800_123n)
  key('b:long', noise(2, 50_000), 0)
  writer.aux(Buffer.from('used-mem'), Buffer.from('12345'))
  key('a:long', noise(3, 70_000), 1)
  writer.library(Buffer.from('#!lua name=mine'))
  key('b:short', noise(4, 20), 2)
  key('a:empty', noise(5, 0), 2)
  writer.aux(Buffer.from('repl-id'), Buffer.from('f'.repeat(40)))
  writer.end()
  return writer.take()
}

async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

describe('a selection of a file', () => {
  test.each([1, 7, 1000, 65_536, 1_000_000])(
    'is whole, whatever comes between keys, in pieces of %i bytes',
    async (size) => {
      const file = crafted()
      const before = readRdbFile(file)
      const select = async (include: readonly string[]): Promise<ReturnType<typeof readRdbFile>> => {
        const selection = selectionOf({ include, exclude: [], rename: [{ from: '1', to: '12' }] })
        return readRdbFile(
          Buffer.concat(
            await Array.fromAsync(selectRdb(inPieces(file, size), { dialect: 'redis', version: 10 }, selection)),
          ),
        )
      }
      const plain = ({ entries }: ReturnType<typeof readRdbFile>): unknown[] =>
        entries.map(({ db, key, digest, expiresAt, frequency, idleSeconds }) => ({
          db,
          key: String(key),
          digest,
          expiresAt,
          frequency,
          idleSeconds,
        }))
      const moved = plain({
        ...before,
        entries: before.entries.map((entry) => ({ ...entry, db: entry.db === 1 ? 12 : entry.db })),
      })
      const all = await select([])
      expect(plain(all)).toEqual(moved)
      expect(all.summary.functions).toEqual(before.summary.functions)
      expect([...all.summary.aux.keys()]).toEqual(['redis-ver', 'used-mem'])
      const some = await select(['a:*'])
      expect(some.entries.map(({ key }) => String(key))).toEqual(['a:short', 'a:long', 'a:empty'])
      expect(some.summary.functions.libraries).toBe(0)
    },
  )

  test('is refused when it renames what are no databases', () => {
    for (const rename of [
      [{ from: 'a', to: '1' }],
      [{ from: '0', to: '99999999999' }],
      [
        { from: '0', to: '1' },
        { from: '0', to: '2' },
      ],
    ])
      expect(() => selectionOf({ include: [], exclude: [], rename })).toThrow(
        expect.objectContaining({ code: 'HF_USAGE' }),
      )
  })
})
