import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import {
  databasesOf,
  fillWithEveryType,
  once,
  type RedisServer,
  readRdbFile as read,
  saved,
  sealed,
  startRedis,
} from '../../../../test/support/servers/redis.ts'
import { noise } from '../../../../test/support/storage-victims.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import { compareRdb } from '../compare.ts'
import { Fingerprint } from '../fingerprint.ts'

/** Types that servers of a version write for small hashes, sorted sets, lists and sets, and for streams. */
const codesOfVersion: Readonly<Record<number, readonly number[]>> = {
  9: [13, 12, 14, 15],
  10: [16, 17, 18, 19],
  11: [16, 17, 18, 20, 21],
  12: [16, 17, 18, 20, 21],
  80: [16, 17, 18, 20, 21],
}

describe.skipIf(lacks('redis-server'))('a reader of files of a real server', () => {
  let server: RedisServer
  let file: Buffer
  let small: Buffer

  beforeAll(async () => {
    server = await startRedis()
    await fillWithEveryType(server)
    file = await saved(server)
    await server.command('FLUSHALL')
    await server.command('RPUSH', 'list', 'a', '5', 'b'.repeat(70))
    await server.command('SADD', 'set', '1', '2')
    await server.command('HSET', 'hash', 'f', 'v'.repeat(200))
    await server.command('ZADD', 'zset', '1.5', 'm')
    await server.command('SET', 'string', 'x', 'EX', '100000')
    await server.command('XADD', 'stream', '1-1', 'f', 'v')
    await server.command('XGROUP', 'CREATE', 'stream', 'g', '0')
    await server.command('XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', 'stream', '>')
    small = await saved(server)
  })

  afterAll(() => server?.stop())

  test('sees every key, whatever pieces the file comes in', async () => {
    const whole = read(file)
    expect(whole.summary).toMatchObject({ checksum: 'matches', bytes: file.length })
    expect(whole.entries.length).toBe(24)
    for (const entry of whole.entries) expect(entry.digest).toHaveLength(16)
    const codes = [0, 2, 4, 5, 11, ...codesOfVersion[whole.summary.version]!]
    expect(new Set(whole.entries.map(({ code }) => code))).toEqual(new Set(codes))
    for (const pieces of [1, 2, 3, 7, 1000, 65_536]) expect(read(file, pieces)).toEqual(whole)
  })

  test('finds equal what a server has encoded otherwise', async () => {
    const limits = ['list', 'hash', 'zset'].flatMap((type) => [
      `--${type}-max-listpack-${type === 'list' ? 'size' : 'entries'}`,
      type === 'list' ? '1' : '0',
    ])
    for (const args of [
      [...limits, '--set-max-intset-entries', '0', '--rdbcompression', 'no', '--stream-node-max-entries', '3'],
      [
        '--list-max-listpack-size',
        '-5',
        '--hash-max-listpack-entries',
        '5000',
        '--zset-max-listpack-entries',
        '5000',
        '--list-compress-depth',
        '1',
      ],
    ]) {
      const other = await startRedis({ dump: file, args })
      try {
        // Loading keeps what is in one piece; writing it again encodes by the new limits.
        for (const [name, command] of [
          ['hash:small', ['HSET', 'hash:small', 'name', 'value']],
          ['zset:small', ['ZADD', 'zset:small', '1', 'one']],
        ] as const)
          await other.command(
            ...command,
            name === 'hash:small' ? 'number' : '-2.5',
            name === 'hash:small' ? '12' : 'two',
          )
        const again = await saved(other)
        expect(again.equals(file)).toBe(false)
        expect(new Set(read(again).entries.map(({ code }) => code))).not.toEqual(
          new Set(read(file).entries.map(({ code }) => code)),
        )
        expect(databasesOf(read(again).entries)).toEqual(databasesOf(read(file).entries))
        expect(
          await compareRdb(
            () => once(file),
            () => once(again),
          ),
        ).toEqual([])
      } finally {
        await other.stop()
      }
    }
  })

  test('sees when the fields of a hash expire', async ({ skip }) => {
    const isKnown = await server.command('COMMAND', 'INFO', 'HPEXPIREAT')
    if (!Array.isArray(isKnown) || isKnown[0] === null) skip('needs Redis 7.4 or Valkey 9: HOLDFAST_TEST_REDIS')
    await server.command('FLUSHALL')
    const fields = Array.from({ length: 600 }, (_, i) => [`field ${i}`, `value ${i}`]).flat()
    for (const [key, values] of [
      ['few', fields.slice(0, 6)],
      ['many', fields],
    ] as const) {
      await server.command('HSET', key, ...values)
      await server.command('HPEXPIREAT', key, '4102444800123', 'FIELDS', '1', 'field 1')
      await server.command('HPEXPIREAT', key, '4102444900000', 'FIELDS', '1', 'field 2')
    }
    const before = await saved(server)
    expect(read(before).entries).toMatchObject([
      { fieldsExpireFrom: 4102444800123n },
      { fieldsExpireFrom: 4102444800123n },
    ])
    const other = await startRedis({ dump: before })
    try {
      for (const name of ['hash-max-listpack-entries', 'hash-max-ziplist-entries'])
        await other.command('CONFIG', 'SET', name, '2').catch(() => undefined)
      await other.command('HSET', 'few', 'field 0', 'value 0')
      const again = await saved(other)
      expect(databasesOf(read(again).entries)).toEqual(databasesOf(read(before).entries))
      await other.command('HPERSIST', 'many', 'FIELDS', '1', 'field 2')
      const changed = await saved(other)
      expect(
        await compareRdb(
          () => once(before),
          () => once(changed),
        ),
      ).toMatchObject([{ key: Buffer.from('many'), what: 'value differs' }])
    } finally {
      await other.stop()
    }
  })

  test('hashes a string of any length without holding it', async () => {
    const sizes = [1024 * 1024, 1024 * 1024 + 1, 3_000_000]
    for (const [i, size] of sizes.entries()) {
      await server.command('SET', `long ${i}`, 'some text, again '.repeat(Math.ceil(size / 17)).slice(0, size))
      await server.command('RPUSH', `list ${i}`, noise(i, size))
    }
    const packed = await saved(server)
    await server.command('CONFIG', 'SET', 'rdbcompression', 'no')
    const plain = await saved(server)
    expect(plain.length).toBeGreaterThan(packed.length + 4_000_000)
    expect(databasesOf(read(packed, 65_536).entries)).toEqual(databasesOf(read(plain, 50_001).entries))
    await server.command('APPEND', 'long 2', '!')
    const changed = await saved(server)
    expect(
      await compareRdb(
        () => once(packed),
        () => once(changed),
      ),
    ).toMatchObject([{ what: 'value differs', key: Buffer.from('long 2') }])
  })

  test('leaves out what has expired, as a server does that loads it', async () => {
    await server.command('FLUSHALL')
    await server.command('MSET', 'stays', '1', 'goes', '2', 'later', '3')
    await server.command('PEXPIREAT', 'later', '4102444800123')
    const expiry = BigInt(Date.now()) + 300n
    await server.command('PEXPIREAT', 'goes', String(expiry))
    const before = await saved(server)
    await new Promise((resolve) => setTimeout(resolve, 400))
    const other = await startRedis({ dump: before })
    try {
      const after = await saved(other)
      const missing = { key: Buffer.from('goes'), what: 'missing' }
      const files = [() => once(before), () => once(after)] as const
      expect(await compareRdb(...files)).toMatchObject([missing])
      expect(await compareRdb(...files, { expiredAt: expiry - 1n })).toMatchObject([missing])
      expect(await compareRdb(...files, { expiredAt: expiry })).toEqual([])
      const fingerprint = new Fingerprint(expiry)
      for (const entry of read(before).entries) fingerprint.add(entry)
      expect(fingerprint.databases).toEqual(databasesOf(read(after).entries))
      expect(databasesOf(read(before).entries)).not.toEqual(databasesOf(read(after).entries))
    } finally {
      await other.stop()
    }
  })

  test('notices every truncation', () => {
    for (let length = 0; length < small.length; length++)
      expect(() => read(small.subarray(0, length)), `${length} bytes`).toThrow(HoldfastError)
  })

  test('notices every flipped bit of a small file, and bytes of a large one', () => {
    for (let at = 0; at < small.length; at++)
      for (let bit = 0; bit < 8; bit++) {
        const flipped = Buffer.from(small)
        flipped[at]! ^= 1 << bit
        expect(() => read(flipped), `bit ${bit} of byte ${at}`).toThrow(HoldfastError)
      }
    for (let at = 9; at < file.length; at += 1009) {
      const flipped = Buffer.from(file)
      flipped[at]! ^= 0xff
      expect(() => read(flipped, 4096), `byte ${at}`).toThrow(HoldfastError)
    }
  })

  test('neither breaks nor hangs when damage comes with the right checksum', () => {
    const content = small.subarray(0, -8)
    const byte = fc.tuple(fc.nat(content.length - 1), fc.integer({ min: 0, max: 255 }))
    fc.assert(
      fc.property(
        fc.array(byte, { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 400 }),
        (changes, pieces) => {
          const changed = Buffer.from(content)
          for (const [at, value] of changes) changed[at] = value
          try {
            read(sealed(changed), pieces)
          } catch (error) {
            if (!(error instanceof HoldfastError)) throw error
          }
        },
      ),
      { numRuns: 3000 },
    )
  })
})
