import { existsSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import {
  databasesOf,
  fillWithEveryType,
  type RedisServer,
  type RedisServerOptions,
  readRdbFile,
  saved,
  startRedis,
} from '../../../../test/support/servers/redis.ts'
import {
  alteredSnapshot,
  redisServices,
  redisSnapshot,
  redisSource,
  restoreJob,
  restoreNotes,
} from '../../../../test/support/servers/redis-source.ts'
import { noise } from '../../../../test/support/storage-victims.ts'
import { memoryRepository, scratchFolder } from '../../../../test/support/test-repository.ts'
import type { Repository } from '../../../engine/repository/repository.ts'
import type { StoredSnapshot } from '../../../engine/repository/snapshot.ts'
import type { PlannedRestore, RestoreJob } from '../../restore.ts'
import { selectionOf } from '../selection.ts'
import { openSnapshot } from '../snapshot.ts'
import { survey } from '../survey.ts'
import { planServer } from './server.ts'
import { targetServer } from './target.ts'

describe.skipIf(lacks('redis-server'))('a restore into a running server', () => {
  let server: RedisServer
  let repository: Repository
  let snapshot: StoredSnapshot
  let digest: string
  let targets: RedisServer[] = []
  let scratch: ReturnType<typeof scratchFolder>

  beforeAll(async () => {
    server = await startRedis()
    await fillWithEveryType(server)
    await server.command('SET', 'string:long', noise(1, 6_000_000))
    for (let i = 0; i < 30; i++) await server.command('RPUSH', 'list:long', Buffer.alloc(100_000, `item ${i}`))
    await server.command('FUNCTION', 'LOAD', "#!lua name=mine\nredis.register_function('one', function() return 1 end)")
    await server.command('SELECT', 5)
    await fillWithEveryType(server, ' of five')
    await server.command('SELECT', 0)
    repository = await memoryRepository()
    snapshot = await redisSnapshot(repository, { url: server.url })
    digest = String(await server.command('DEBUG', 'DIGEST'))
  })

  afterAll(() => server?.stop())

  beforeEach(() => {
    scratch = scratchFolder()
    process.env.XDG_STATE_HOME = scratch.path
  })

  afterEach(async () => {
    for (const target of targets) await target.stop()
    targets = []
    delete process.env.XDG_STATE_HOME
    scratch[Symbol.dispose]()
  })

  const started = async (options?: RedisServerOptions): Promise<RedisServer> => {
    const target = await startRedis(options)
    targets.push(target)
    return target
  }

  const plan = (
    url: string,
    job: Partial<RestoreJob> = {},
    settings: object = { url: server.url },
  ): Promise<PlannedRestore> =>
    redisSource(settings).planRestore!(
      restoreJob(repository, job.snapshot ?? snapshot, { target: { kind: 'server', url }, ...job }),
    )

  const digestOf = async (target: RedisServer): Promise<string> => String(await target.command('DEBUG', 'DIGEST'))
  const errorsOf = ({ plan }: PlannedRestore): string[] =>
    plan.problems.filter(({ severity }) => severity === 'error').map(({ what }) => what)

  test('gives an empty one all as its master would, and leaves it a master', async () => {
    const target = await started()
    const planned = await plan(target.url)
    expect(planned.plan).toMatchObject({ overwrites: [], problems: [] })
    expect(planned.plan.steps).toEqual([
      expect.stringMatching(
        /^let redis 127.0.0.1:\d+ take 50 keys, .* as from a master; if it cannot connect .* write them key by key$/,
      ),
      expect.stringContaining('compare'),
    ])
    const notes = restoreNotes()
    expect(await planned.execute(notes)).toMatchObject({ errors: 0, facts: { way: 'as from a master', keys: '50' } })
    expect(notes).toMatchObject({ steps: planned.plan.steps, warnings: [], errors: [] })
    expect(await digestOf(target)).toBe(digest)
    expect(String(await target.command('FUNCTION', 'LIST'))).toContain('mine')
    const info = String(await target.command('INFO', 'replication'))
    expect(info).toContain('role:master')
    expect(String(await target.command('CONFIG', 'GET', 'masterauth'))).toBe('masterauth,')
    expect(await target.command('SET', 'writable', '1')).toBe('OK')
  })

  test('keeps what was there, and comes up with the new data although it has an append-only file', async () => {
    const folder = scratch.join('data')
    mkdirSync(folder)
    const target = await startRedis({ args: ['--dir', folder, '--appendonly', 'yes', '--masterauth', 'as it was'] })
    let before: unknown
    let path = ''
    try {
      await target.command('SET', 'old', 'data')
      const refused = await plan(target.url)
      expect(errorsOf(refused)).toEqual([expect.stringContaining('1 key of redis')])
      await expect(refused.execute(restoreNotes())).rejects.toMatchObject({ code: 'HF_TARGET_INVALID' })
      const planned = await plan(target.url, { overwrite: true })
      path = /in (\/.*\.rdb)$/.exec(planned.plan.steps[0]!)![1]!
      expect(path.startsWith(scratch.path)).toBe(true)
      expect(planned.plan.overwrites).toEqual([expect.stringMatching(/^1 key of redis/)])
      const result = await planned.execute(restoreNotes())
      expect(result).toMatchObject({ errors: 0, facts: { 'safety copy': path } })
      before = readRdbFile(readFileSync(path)).entries.map(({ key }) => String(key))
      expect(await digestOf(target)).toBe(digest)
      expect(String(await target.command('CONFIG', 'GET', 'masterauth'))).toBe('masterauth,as it was')
    } finally {
      await target.stop()
    }
    expect(before).toEqual(['old'])
    expect(statSync(path).mode & 0o777).toBe(0o600)
    const again = await started({ args: ['--dir', folder, '--appendonly', 'yes'] })
    expect(await digestOf(again)).toBe(digest)
  })

  test('writes key by key where the server cannot connect to this machine, or may not replicate', async () => {
    const target = await started()
    await target.command('SET', 'old', 'data')
    const into = await targetServer(
      target.url,
      { target: { kind: 'socket', path: '/nowhere' }, user: undefined, password: undefined, tls: undefined },
      redisServices,
    )
    const opened = await openSnapshot(repository, snapshot)
    const selection = selectionOf({ include: [], exclude: [], rename: [] })
    const found = await survey(opened, selection)
    const common = {
      source: 'session',
      snapshot: opened,
      selection,
      survey: found,
      target: into,
      clock: redisServices.clock,
    }
    const impatient = await planServer({ ...common, overwrite: true, patienceMs: -1 })
    const notes = restoreNotes()
    expect(await impatient.execute(notes)).toMatchObject({ errors: 0, facts: { way: 'key by key', keys: '50' } })
    expect(notes.warnings).toEqual([expect.stringContaining('cannot connect')])
    expect(await digestOf(target)).toBe(digest)
    expect(String(await target.command('FUNCTION', 'LIST'))).toContain('mine')

    const managed = await started({ args: ['--rename-command', 'REPLICAOF', ''] })
    const planned = await plan(managed.url)
    expect(planned.plan.steps[0]).toMatch(/^write 50 keys, .* key by key, since it refuses REPLICAOF/)
    expect(await planned.execute(restoreNotes())).toMatchObject({ errors: 0, facts: { way: 'key by key' } })
    expect(await digestOf(managed)).toBe(digest)
  })

  test('of some keys leaves others alone, and replaces only what may be', async () => {
    const target = await started()
    await target.command('SELECT', 7)
    await target.command('SET', 'set:small of five', 'in the way')
    await target.command('SET', 'set:mine', 'kept')
    const selection = { include: ['set:*'], exclude: ['set:large*'], rename: [{ from: '5', to: '7' }] }
    const refused = await plan(target.url, selection)
    expect(refused.plan.overwrites).toEqual(['"set:small of five" of database 7'])
    expect(errorsOf(refused)).toHaveLength(1)
    expect(errorsOf(await plan(target.url, { include: ['sets:*'] }))).toEqual(['no key of the snapshot is selected'])
    await target.command('DEL', 'set:small of five')
    const planned = await plan(target.url, selection)
    expect(planned.plan).toMatchObject({ overwrites: [], problems: [] })
    expect(await planned.execute(restoreNotes())).toMatchObject({ errors: 0, facts: { keys: '8', way: 'key by key' } })
    const entries = readRdbFile(await saved(target)).entries
    expect(databasesOf(entries).map(({ db, all }) => [db, all.keys])).toEqual([
      [0, 4],
      [7, 5],
    ])
    const original = readRdbFile(await saved(server)).entries
    for (const { key, digest: found, type } of entries.filter((entry) => String(entry.key) !== 'set:mine'))
      expect(original.find((entry) => entry.key.equals(key))).toMatchObject({ digest: found, type })
    await target.command('SET', 'set:small of five', 'in the way')
    const replacing = await plan(target.url, { ...selection, overwrite: true })
    expect(replacing.plan.overwrites).toHaveLength(8)
    expect(await replacing.execute(restoreNotes())).toMatchObject({ errors: 0 })
    expect(await target.command('TYPE', 'set:small of five')).toBe('set')
    expect(String(await target.command('GET', 'set:mine'))).toBe('kept')
  })

  test('tells keys that came in between, and those that were changed at once', async () => {
    const target = await started()
    const planned = await plan(target.url, { include: ['hash:*'] })
    await target.command('SET', 'hash:small', 'came later')
    const notes = restoreNotes()
    const result = await planned.execute(notes)
    expect(result.errors).toBeGreaterThan(0)
    expect(notes.errors[0]).toMatch(/^key "hash:small" of database 0: .* it is there already$/)
    expect(String(await target.command('GET', 'hash:small'))).toBe('came later')
    expect(await target.command('HLEN', 'hash:large')).toBe(1000n)
  })

  test('is refused for replicas, nodes of clusters without slots, and masters that have replicas', async () => {
    const target = await started()
    const replica = await started({ args: ['--replicaof', '127.0.0.1', String(target.port)] })
    while (!String(await target.command('INFO', 'replication')).includes('state=online'))
      await new Promise((resolve) => setTimeout(resolve, 50))
    expect(errorsOf(await plan(target.url))).toEqual([expect.stringContaining('1 replica follows redis')])
    expect(errorsOf(await plan(replica.url))).toContainEqual(
      expect.stringContaining(`is a replica of 127.0.0.1:${target.port}`),
    )
    const piecemeal = await plan(target.url, { include: ['*'] })
    expect(await piecemeal.execute(restoreNotes())).toMatchObject({ errors: 0 })
    const node = await started({ args: ['--cluster-enabled', 'yes'] })
    await expect(plan(node.url)).rejects.toThrow(/has no slots/)
  })

  test('is refused under sentinels', async () => {
    const target = await started()
    await started({ sentinelOf: { name: 'main', port: target.port } })
    for (let found: unknown; found !== '1'; )
      found = String(await target.command('PUBSUB', 'NUMSUB', '__sentinel__:hello')).split(',')[1]
    expect(errorsOf(await plan(target.url))).toEqual([expect.stringContaining('1 sentinel watches redis')])
  })

  test('sees that there is no room, no such database, or nobody by that name', async () => {
    const small = await started({ args: ['--maxmemory', '1mb', '--databases', '2'] })
    expect(errorsOf(await plan(small.url))).toEqual([
      expect.stringContaining('(`maxmemory`, noeviction)'),
      expect.stringContaining('has no database 5'),
    ])
    await expect(plan('redis://127.0.0.1:1')).rejects.toMatchObject({ code: 'HF_SOURCE_UNREACHABLE' })
    await expect(plan('http://127.0.0.1:1')).rejects.toMatchObject({ code: 'HF_USAGE' })
    const locked = await started({
      password: 'right',
      aclUsers: ['restorer on >right ~* +@all', 'weak on >right ~* +info +ping'],
    })
    await expect(plan(locked.url)).rejects.toMatchObject({ code: 'HF_SOURCE_PERMISSION' })
    await expect(plan(`redis://:wrong@127.0.0.1:${locked.port}`)).rejects.toMatchObject({
      code: 'HF_SOURCE_PERMISSION',
    })
    const weak = await plan(`redis://weak:right@127.0.0.1:${locked.port}`)
    expect(errorsOf(weak)).toContainEqual(expect.stringContaining('refuses RESTORE'))
    const planned = await plan(`redis://restorer:right@127.0.0.1:${locked.port}`)
    expect(JSON.stringify(planned.plan)).not.toContain('right')
    expect(await planned.execute(restoreNotes())).toMatchObject({ errors: 0 })
    // The rights that the guide names are enough for all of it.
    const rights =
      '~* &* +ping +info +psync +sync +replconf +select +exists +restore +flushall +function +pubsub|numsub +config|get +config|set +replicaof'
    const guided = await started({ aclUsers: [`restore on >right ${rights}`] })
    await guided.command('SET', 'old', 'data')
    const byRights = await plan(`redis://restore:right@127.0.0.1:${guided.port}`, { overwrite: true })
    expect(await byRights.execute(restoreNotes())).toMatchObject({ errors: 0, facts: { way: 'as from a master' } })
    // The source itself, with its own password.
    const own = await plan(locked.url, { overwrite: true }, { url: locked.url, password: 'env:RIGHT' })
    expect(await own.execute(restoreNotes())).toMatchObject({ errors: 0, facts: { way: 'as from a master' } })
  })

  test('goes over a unix socket, and over TLS', async () => {
    const target = await started()
    const planned = await plan(`unix://${target.socket}`)
    expect(await planned.execute(restoreNotes())).toMatchObject({ errors: 0, facts: { way: 'as from a master' } })
    expect(await digestOf(target)).toBe(digest)
    const secure = await started({ tls: true })
    const { cert, key } = secure.certificate!
    const overTls = await plan(secure.url, {}, { url: 'rediss://nowhere.invalid', tls: { ca: cert, cert, key } })
    expect(await overTls.execute(restoreNotes())).toMatchObject({ errors: 0 })
    expect(await digestOf(secure)).toBe(digest)
  })

  test('that is interrupted leaves the server as it was, and a master', async () => {
    const target = await started()
    await target.command('SET', 'old', 'data')
    const planned = await plan(target.url, { overwrite: true })
    const stop = new AbortController()
    const notes = restoreNotes()
    const executing = planned.execute({ ...notes, onProgress: () => stop.abort() }, stop.signal)
    await expect(executing).rejects.toMatchObject({ code: 'HF_INTERRUPTED' })
    expect(String(await target.command('GET', 'old'))).toBe('data')
    expect(String(await target.command('INFO', 'replication'))).toContain('role:master')
    expect(String(await target.command('CONFIG', 'GET', 'masterauth'))).toBe('masterauth,')
    const path = /in (\/.*\.rdb)$/.exec(planned.plan.steps[0]!)![1]!
    expect(existsSync(path)).toBe(true)
    rmSync(path)
    expect(await (await plan(target.url, { overwrite: true })).execute(notes)).toMatchObject({ errors: 0 })
    expect(await digestOf(target)).toBe(digest)
  })

  test('of a damaged snapshot is refused before the server is touched', async () => {
    const target = await started()
    const damaged = await alteredSnapshot(repository, snapshot, {
      'data/dump.rdb': (bytes) => {
        const changed = Buffer.from(bytes)
        changed[changed.length - 20]! ^= 1
        return changed
      },
    })
    await expect(plan(target.url, { snapshot: damaged })).rejects.toMatchObject({ code: 'HF_DATA_DAMAGED' })
  })

  test('leaves out what has expired', async () => {
    await server.command('SET', 'short-lived', '1', 'PX', '700')
    const now = await redisSnapshot(repository, { url: server.url })
    await server.command('DEL', 'short-lived')
    await new Promise((resolve) => setTimeout(resolve, 700))
    const target = await started()
    const planned = await plan(target.url, { snapshot: now, include: ['s*'] })
    expect(await planned.execute(restoreNotes())).toMatchObject({ errors: 0, facts: { 'expired since': '1' } })
    expect(await target.command('EXISTS', 'short-lived')).toBe(0n)
  })
})
