import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import {
  databasesOf,
  fillWithEveryType,
  readRdbFile,
  saved,
  startRedis,
} from '../../../../test/support/servers/redis.ts'
import { scratchFolder } from '../../../../test/support/test-repository.ts'
import { conversionsOf, convertValue, type ValueEncoding } from './convert.ts'
import type { RdbEntry } from './entry.ts'
import { RdbWriter } from './writer.ts'

/** A file with one value, decoded. */
function decoded({ dialect, code }: ValueEncoding, value: Uint8Array): RdbEntry {
  const writer = new RdbWriter(dialect, dialect === 'redis' ? 12 : 80)
  const key = Buffer.from('k')
  writer.key(0, { db: 0, key, expiresAt: undefined, frequency: undefined, idleSeconds: undefined, code, start: 0 })
  writer.value(value)
  writer.end()
  return readRdbFile(writer.take()).entries[0]!
}

const s = (text: string): Buffer => Buffer.concat([Buffer.of(text.length), Buffer.from(text)])

function listpack(...items: readonly string[]): Buffer {
  const body = items.map((item) =>
    Buffer.concat([Buffer.of(0x80 | item.length), Buffer.from(item), Buffer.of(item.length + 1)]),
  )
  const bytes = Buffer.concat([Buffer.alloc(6), ...body, Buffer.of(255)])
  bytes.writeUInt32LE(bytes.length, 0)
  bytes.writeUInt16LE(items.length, 4)
  return Buffer.concat([Buffer.of(bytes.length), bytes])
}

const int64 = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64LE(value)
  return bytes
}

describe.skipIf(lacks('redis-server'))('values of a real server, as older ones wrote them', () => {
  test('are the same values to it, and to redis-check-rdb', async () => {
    const server = await startRedis()
    using scratch = scratchFolder()
    try {
      await fillWithEveryType(server)
      // Long items have nodes of their own.
      await server.command('CONFIG', 'SET', 'list-max-listpack-size', '4')
      await server.command('RPUSH', 'list:nodes', ...Array.from({ length: 50 }, (_, i) => String(i * i * 1000)))
      const file = await saved(server)
      const digest = String(await server.command('DEBUG', 'DIGEST'))
      const { entries } = readRdbFile(file)
      // The format of Redis 5 to 6.2.
      const writer = new RdbWriter('redis', 9)
      const codes = new Set<number>()
      for (const entry of entries) {
        const from = { dialect: 'redis', code: entry.code } as const
        const to = conversionsOf(from).at(-1)
        const bytes = file.subarray(entry.start, entry.end)
        const { code, bytes: value } = to === undefined ? { code: entry.code, bytes } : convertValue(bytes, from, to)
        codes.add(code)
        writer.key(entry.db, { ...entry, code })
        writer.value(value)
      }
      writer.end()
      const old = writer.take()
      expect([...codes].sort((a, b) => a - b)).toEqual([0, 1, 2, 4, 5, 11, 15])
      expect(databasesOf(readRdbFile(old).entries)).toEqual(databasesOf(entries))
      const path = join(scratch.path, 'old.rdb')
      writeFileSync(path, old)
      expect(spawnSync('redis-check-rdb', [path], { encoding: 'utf8' }).stdout).toContain('RDB looks OK')
      const other = await startRedis({ dump: old })
      try {
        expect(String(await other.command('DEBUG', 'DIGEST'))).toBe(digest)
        expect(String(await other.command('XINFO', 'STREAM', 'stream', 'FULL'))).toContain('readers')
      } finally {
        await other.stop()
      }
    } finally {
      await server.stop()
    }
  })
})

describe('values that only newer servers write', () => {
  const id = Buffer.concat([Buffer.alloc(7), Buffer.of(5), Buffer.alloc(7), Buffer.of(1)])
  /** No entries, last id 5-1; a group with one pending entry, of one consumer. */
  const stream = (version: 1 | 2 | 3): Buffer =>
    Buffer.concat([
      Buffer.of(0, 0, 5, 1),
      version === 1 ? Buffer.alloc(0) : Buffer.of(0, 0, 5, 1, 3),
      Buffer.of(1),
      s('group'),
      Buffer.of(5, 1),
      version === 1 ? Buffer.alloc(0) : Buffer.of(2),
      Buffer.of(1),
      id,
      int64(1000n),
      Buffer.of(1, 1),
      s('consumer'),
      int64(2000n),
      version === 3 ? int64(3000n) : Buffer.alloc(0),
      Buffer.of(1),
      id,
    ])
  const codes = { 1: 15, 2: 19, 3: 21 } as const
  const redis = (code: number): ValueEncoding => ({ dialect: 'redis', code })

  test('streams lose what older servers do not know, and nothing else', () => {
    for (const [from, to] of [
      [3, 2],
      [3, 1],
      [2, 1],
    ] as const) {
      const converted = convertValue(stream(from), redis(codes[from]), redis(codes[to]))
      expect(Buffer.from(converted.bytes)).toEqual(stream(to))
      expect(decoded(redis(codes[to]), converted.bytes).digest).toEqual(decoded(redis(21), stream(3)).digest)
    }
  })

  test('small sets of text become plain ones', () => {
    const { code, bytes } = convertValue(listpack('a', 'b', 'c'), redis(20), redis(2))
    expect([code, Buffer.from(bytes)]).toEqual([2, Buffer.concat([Buffer.of(3), s('a'), s('b'), s('c')])])
  })

  test('hashes with fields that expire go from one product to the other', () => {
    const [relative, packed, early, earlyPacked, valkey] = [
      [redis(24), Buffer.concat([int64(1000n), Buffer.of(2, 1), s('f'), s('v'), Buffer.of(0), s('g'), s('w')])],
      [redis(25), Buffer.concat([int64(1000n), listpack('f', 'v', '1000', 'g', 'w', '0')])],
      [redis(22), Buffer.concat([Buffer.of(2, 0x43, 0xe8), s('f'), s('v'), Buffer.of(0), s('g'), s('w')])],
      [redis(23), listpack('f', 'v', '1000', 'g', 'w', '0')],
      [
        { dialect: 'valkey', code: 22 },
        Buffer.concat([Buffer.of(2), s('f'), s('v'), int64(1000n), s('g'), s('w'), int64(-1n)]),
      ],
    ] as const satisfies readonly (readonly [ValueEncoding, Buffer])[]
    for (const [from, bytes] of [relative, packed, early, earlyPacked]) {
      const [to] = conversionsOf(from)
      const converted = convertValue(bytes, from, to!)
      expect([converted.code, Buffer.from(converted.bytes)]).toEqual([22, valkey[1]])
    }
    const [to] = conversionsOf(valkey[0])
    const converted = convertValue(valkey[1], valkey[0], to!)
    expect([converted.code, Buffer.from(converted.bytes)]).toEqual([24, relative[1]])
    const lasting = Buffer.concat([Buffer.of(1), s('f'), s('v'), int64(-1n)])
    expect(convertValue(lasting, valkey[0], to!)).toMatchObject({ code: 4 })
  })

  test('values that are cut off, or go on, are damage', () => {
    const whole = stream(3)
    for (const bytes of [whole.subarray(0, -1), Buffer.concat([whole, Buffer.of(0)])])
      expect(() => convertValue(bytes, redis(21), redis(15))).toThrowError(/does not end where it should/)
  })
})
