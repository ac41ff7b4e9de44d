import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer, connect as dial } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lacks } from '../../../test/support/requirements.ts'
import {
  databasesOf,
  fillWithEveryType,
  once,
  type RedisServer,
  readRdbFile,
  startRedis,
} from '../../../test/support/servers/redis.ts'
import { contentOf, nodesOf } from '../../../test/support/stored-nodes.ts'
import {
  expectResticContent,
  memoryRepository,
  newRepository,
  plainOptions,
  restic,
  scratchFolder,
} from '../../../test/support/test-repository.ts'
import type { SecretReference } from '../../config/secret.ts'
import type { Repository } from '../../engine/repository/repository.ts'
import { systemClock } from '../../lib/clock.ts'
import type { Source, SourceBackup, SourceServices } from '../source.ts'
import { compareRdb } from './compare.ts'
import { redisKind } from './index.ts'
import { type RedisManifest, redisManifest } from './manifest.ts'
import { serverRecord } from './server-record.ts'

const secrets: Readonly<Record<string, string>> = { RIGHT: 'right', WRONG: 'wrong' }
const services: SourceServices = {
  clock: systemClock,
  secret: async ({ name }: SecretReference) => secrets[name]!,
}

const sourceOf = (settings: object): Source => redisKind.open('session', redisKind.settings.parse(settings), services)

const backUp = (source: Source, repository: Repository, require: readonly string[] = []): Promise<SourceBackup> =>
  source.backup({ repository, type: 'incremental', require, options: plainOptions(repository, ['source=session']) })

/** What a snapshot holds, by path. */
async function filesOf(
  repository: Repository,
  { result }: SourceBackup,
): Promise<{ manifest: RedisManifest; record: unknown; rdb: Buffer }> {
  const nodes = await nodesOf(repository, result.tree)
  const file = (path: string): Promise<Buffer> => contentOf(repository, nodes.get(`/session/${path}`)!)
  return {
    manifest: redisManifest.parse(JSON.parse(String(await file('.holdfast/manifest.json')))),
    record: serverRecord.parse(JSON.parse(String(await file('.holdfast/server.json')))),
    rdb: await file('data/dump.rdb'),
  }
}

describe.skipIf(lacks('redis-server'))('a backup of a Redis server', () => {
  let server: RedisServer
  let libraries = 0

  beforeAll(async () => {
    server = await startRedis()
    await fillWithEveryType(server)
    await server.command('HSET', 'hash:expiring', 'a', '1', 'b', '2')
    // Servers since Redis 7.4 and Valkey 9 know it; the latter write it only for whoever names a version.
    await server.command('HPEXPIREAT', 'hash:expiring', '4102444800123', 'FIELDS', '1', 'a').catch(() => undefined)
    await server.command('SELECT', 5)
    await fillWithEveryType(server, ' of five')
    await server.command('SELECT', 0)
    const code = "#!lua name=mine\nredis.register_function('one', function() return 1 end)"
    // Redis 6 has none.
    libraries = await server.command('FUNCTION', 'LOAD', code).then(
      () => 1,
      () => 0,
    )
  })

  afterAll(() => server?.stop())

  test.skipIf(lacks('restic'))('is restored by restic alone into an equal server', async () => {
    using scratch = scratchFolder()
    const repository = await newRepository(scratch.join('repository'))
    const digest = String(await server.command('DEBUG', 'DIGEST'))
    const backup = await backUp(sourceOf({ url: server.url }), repository, ['hash:small', 'list:huge of five'])
    expect(backup).toMatchObject({
      type: 'full',
      reason: expect.any(String),
      point: expect.stringMatching(/^[0-9a-f]{40}:\d+$/),
    })
    expect(backup.result.snapshot).toMatchObject({
      paths: ['/session'],
      tags: ['source=session', 'type=full', `point=${backup.point}`],
    })
    const { manifest } = await filesOf(repository, backup)
    expect(manifest).toMatchObject({
      server: { kind: expect.stringMatching(/^(redis|valkey)$/), role: 'master', mode: 'standalone' },
      functions: { libraries },
      rdb: { checksum: 'matches', isDiskless: true },
    })
    expect(manifest.databases.map(({ db, all, expiring }) => [db, all.keys, expiring.keys])).toEqual([
      [0, 25, 1],
      [5, 24, 1],
    ])
    // Nothing was left on the source.
    expect(spawnSync('ls', [server.folder], { encoding: 'utf8' }).stdout).not.toContain('rdb')

    expectResticContent(scratch.join('repository'))
    const target = scratch.join('target')
    const { status, stderr } = restic(scratch.join('repository'), 'restore', 'latest', '--target', target)
    expect(status, stderr).toBe(0)
    const file = `${target}/session/data/dump.rdb`
    const rdb = readFileSync(file)
    expect(createHash('sha256').update(rdb).digest('hex')).toBe(manifest.rdb.sha256)
    // It refuses files of servers that are newer than it is.
    if (manifest.rdb.version <= 10) {
      const check = spawnSync('redis-check-rdb', [file], { encoding: 'utf8' })
      expect(check.status, check.stdout).toBe(0)
    }
    const restored = await startRedis({ dump: rdb })
    try {
      expect(String(await restored.command('DEBUG', 'DIGEST'))).toBe(digest)
      if (libraries > 0) expect(String(await restored.command('FUNCTION', 'LIST'))).toContain('mine')
      const again = await filesOf(repository, await backUp(sourceOf({ url: restored.url }), repository))
      expect(again.manifest.databases).toEqual(manifest.databases)
      expect(again.manifest.functions).toEqual(manifest.functions)
      await restored.command('HSET', 'hash:large', 'field 7', 'another')
      await restored.command('DEL', 'set:int16')
      await restored.command('PEXPIREAT', 'string:expires', 4_102_444_800_124)
      await restored.command('SET', 'more', '1')
      const changed = await filesOf(repository, await backUp(sourceOf({ url: restored.url }), repository))
      expect(changed.manifest.databases[0]).not.toEqual(manifest.databases[0])
      expect(changed.manifest.databases[1]).toEqual(manifest.databases[1])
      const differences = await compareRdb(
        () => once(rdb),
        () => once(changed.rdb),
      )
      expect(differences.map(({ db, key, what }) => `${db} ${Buffer.from(key)} ${what}`).sort()).toEqual([
        '0 hash:large value differs',
        '0 more unexpected',
        '0 set:int16 missing',
        '0 string:expires expiry differs',
      ])
    } finally {
      await restored.stop()
    }
  })

  test('is of one instant while others write', async () => {
    const busy = await startRedis()
    try {
      let counter = 0
      let isOver = false
      await busy.command('DEBUG', 'POPULATE', '50000', 'key', '100')
      // Two keys are always written together: whoever sees them differ has seen no instant.
      const writer = (async () => {
        while (!isOver) {
          counter++
          await busy.command('MSET', 'marker:a', counter, 'marker:z', counter, `key:${counter % 50_000}`, counter)
        }
      })()
      const repository = await memoryRepository()
      const backup = await backUp(sourceOf({ host: '127.0.0.1', port: busy.port }), repository)
      isOver = true
      await writer
      const { rdb, manifest } = await filesOf(repository, backup)
      const markers: (string | undefined)[] = []
      const restored = await startRedis({ dump: rdb })
      try {
        for (const key of ['marker:a', 'marker:z']) markers.push(String(await restored.command('GET', key)))
        expect(Number(await restored.command('DBSIZE'))).toBe(manifest.databases[0]!.all.keys)
      } finally {
        await restored.stop()
      }
      expect(markers[0]).toBe(markers[1])
      expect(Number(markers[0])).toBeLessThan(counter)
      expect(manifest.databases).toEqual(databasesOf(readRdbFile(rdb).entries))
    } finally {
      await busy.stop()
    }
  })

  test('goes over a unix socket, from a server that writes to disk first', async () => {
    await server.command('CONFIG', 'SET', 'repl-diskless-sync', 'no')
    const repository = await memoryRepository()
    const { manifest } = await filesOf(repository, await backUp(sourceOf({ socket: server.socket }), repository))
    await server.command('CONFIG', 'SET', 'repl-diskless-sync', 'yes')
    expect(manifest.rdb).toMatchObject({ isDiskless: false, checksum: 'matches' })
    expect(manifest.databases).toHaveLength(2)
  })

  test('keeps beside the data what an RDB does not contain, and no password', async () => {
    const other = await startRedis({ password: 'right', aclUsers: ['shop on >right ~* +@all'] })
    try {
      const repository = await memoryRepository()
      const source = sourceOf({ url: other.url, password: 'env:RIGHT' })
      const { record, manifest } = await filesOf(repository, await backUp(source, repository))
      expect(record).toMatchObject({
        info: expect.stringContaining('redis_version'),
        config: { maxmemory: '0', requirepass: '(left out)' },
        acl: expect.arrayContaining([expect.stringContaining('user shop on')]),
      })
      expect(manifest.databases).toEqual([])
      expect(JSON.stringify([record, manifest])).not.toMatch(/"right"/)
    } finally {
      await other.stop()
    }
  })

  test('lacking a required key is none', async () => {
    const repository = await memoryRepository()
    const backup = backUp(sourceOf({ url: server.url }), repository, ['hash:small', 'orders'])
    await expect(backup).rejects.toMatchObject({
      code: 'HF_REQUIRED_MISSING',
      message: expect.stringContaining('orders'),
    })
    expect(await repository.list('snapshot')).toEqual([])
  })

  test.each([
    {
      what: 'cut in the middle',
      damage: (bytes: Buffer, at: number) => (at > 30_000 ? undefined : bytes),
      code: 'HF_SOURCE_UNREACHABLE',
    },
    {
      what: 'with a byte flipped on the way',
      damage: (bytes: Buffer, at: number) => (at >= 30_000 && at - bytes.length < 30_000 ? flipped(bytes) : bytes),
      code: 'HF_SOURCE_DAMAGED',
    },
  ])('$what is none', async ({ damage, code }) => {
    await server.command('CONFIG', 'SET', 'rdbcompression', 'no')
    await using proxy = await damagingProxy(server.port, damage)
    const repository = await memoryRepository()
    await expect(backUp(sourceOf({ host: '127.0.0.1', port: proxy.port }), repository)).rejects.toMatchObject({
      code,
      hint: expect.any(String),
    })
    await server.command('CONFIG', 'SET', 'rdbcompression', 'yes')
    expect(await repository.list('snapshot')).toEqual([])
  })

  test('dies with the server', async () => {
    const other = await startRedis({ args: ['--rdb-key-save-delay', '1000'] })
    await other.command('DEBUG', 'POPULATE', '20000', 'key', '1000')
    const repository = await memoryRepository()
    const backup = backUp(sourceOf({ url: other.url }), repository)
    const failed = expect(backup).rejects.toMatchObject({ code: 'HF_SOURCE_UNREACHABLE', hint: expect.any(String) })
    await new Promise((resolve) => setTimeout(resolve, 300))
    await other.stop()
    await failed
    expect(await repository.list('snapshot')).toEqual([])
  })
})

function flipped(bytes: Buffer): Buffer {
  const changed = Buffer.from(bytes)
  changed[Math.floor(changed.length / 2)]! ^= 1
  return changed
}

/** Hands on what comes, and what `damage` makes of what the server sends; ends the connection where that gives nothing. */
async function damagingProxy(
  port: number,
  damage: (bytes: Buffer, at: number) => Buffer | undefined,
): Promise<AsyncDisposable & { readonly port: number }> {
  const proxy = createServer((client) => {
    const upstream = dial(port, '127.0.0.1')
    let at = 0
    client
      .on('error', () => upstream.destroy())
      .on('close', () => upstream.destroy())
      .pipe(upstream)
    upstream.on('error', () => client.destroy()).on('end', () => client.end())
    upstream.on('data', (bytes) => {
      at += bytes.length
      const changed = damage(bytes, at)
      if (changed === undefined) client.destroy()
      else client.write(changed)
    })
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  return {
    port: (proxy.address() as { port: number }).port,
    [Symbol.asyncDispose]: () => new Promise((resolve) => proxy.close(() => resolve())),
  }
}
