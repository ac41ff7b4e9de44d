import { describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { databasesOf, readRdbFile as read, saved, sealed, startRedis } from '../../../../test/support/servers/redis.ts'
import { noise } from '../../../../test/support/storage-victims.ts'
import { Crc64 } from './crc64.ts'
import { RdbReader } from './reader.ts'

/** A file of Redis: header, keys, end. */
const rdb = (version: string, ...parts: readonly (string | readonly number[] | Uint8Array)[]): Buffer =>
  sealed(Buffer.concat([Buffer.from(version), ...parts.map((part) => Buffer.from(part as Uint8Array)), Buffer.of(255)]))

const s = (text: string): Buffer => Buffer.concat([Buffer.of(text.length), Buffer.from(text)])
const blob = (bytes: Uint8Array): Buffer =>
  Buffer.concat([Buffer.of(0x80, 0, 0, bytes.length >> 8, bytes.length & 255), bytes])

function listpack(...items: readonly string[]): Buffer {
  const parts = items.map((item) =>
    Buffer.concat([Buffer.of(0x80 | item.length), Buffer.from(item), Buffer.of(item.length + 1)]),
  )
  const body = Buffer.concat(parts)
  const head = Buffer.alloc(6)
  head.writeUInt32LE(body.length + 7, 0)
  head.writeUInt16LE(items.length, 4)
  return Buffer.concat([head, body, Buffer.of(255)])
}

/** As Redis up to 6.2 wrote small values: integers in their shortest form. */
function ziplist(...items: readonly string[]): Buffer {
  const parts: Buffer[] = []
  let previous = 0
  let tail = 10
  let at = 10
  for (const item of items) {
    const value = Number(item)
    const isInteger = Number.isInteger(value) && String(value) === item
    const width =
      value >= 0 && value <= 12 ? 0 : value >= -128 && value <= 127 ? 1 : value >= -32768 && value <= 32767 ? 2 : 4
    const number = Buffer.alloc(width)
    if (isInteger && width > 0) number.writeIntLE(value, 0, width)
    const body = isInteger
      ? Buffer.concat([Buffer.of(width === 0 ? 0xf1 + value : width === 1 ? 0xfe : width === 2 ? 0xc0 : 0xd0), number])
      : item.length < 64
        ? s(item)
        : Buffer.concat([Buffer.of(0x40 | (item.length >> 8), item.length & 255), Buffer.from(item)])
    const before = Buffer.alloc(previous < 254 ? 1 : 5, 0xfe)
    if (previous < 254) before[0] = previous
    else before.writeUInt32LE(previous, 1)
    parts.push(before, body)
    previous = before.length + body.length
    tail = at
    at += previous
  }
  const head = Buffer.alloc(10)
  head.writeUInt32LE(at + 1, 0)
  head.writeUInt32LE(tail, 4)
  head.writeUInt16LE(items.length, 8)
  return Buffer.concat([head, ...parts, Buffer.of(255)])
}

const long = 'q'.repeat(300)
const scores = ['1', 'one', '2.5', 'two', '-inf', 'low']

/** Values as servers before 7.0 wrote them, with the commands that make the same. */
const oldValues: readonly {
  readonly what: string
  readonly bytes: readonly (readonly number[] | Uint8Array)[]
  readonly commands: readonly (readonly string[])[]
}[] = [
  {
    what: 'a plain list',
    bytes: [[1], s('k'), [3], s('a'), s('b'), [0xc0, 5]],
    commands: [['RPUSH', 'k', 'a', 'b', '5']],
  },
  {
    what: 'a list in a ziplist',
    bytes: [[10], s('k'), blob(ziplist('a', '5', '-77', '3000', '-2000000', long, 'z'))],
    commands: [['RPUSH', 'k', 'a', '5', '-77', '3000', '-2000000', long, 'z']],
  },
  {
    what: 'a quicklist of ziplists',
    bytes: [[14], s('k'), [2], blob(ziplist('a', '13')), blob(ziplist('b'))],
    commands: [['RPUSH', 'k', 'a', '13', 'b']],
  },
  {
    what: 'a hash in a zipmap',
    bytes: [
      [9],
      s('k'),
      blob(
        Buffer.concat([
          Buffer.of(2),
          s('f'),
          Buffer.of(1, 2),
          Buffer.from('v..'),
          s('g'),
          Buffer.of(1, 0),
          Buffer.from('w'),
          Buffer.of(255),
        ]),
      ),
    ],
    commands: [['HSET', 'k', 'f', 'v', 'g', 'w']],
  },
  {
    what: 'a hash in a ziplist',
    bytes: [[13], s('k'), blob(ziplist('f', '1', 'g', long))],
    commands: [['HSET', 'k', 'f', '1', 'g', long]],
  },
  {
    what: 'a sorted set with scores as text',
    bytes: [[3], s('k'), [3], s('one'), s('1'), s('two'), s('2.5'), s('low'), [255]],
    commands: [['ZADD', 'k', ...scores]],
  },
  {
    what: 'a sorted set in a ziplist',
    bytes: [[12], s('k'), blob(ziplist('low', '-inf', 'one', '1', 'two', '2.5'))],
    commands: [['ZADD', 'k', ...scores]],
  },
  {
    what: 'a key that expires at a second',
    bytes: [[253, 0, 0x80, 0xcc, 0x75], [0], s('k'), s('v')],
    commands: [['SET', 'k', 'v', 'EXAT', String(0x75cc8000)]],
  },
  {
    what: 'a stream of Redis 5',
    bytes: [
      [15],
      s('k'),
      [1, 16, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1],
      blob(listpack('1', '0', '1', 'f', '0', '2', '0', '0', 'v', '4')),
      [1, 5, 1, 0],
    ],
    commands: [['XADD', 'k', '5-1', 'f', 'v']],
  },
]

test('the checksum is that of Redis', () => {
  expect(new Crc64().update(Buffer.from('123456789')).value).toBe(0xe9c6d914c4b8d9can)
  const bytes = noise(3, 1000)
  const whole = new Crc64().update(bytes).value
  for (const cut of [1, 7, 8, 9, 500])
    expect(new Crc64().update(bytes.subarray(0, cut)).update(bytes.subarray(cut)).value).toBe(whole)
})

describe('a reader of crafted files', () => {
  const key = s('k')
  test.each([
    {
      what: 'Redis 7.4, plain',
      bytes: rdb('REDIS0012', [24], key, [0xe8, 3, 0, 0, 0, 0, 0, 0], [2, 1], s('f'), s('v'), [0], s('g'), s('w')),
    },
    {
      what: 'Redis 7.4, listpack',
      bytes: rdb('REDIS0012', [25], key, [0xe8, 3, 0, 0, 0, 0, 0, 0], blob(listpack('f', 'v', '1000', 'g', 'w', '0'))),
    },
    {
      what: 'Redis 7.4 before its release, plain',
      bytes: rdb('REDIS0012', [22], key, [2, 0x43, 0xe8], s('f'), s('v'), [0], s('g'), s('w')),
    },
    {
      what: 'Redis 7.4 before its release, listpack',
      bytes: rdb('REDIS0012', [23], key, blob(listpack('f', 'v', '1000', 'g', 'w', '0'))),
    },
    {
      what: 'Valkey 9',
      bytes: rdb(
        'VALKEY080',
        [22],
        key,
        [2],
        s('f'),
        s('v'),
        [0xe8, 3, 0, 0, 0, 0, 0, 0],
        s('g'),
        s('w'),
        new Array(8).fill(255),
      ),
    },
  ])('knows hashes with fields that expire: $what', ({ bytes }) => {
    const [entry] = read(bytes).entries
    expect(entry).toMatchObject({ type: 'hash', fieldsExpireFrom: 1000n })
    expect(entry!.digest).toEqual(
      read(rdb('REDIS0012', [25], key, [0xe8, 3, 0, 0, 0, 0, 0, 0], blob(listpack('g', 'w', '0', 'f', 'v', '1000'))))
        .entries[0]!.digest,
    )
    expect(entry!.digest).not.toEqual(
      read(rdb('REDIS0010', [16], key, blob(listpack('g', 'w', 'f', 'v')))).entries[0]!.digest,
    )
  })

  test('skips what modules wrote, and names them', () => {
    // ReJSON-RL, as its module id spells it.
    const id =
      [...'ReJSON-RL'].reduce(
        (bits, c) =>
          (bits << 6n) | BigInt('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'.indexOf(c)),
        0n,
      ) << 10n
    const idBytes = Buffer.alloc(9, 0x81)
    idBytes.writeBigUInt64BE(id, 1)
    const value = Buffer.concat([
      idBytes,
      Buffer.of(1, 5, 2, 7, 3, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 5),
      s('{}'),
      Buffer.of(0),
    ])
    const bytes = rdb(
      'REDIS0012',
      [247],
      idBytes,
      [2, 1, 5],
      s('aux'),
      [0],
      [244, 1, 2, 0],
      [249, 5, 248, 9],
      [7],
      key,
      value,
      [0],
      s('x'),
      s('y'),
    )
    for (const pieces of [1, 3, bytes.length]) {
      const { entries } = read(bytes, pieces)
      expect(entries.map(({ type, module, digest }) => ({ type, module, has: digest !== undefined }))).toEqual([
        { type: 'module', module: 'ReJSON-RL', has: false },
        { type: 'string', module: undefined, has: true },
      ])
    }
  })

  test.each([
    { what: 'a newer version', bytes: rdb('REDIS0013'), code: 'HF_SOURCE_UNSUPPORTED' },
    { what: 'another Valkey version', bytes: rdb('VALKEY081'), code: 'HF_SOURCE_UNSUPPORTED' },
    { what: 'a type of Redis in a file of Valkey', bytes: rdb('VALKEY080', [25], key), code: 'HF_SOURCE_UNSUPPORTED' },
    { what: 'an unknown type', bytes: rdb('REDIS0012', [99], key), code: 'HF_SOURCE_UNSUPPORTED' },
    { what: 'another format', bytes: Buffer.from('<!DOCTYPE html>'), code: 'HF_SOURCE_DAMAGED' },
    { what: 'nothing', bytes: Buffer.alloc(0), code: 'HF_SOURCE_DAMAGED' },
    {
      what: 'an impossible length',
      bytes: rdb('REDIS0012', [2], key, [0x81, 255, 255, 255, 255, 255, 255, 255, 255]),
      code: 'HF_SOURCE_DAMAGED',
    },
    {
      what: 'a set said to be huge',
      bytes: rdb('REDIS0012', [2], key, [0x81, 0, 1, 0, 0, 0, 0, 0, 0]),
      code: 'HF_SOURCE_DAMAGED',
    },
    {
      what: 'a key said to be huge',
      bytes: rdb('REDIS0012', [0, 0x81, 0, 0, 1, 0, 0, 0, 0, 0]),
      code: 'HF_SOURCE_DAMAGED',
    },
    {
      what: 'a listpack said to be huge',
      bytes: rdb('REDIS0012', [20], key, [0xc3, 5, 0x80, 0x3f, 0, 0, 0]),
      code: 'HF_SOURCE_DAMAGED',
    },
    {
      what: 'a score that is none',
      bytes: rdb('REDIS0012', [17], key, blob(listpack('m', 'high'))),
      code: 'HF_SOURCE_DAMAGED',
    },
    {
      what: 'a field without value',
      bytes: rdb('REDIS0012', [16], key, blob(listpack('f'))),
      code: 'HF_SOURCE_DAMAGED',
    },
    { what: 'what follows its end', bytes: Buffer.concat([rdb('REDIS0012'), Buffer.of(0)]), code: 'HF_SOURCE_DAMAGED' },
  ])('refuses $what', ({ bytes, code }) => {
    expect(() => read(bytes)).toThrow(expect.objectContaining({ code, hint: expect.any(String) }))
  })

  test('holds no long string, and no more of a set than a piece', () => {
    const piece = noise(5, 65_536)
    const length = (count: number): Buffer =>
      Buffer.of(0x80, count >> 24, (count >> 16) & 255, (count >> 8) & 255, count & 255)
    const reader = new RdbReader({ onEntry: () => undefined })
    const before = process.memoryUsage().arrayBuffers
    let most = 0
    const push = (bytes: Uint8Array): void => {
      reader.push(bytes)
      most = Math.max(most, process.memoryUsage().arrayBuffers - before)
    }
    push(Buffer.concat([Buffer.from('REDIS0011'), Buffer.of(0), s('long'), length(4096 * 65_536)]))
    for (let i = 0; i < 4096; i++) push(piece)
    push(Buffer.concat([Buffer.of(2), s('set'), length(256 * 1024)]))
    for (let i = 0; i < 1024; i++)
      push(
        Buffer.concat(
          Array.from({ length: 256 }, (_, j) => Buffer.concat([Buffer.of(0x40, 64), piece.subarray(j, j + 64)])),
        ),
      )
    push(Buffer.concat([Buffer.of(255), Buffer.alloc(8)]))
    expect(reader.end()).toMatchObject({ checksum: 'off' })
    expect(most).toBeLessThan(128 * 1024 * 1024)
  })

  test('takes a file without checksum, and says so', () => {
    expect(read(Buffer.concat([rdb('REDIS0010').subarray(0, -8), Buffer.alloc(8)])).summary.checksum).toBe('off')
  })

  test.skipIf(lacks('redis-server')).each(oldValues)(
    'finds equal $what and what the server makes of it',
    async ({ bytes, commands }) => {
      const old = rdb('REDIS0009', [254, 0], ...bytes)
      const other = await startRedis({ dump: old })
      try {
        const loaded = await saved(other)
        await other.command('FLUSHALL')
        for (const command of commands) await other.command(...command)
        const made = await saved(other)
        expect(databasesOf(read(old).entries)).toEqual(databasesOf(read(loaded).entries))
        expect(databasesOf(read(made).entries)).toEqual(databasesOf(read(loaded).entries))
        expect(read(old, 1).entries[0]!.digest).toEqual(read(old).entries[0]!.digest)
      } finally {
        await other.stop()
      }
    },
  )
})
