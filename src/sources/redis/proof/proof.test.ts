import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import {
  fillWithEveryType,
  once,
  type RedisServer,
  sealed,
  startRedis,
} from '../../../../test/support/servers/redis.ts'
import {
  alteredSnapshot,
  redisSnapshot,
  redisSource,
  snapshotFile,
} from '../../../../test/support/servers/redis-source.ts'
import { memoryRepository, scratchFolder } from '../../../../test/support/test-repository.ts'
import type { Assertion } from '../../../config/assertion.ts'
import type { Repository } from '../../../engine/repository/repository.ts'
import type { StoredSnapshot } from '../../../engine/repository/snapshot.ts'
import type { ProofCheck, ProofJob, ProofSandbox } from '../../proof.ts'
import { SandboxFolder } from '../../sandbox/sandbox-folder.ts'
import { RedisClient } from '../client.ts'
import { selectionOf, selectRdb } from '../selection.ts'
import { findPrograms, programFor } from './programs.ts'

const proof = redisSource({ host: 'nowhere.invalid' }).proof!

function jobOf(repository: Repository, snapshot: StoredSnapshot): ProofJob & { readonly checks: ProofCheck[] } {
  const checks: ProofCheck[] = []
  return { repository, snapshot, checks, report: (check) => checks.push(check) }
}

const outcomes = (checks: readonly ProofCheck[]): string[] => checks.map(({ name, outcome }) => `${name}: ${outcome}`)
const failures = (checks: readonly ProofCheck[]): string[] =>
  checks.filter(({ outcome }) => outcome === 'failed').map(({ name, detail }) => `${name}: ${detail}`)

const command = (...words: readonly string[]): Assertion => ({
  kind: 'command',
  name: 'asserted',
  expect: 'true',
  command: words,
})

describe.skipIf(lacks('redis-server'))('the proof of a snapshot of Redis', () => {
  let server: RedisServer
  let repository: Repository
  let snapshot: StoredSnapshot
  let other: StoredSnapshot

  beforeAll(async () => {
    server = await startRedis({ args: ['--databases', '40'] })
    repository = await memoryRepository()
    await server.command('SET', 'only', 'here')
    other = await redisSnapshot(repository, { url: server.url })
    await server.command('CONFIG', 'SET', 'rdbcompression', 'no')
    await fillWithEveryType(server)
    await server.command('FUNCTION', 'LOAD', "#!lua name=mine\nredis.register_function('one', function() return 1 end)")
    await server.command('SELECT', 33)
    await server.command('SET', 'gone soon', 'x', 'PX', 1500)
    await server.command('SET', 'stays', 'x')
    snapshot = await redisSnapshot(repository, { url: server.url })
  })

  afterAll(() => server?.stop())

  /** Opens a sandbox, and ends it with everything in it. */
  async function inSandbox<T>(
    of: StoredSnapshot,
    use: (sandbox: ProofSandbox, folder: SandboxFolder, checks: ProofCheck[]) => Promise<T>,
  ): Promise<T> {
    using scratch = scratchFolder()
    chmodSync(scratch.path, 0o755)
    const job = jobOf(repository, of)
    try {
      await using folder = SandboxFolder.create({ root: scratch.path })
      const opened = await proof.openSandbox(job, folder)
      expect(opened, JSON.stringify(job.checks)).toBeDefined()
      await using sandbox = opened!
      return await use(sandbox, folder, job.checks)
    } finally {
      expect(readdirSync(scratch.path)).toEqual([])
    }
  }

  test('of a good one passes at every level, with a key that expires meanwhile', async () => {
    const structure = jobOf(repository, snapshot)
    await proof.checkStructure(structure)
    expect(outcomes(structure.checks)).toEqual([
      'manifest, server record and dump.rdb: passed',
      'every value of dump.rdb: passed',
      'checksum of dump.rdb: passed',
      'size and SHA-256 of dump.rdb: passed',
      'keys of database 0: passed',
      'keys of database 33: passed',
      'functions: passed',
    ])
    await inSandbox(snapshot, async (sandbox, folder, checks) => {
      expect(sandbox.facts).toMatchObject({
        server: expect.stringMatching(/^(Redis|Valkey) \d/),
        connection: 'unix socket',
      })
      using client = await RedisClient.connect({ address: { path: `${folder.path}/redis.sock` } })
      await client.command('SELECT', '33')
      while ((await client.command('DBSIZE')) === 2n) await new Promise((resolve) => setTimeout(resolve, 50))
      await sandbox.compare()
      expect(outcomes(checks)).toEqual([
        'dump.rdb is restored: passed',
        'a server loads dump.rdb: passed',
        'keys of database 0: passed',
        'keys of database 33: passed',
        'functions: passed',
      ])
    })
  })

  test('answers commands that only read, and no others', async () => {
    await inSandbox(snapshot, async (sandbox) => {
      expect(await sandbox.answer(command('DBSIZE'))).toEqual({ value: 25, rows: [25] })
      expect(await sandbox.answer(command('get', 'string:tiny'))).toEqual({ value: '7', rows: ['7'] })
      expect(await sandbox.answer(command('GET', 'nothing'))).toEqual({ value: null, rows: [null] })
      expect(await sandbox.answer(command('LRANGE', 'list:huge', '0', '0'))).toEqual({
        value: 'first',
        rows: ['first'],
      })
      expect((await sandbox.answer(command('OBJECT', 'ENCODING', 'set:int16'))).value).toBe('intset')
      for (const words of [
        ['SET', 'a', 'b'],
        ['FLUSHALL'],
        ['CONFIG', 'GET', '*'],
        ['XREAD', 'BLOCK', '0', 'STREAMS', 'stream', '$'],
        ['NOSUCH'],
        ['HGET', 'string:tiny', 'f'],
        ['SHUTDOWN'],
        ['EVAL', 'return 1', '0'],
      ])
        await expect(sandbox.answer(command(...words)), words[0]).rejects.toMatchObject({
          code: 'HF_ASSERTION_INVALID',
        })
      await expect(
        sandbox.answer({ kind: 'sql', name: 'rows', expect: 'true', sql: 'select 1', database: undefined }),
      ).rejects.toMatchObject({ code: 'HF_ASSERTION_INVALID' })
    })
  })

  test('names what a restored server has otherwise', async () => {
    await inSandbox(snapshot, async (sandbox, folder, checks) => {
      using client = await RedisClient.connect({ address: { path: `${folder.path}/redis.sock` } })
      await client.command('DEL', 'hash:small')
      await client.command('APPEND', 'string:tiny', '7')
      await client.command('PEXPIREAT', 'string:expires', '4102444800124')
      await client.command('XACK', 'stream', 'readers', '1002-2')
      await client.command('FUNCTION', 'DELETE', 'mine')
      await client.command('SELECT', '3')
      await client.command('SET', 'more', '1')
      await sandbox.compare()
      const found = failures(checks)
      expect(found).toEqual([
        expect.stringMatching(/^keys of database 0: /),
        'keys of other databases: "more" of database 3: unexpected',
        expect.stringMatching(/^functions: /),
      ])
      for (const named of [
        '"hash:small" of database 0: missing',
        '"string:tiny" of database 0: value differs',
        '"string:expires" of database 0: expiry differs',
        '"stream" of database 0: value differs',
      ])
        expect(found[0]).toContain(named)
    })
  })

  const text = Buffer.from('x7'.repeat(8))
  /** Of `string:lzf`. */
  const longText = 'the quick brown fox jumps over the lazy dog '.repeat(10)
  const flip = (bytes: Buffer, at: number): Buffer => {
    const changed = Buffer.from(bytes)
    changed[at]! ^= 1
    return changed
  }

  test.each([
    {
      what: 'a byte flipped in a text',
      alter: (bytes: Buffer) => flip(bytes, bytes.indexOf(longText) + 3),
      names: /every value of dump.rdb: .*checksum/,
    },
    {
      what: 'a byte flipped in a text, and a checksum that fits',
      alter: (bytes: Buffer) => sealed(flip(bytes, bytes.indexOf(longText) + 3).subarray(0, -8)),
      names: /size and SHA-256 of dump.rdb: .*keys of database 0: .*and they differ/s,
    },
    {
      what: 'a byte flipped in an encoding',
      alter: (bytes: Buffer) => flip(bytes, bytes.indexOf('zset:small') + 'zset:small'.length + 3),
      names: /every value of dump.rdb: .*in key "zset:small" of database 0/,
    },
    {
      what: 'a file that ends early',
      alter: (bytes: Buffer) => bytes.subarray(0, bytes.length >> 1),
      names: /every value of dump.rdb: .*it ends here/,
    },
    {
      what: 'no checksum and another expiry',
      alter: (bytes: Buffer) => {
        const expiry = Buffer.alloc(8)
        expiry.writeBigInt64LE(4_102_444_800_123n)
        return Buffer.concat([flip(bytes, bytes.indexOf(expiry)).subarray(0, -8), Buffer.alloc(8)])
      },
      names: /size and SHA-256 of dump.rdb: .*keys of database 0: .*and they differ/s,
    },
    { what: 'no file', alter: () => text, names: /every value of dump.rdb: .*does not begin as an RDB file/ },
  ])('of one with $what fails, and says where', async ({ alter, names }) => {
    const altered = await alteredSnapshot(repository, snapshot, { 'data/dump.rdb': alter })
    const job = jobOf(repository, altered)
    await proof.checkStructure(job)
    expect(failures(job.checks).join('\n')).toMatch(names)
    using scratch = scratchFolder()
    chmodSync(scratch.path, 0o755)
    await using folder = SandboxFolder.create({ root: scratch.path })
    expect(await proof.openSandbox(job, folder)).toBeUndefined()
    expect(job.checks.at(-1)).toMatchObject({ level: 'restore', outcome: 'failed' })
  })

  test('of one that lacks a key, or has the data of another one, fails', async () => {
    const whole = await snapshotFile(repository, snapshot, 'data/dump.rdb')
    const less: Uint8Array[] = []
    const selection = selectionOf({ include: [], exclude: ['set:small'], rename: [] })
    for await (const piece of selectRdb(once(whole), { dialect: 'redis', version: 10 }, selection)) less.push(piece)
    const lacking = jobOf(
      repository,
      await alteredSnapshot(repository, snapshot, { 'data/dump.rdb': () => Buffer.concat(less) }),
    )
    await proof.checkStructure(lacking)
    expect(failures(lacking.checks).join('\n')).toContain(
      'keys of database 0: 25 keys were read at the backup, 24 keys are here',
    )
    const theirs = await snapshotFile(repository, other, 'data/dump.rdb')
    const wrong = jobOf(repository, await alteredSnapshot(repository, snapshot, { 'data/dump.rdb': () => theirs }))
    await proof.checkStructure(wrong)
    expect(failures(wrong.checks).map((text) => text.split(':')[0])).toEqual([
      'size and SHA-256 of dump.rdb',
      'keys of database 0',
      'keys of database 33',
      'functions',
    ])
    const garbled = jobOf(
      repository,
      await alteredSnapshot(repository, snapshot, { '.holdfast/manifest.json': () => text }),
    )
    await proof.checkStructure(garbled)
    expect(failures(garbled.checks)).toEqual([expect.stringContaining('manifest.json')])
  })

  test('is skipped, not passed, where no server can load the file', async () => {
    using scratch = scratchFolder()
    chmodSync(scratch.path, 0o755)
    mkdirSync(scratch.join('bin'))
    writeFileSync(scratch.join('bin/redis-server'), '#!/bin/sh\necho "Redis server v=6.2.14 sha=0:0"\n', {
      mode: 0o755,
    })
    process.env.HOLDFAST_REDIS_SERVERS = scratch.join('bin/redis-server')
    try {
      const job = jobOf(repository, snapshot)
      await using folder = SandboxFolder.create({ root: scratch.path })
      expect(await proof.openSandbox(job, folder)).toBeUndefined()
      expect(job.checks).toEqual([
        expect.objectContaining({
          level: 'restore',
          outcome: 'skipped',
          detail: expect.stringMatching(/there is only Redis 6.2.14 .*needs \w+ \d+.* or later/),
        }),
      ])
      process.env.HOLDFAST_REDIS_SERVERS = '/nowhere/redis-server'
      await proof.openSandbox(job, folder)
      expect(job.checks.at(-1)).toMatchObject({
        outcome: 'skipped',
        detail: expect.stringContaining('no server of Redis'),
      })
    } finally {
      delete process.env.HOLDFAST_REDIS_SERVERS
    }
  })
})

test('the program that reads a file is chosen by product and version', () => {
  const old = { path: '/a', kind: 'redis', version: '7.0.15' } as const
  const young = { path: '/b', kind: 'redis', version: '8.0.6' } as const
  const valkey = { path: '/c', kind: 'valkey', version: '9.1.2' } as const
  const all = [old, young, valkey]
  expect(programFor(all, { dialect: 'redis', version: 10 }, 'valkey')).toBe(valkey)
  expect(programFor(all, { dialect: 'redis', version: 12 }, 'redis')).toBe(young)
  expect(programFor([old, valkey], { dialect: 'redis', version: 12 }, 'redis')).toBeUndefined()
  expect(programFor(all, { dialect: 'valkey', version: 80 }, 'valkey')).toBe(valkey)
  expect(programFor([old, young], { dialect: 'valkey', version: 80 }, 'valkey')).toBeUndefined()
  expect(programFor([{ ...valkey, version: '8.1.0' }], { dialect: 'valkey', version: 80 }, 'valkey')).toBeUndefined()
})

test('programs of this machine are found by what they say of themselves', async () => {
  for (const { path, version } of await findPrograms()) {
    expect(path).toMatch(/^\/.*server$/)
    expect(version).toMatch(/^\d+\.\d+\.\d+$/)
  }
})
