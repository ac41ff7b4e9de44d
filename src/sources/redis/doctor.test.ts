import { describe, expect, test } from 'vitest'
import { commandPath, lacks } from '../../../test/support/requirements.ts'
import { type RedisServer, startRedis } from '../../../test/support/servers/redis.ts'
import { memoryRepository, plainOptions } from '../../../test/support/test-repository.ts'
import { systemClock } from '../../lib/clock.ts'
import type { Source, SourceServices } from '../source.ts'
import { redisKind } from './index.ts'

const secrets: Readonly<Record<string, string>> = { RIGHT: 'right', WRONG: 'wrong' }
const services: SourceServices = { clock: systemClock, secret: async ({ name }) => secrets[name]! }

const sourceOf = (settings: object): Source => redisKind.open('session', redisKind.settings.parse(settings), services)

async function backUp(source: Source): Promise<{ readonly point: string | undefined }> {
  const repository = await memoryRepository()
  return await source.backup({ repository, type: 'full', require: [], options: plainOptions(repository) })
}

/** Runs `work` with servers that are stopped afterwards. */
async function withServers<T>(work: (start: typeof startRedis) => Promise<T>): Promise<T> {
  const servers: RedisServer[] = []
  try {
    return await work(async (options) => {
      const server = await startRedis(options)
      servers.push(server)
      return server
    })
  } finally {
    await Promise.all(servers.map((server) => server.stop()))
  }
}

async function until(what: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (await what()) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error('what was waited for did not happen')
}

const enabled = '~* +ping'
const GRANTED = '+psync +replconf +ping +info'

describe.skipIf(lacks('redis-server'))('an examination of a Redis server', () => {
  test('finds nothing wrong with a plain server, and says what it is', () =>
    withServers(async (start) => {
      const server = await start()
      await server.command('MSET', 'a', '1', 'b', '2')
      const source = sourceOf({ url: server.url })
      expect(await source.test()).toMatchObject({
        version: expect.stringMatching(/^(Redis|Valkey) \d+\.\d+\.\d+$/),
        facts: { role: 'master', mode: 'standalone', keys: '2' },
      })
      expect(await source.examine()).toEqual([])
      expect(String(await server.command('INFO', 'stats'))).toContain('sync_full:0')
    }))

  test('names the password, or the right that is missing, and the line that grants it', () =>
    withServers(async (start) => {
      const server = await start({
        password: 'right',
        aclUsers: [
          `half on >right ${enabled} +info +replconf`,
          `backup on >right resetchannels ${GRANTED}`,
          'none on >right',
        ],
      })
      const problems = async (settings: object): Promise<unknown> =>
        (await sourceOf({ url: server.url, ...settings }).examine())[0]
      expect(await problems({ password: 'env:WRONG' })).toMatchObject({
        severity: 'error',
        what: expect.stringContaining('WRONGPASS'),
      })
      expect(await problems({})).toMatchObject({
        severity: 'error',
        what: expect.stringContaining('NOAUTH'),
        remedy: expect.stringContaining('password: "env:NAME"'),
      })
      const remedy = (user: string): string => `ACL SETUSER ${user} ${GRANTED}`
      expect(await problems({ user: 'half', password: 'env:RIGHT' })).toMatchObject({
        severity: 'error',
        what: expect.stringContaining('PSYNC'),
        remedy: remedy('half'),
      })
      expect(await problems({ user: 'none', password: 'env:RIGHT' })).toMatchObject({
        severity: 'error',
        remedy: remedy('none'),
      })
      const half = sourceOf({ url: server.url, user: 'half', password: 'env:RIGHT' })
      await expect(backUp(half)).rejects.toMatchObject({
        code: 'HF_SOURCE_PERMISSION',
        hint: expect.stringContaining(remedy('half')),
      })
      // What the line grants is enough.
      const backup = sourceOf({ url: server.url, user: 'backup', password: 'env:RIGHT' })
      expect((await backUp(backup)).point).toMatch(/:\d+$/)
      expect(await backup.examine()).toMatchObject([
        { severity: 'note', remedy: `${remedy('backup')} +config|get +acl|list +module|list` },
      ])
    }))

  test('notes what makes backups slow, weak or hard to restore', () =>
    withServers(async (start) => {
      const server = await start({
        args: ['--appendonly', 'yes', '--rdbchecksum', 'no', '--repl-diskless-sync-delay', '5'],
      })
      const source = sourceOf({ url: server.url })
      const found = await source.examine()
      expect(found.map(({ severity, remedy }) => `${severity}: ${remedy}`)).toEqual([
        expect.stringContaining('note: restore it with `appendonly no`'),
        'warning: rdbchecksum yes',
        'note: CONFIG SET repl-diskless-sync-delay 0',
      ])
      await server.command('CONFIG', 'SET', 'repl-diskless-sync', 'no')
      expect((await source.examine()).at(-1)).toMatchObject({ remedy: 'CONFIG SET repl-diskless-sync yes' })
    }))

  test('waits for a server that sends nothing but empty lines for a while', () =>
    withServers(async (start) => {
      const server = await start({ args: ['--repl-diskless-sync-delay', '2'] })
      expect((await backUp(sourceOf({ url: server.url }))).point).toBeDefined()
    }))

  test('knows replicas: better than their master, useless without it', () =>
    withServers(async (start) => {
      const master = await start()
      const replica = await start({ args: ['--replicaof', '127.0.0.1', String(master.port)] })
      const info = async (): Promise<string> => String(await replica.command('INFO', 'replication'))
      await until(async () => (await info()).includes('master_link_status:up'))
      await until(async () => String(await master.command('INFO')).includes('rdb_bgsave_in_progress:0'))
      expect(await sourceOf({ url: master.url }).examine()).toMatchObject([
        { severity: 'note', remedy: `host: 127.0.0.1, port: ${replica.port}` },
      ])
      const source = sourceOf({ url: replica.url })
      expect(await source.examine()).toEqual([])
      expect((await backUp(source)).point).toMatch(/:\d+$/)
      await master.stop()
      await until(async () => (await info()).includes('master_link_status:down'))
      const problems = await source.examine()
      expect(problems).toMatchObject([
        { severity: 'error', what: expect.stringContaining('NOMASTERLINK') },
        { severity: 'error', remedy: 'INFO replication' },
      ])
      await expect(backUp(source)).rejects.toMatchObject({
        code: 'HF_SOURCE_UNREACHABLE',
        hint: expect.stringContaining('another one'),
      })
    }))

  test('says that a node of a cluster stands for all of it, and that one without slots has no data', () =>
    withServers(async (start) => {
      const server = await start({ args: ['--cluster-enabled', 'yes'] })
      const source = sourceOf({ url: server.url })
      expect(await source.test()).toMatchObject({ facts: { mode: 'cluster' } })
      expect(await source.examine()).toMatchObject([
        { severity: 'note', what: expect.stringContaining('all of its shards') },
      ])
      await expect(backUp(source)).rejects.toMatchObject({
        code: 'HF_SOURCE_UNREACHABLE',
        message: expect.stringContaining('no slots'),
      })
    }))

  test('asks sentinels for a replica, and takes the master when there is none', () =>
    withServers(async (start) => {
      const master = await start()
      const replica = await start({ args: ['--replicaof', '127.0.0.1', String(master.port)] })
      const sentinel = await start({ sentinelOf: { name: 'shop', port: master.port } })
      const { port } = sentinel
      const source = sourceOf({ url: `redis+sentinel://127.0.0.1:1,127.0.0.1:${port}/shop` })
      await until(async () => (await source.test()).facts.role === 'replica')
      expect((await backUp(source)).point).toBeDefined()
      expect(await source.examine()).toEqual([])
      await replica.stop()
      await until(async () => (await source.test().catch(() => undefined))?.facts.role === 'master')
      expect((await backUp(source)).point).toBeDefined()
      expect(await sourceOf({ host: '127.0.0.1', port }).examine()).toMatchObject([
        { severity: 'error', what: 'this is a sentinel, which has no data' },
      ])
      await expect(sourceOf({ url: `redis+sentinel://127.0.0.1:${port}/other` }).test()).rejects.toMatchObject({
        code: 'HF_SOURCE_UNREACHABLE',
        hint: expect.stringContaining('SENTINEL MASTERS'),
      })
      // Our transfers were no replicas that sentinels would wait for.
      expect(String(await sentinel.command('SENTINEL', 'REPLICAS', 'shop')).match(/127\.0\.0\.1:\d+/g)).toEqual([
        `127.0.0.1:${replica.port}`,
      ])
    }))

  test.skipIf(commandPath('openssl') === undefined)('goes over TLS with a certificate of our own', () =>
    withServers(async (start) => {
      const server = await start({ tls: true, password: 'right' })
      const { cert, key } = server.certificate!
      const tls = { ca: cert, cert, key }
      const source = sourceOf({ url: server.url, tls, password: 'env:RIGHT' })
      expect((await source.test()).facts.role).toBe('master')
      expect(await source.examine()).toEqual([])
      expect((await backUp(source)).point).toBeDefined()
      const strangers = [
        { url: server.url },
        { url: server.url, tls: { cert, key } },
        { url: server.url, tls: { ca: cert } },
        { host: '127.0.0.1', port: server.port },
      ]
      for (const settings of strangers)
        await expect(sourceOf({ password: 'env:RIGHT', ...settings }).test()).rejects.toMatchObject({
          code: expect.stringMatching(/^HF_SOURCE_(UNREACHABLE|DAMAGED)$/),
          hint: expect.any(String),
        })
    }),
  )
})
