import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import {
  databasesOf,
  fillWithEveryType,
  type RedisServer,
  readRdbFile,
  saved,
  startRedis,
} from '../../../../test/support/servers/redis.ts'
import {
  alteredSnapshot,
  redisSnapshot,
  redisSource,
  restoreJob,
  restoreNotes,
} from '../../../../test/support/servers/redis-source.ts'
import { memoryRepository, scratchFolder } from '../../../../test/support/test-repository.ts'
import type { Repository } from '../../../engine/repository/repository.ts'
import type { StoredSnapshot } from '../../../engine/repository/snapshot.ts'
import type { PlannedRestore, RestoreJob } from '../../restore.ts'

describe.skipIf(lacks('redis-server'))('a restore into a data folder', () => {
  let server: RedisServer
  let repository: Repository
  let snapshot: StoredSnapshot
  let rdb: Buffer

  beforeAll(async () => {
    server = await startRedis()
    await fillWithEveryType(server)
    await server.command('SELECT', 5)
    await fillWithEveryType(server, ' of five')
    await server.command('SELECT', 0)
    await server.command('FUNCTION', 'LOAD', "#!lua name=mine\nredis.register_function('one', function() return 1 end)")
    repository = await memoryRepository()
    snapshot = await redisSnapshot(repository, { url: server.url })
    rdb = await saved(server)
  })

  afterAll(() => server?.stop())

  const plan = (path: string, job: Partial<RestoreJob> = {}): Promise<PlannedRestore> =>
    redisSource({ url: server.url }).planRestore!(
      restoreJob(repository, job.snapshot ?? snapshot, { target: { kind: 'directory', path }, ...job }),
    )

  test.each([{ appendonly: 'yes' }, { appendonly: 'no' }])(
    'makes a server with appendonly $appendonly that is equal',
    async ({ appendonly }) => {
      using scratch = scratchFolder()
      const path = scratch.join('new/data')
      const planned = await plan(path)
      expect(planned.plan).toMatchObject({ files: 3, overwrites: [], problems: [] })
      expect(planned.plan.steps[0]).toMatch(/^write dump.rdb, 48 keys, .* to .*data$/)
      expect(planned.plan.afterwards.join('\n')).toContain('would make an empty server')
      expect(existsSync(scratch.join('new'))).toBe(false)
      const notes = restoreNotes()
      const result = await planned.execute(notes)
      expect(result).toMatchObject({ files: 3, errors: 0, facts: { keys: '48' } })
      expect(notes.steps).toEqual(planned.plan.steps)
      expect(readdirSync(path).sort()).toEqual(['appendonlydir', 'dump.rdb'])
      expect(statSync(join(path, 'dump.rdb')).mode & 0o777).toBe(0o600)
      expect(statSync(join(path, 'dump.rdb')).ino).toBe(
        statSync(join(path, 'appendonlydir/appendonly.aof.1.base.rdb')).ino,
      )
      const restored = await startRedis({ args: ['--dir', path, '--appendonly', appendonly] })
      try {
        expect(String(await restored.command('DEBUG', 'DIGEST'))).toBe(String(await server.command('DEBUG', 'DIGEST')))
        expect(String(await restored.command('FUNCTION', 'LIST'))).toContain('mine')
      } finally {
        await restored.stop()
      }
    },
  )

  test('is refused where something is, unless that may be overwritten', async () => {
    using scratch = scratchFolder()
    const path = scratch.path
    mkdirSync(join(path, 'appendonlydir'))
    writeFileSync(join(path, 'appendonlydir/appendonly.aof.manifest'), 'old')
    writeFileSync(join(path, 'dump.rdb'), 'old')
    writeFileSync(join(path, 'users.acl'), 'kept')
    const refused = await plan(path)
    expect(refused.plan.problems).toEqual([
      expect.objectContaining({ severity: 'error', what: expect.stringContaining('not empty') }),
    ])
    await expect(refused.execute(restoreNotes())).rejects.toMatchObject({ code: 'HF_TARGET_INVALID' })
    expect(readFileSync(join(path, 'dump.rdb'), 'utf8')).toBe('old')
    const allowed = await plan(path, { overwrite: true })
    expect(allowed.plan).toMatchObject({
      problems: [],
      overwrites: [join(path, 'appendonlydir'), join(path, 'dump.rdb')],
    })
    await allowed.execute(restoreNotes())
    expect(readdirSync(path).sort()).toEqual(['appendonlydir', 'dump.rdb', 'users.acl'])
    expect(readFileSync(join(path, 'appendonlydir/appendonly.aof.manifest'), 'utf8')).toBe(
      'file appendonly.aof.1.base.rdb seq 1 type b\n',
    )
  })

  test('is refused while a server works in the folder, and when something came after the plan', async () => {
    using scratch = scratchFolder()
    const running = await plan(server.folder, { overwrite: true })
    expect(running.plan.problems.map(({ what }) => what)).toEqual([
      expect.stringMatching(/a server works in .*: process \d+/),
    ])
    const planned = await plan(scratch.path)
    writeFileSync(scratch.join('dump.rdb'), 'came later')
    await expect(planned.execute(restoreNotes())).rejects.toMatchObject({ code: 'HF_TARGET_INVALID' })
    expect(readFileSync(scratch.join('dump.rdb'), 'utf8')).toBe('came later')
    const elsewhere = await plan(scratch.join('dump.rdb/below'))
    expect(elsewhere.plan.problems).toEqual([
      expect.objectContaining({ what: expect.stringContaining('no directory') }),
    ])
  })

  test('of a damaged file changes nothing, nor does one that is cut off; the next one ends it', async () => {
    using scratch = scratchFolder()
    const path = scratch.path
    writeFileSync(join(path, 'dump.rdb'), 'old')
    const flipped = await alteredSnapshot(repository, snapshot, {
      'data/dump.rdb': (bytes) => {
        const changed = Buffer.from(bytes)
        changed[changed.length >> 1]! ^= 1
        return changed
      },
    })
    const damaged = await plan(path, { snapshot: flipped, overwrite: true })
    await expect(damaged.execute(restoreNotes())).rejects.toMatchObject({ code: 'HF_DATA_DAMAGED' })
    expect(readdirSync(path)).toEqual(['dump.rdb'])
    const stop = new AbortController()
    const cut = await plan(path, { overwrite: true })
    const notes = restoreNotes()
    const executing = cut.execute({ ...notes, onProgress: () => stop.abort() }, stop.signal)
    await expect(executing).rejects.toMatchObject({ code: 'HF_INTERRUPTED' })
    expect(readFileSync(join(path, 'dump.rdb'), 'utf8')).toBe('old')
    // As a kill would leave it.
    mkdirSync(join(path, '.holdfast-restore/appendonlydir'), { recursive: true })
    writeFileSync(join(path, '.holdfast-restore/dump.rdb'), 'half')
    await (await plan(path, { overwrite: true })).execute(restoreNotes())
    expect(readdirSync(path).sort()).toEqual(['appendonlydir', 'dump.rdb'])
    expect(databasesOf(readRdbFile(readFileSync(join(path, 'dump.rdb'))).entries)).toEqual(
      databasesOf(readRdbFile(rdb).entries),
    )
  })

  test('of some keys writes a file of them, in the databases that were asked for', async () => {
    using scratch = scratchFolder()
    const planned = await plan(scratch.join('some'), {
      include: ['string:*', 'hash:[s-z]*', 'stream*', '*huge*'],
      exclude: ['string:b??'],
      rename: [{ from: '5', to: '9' }],
    })
    expect(planned.plan.problems).toEqual([])
    await planned.execute(restoreNotes())
    const file = scratch.join('some/dump.rdb')
    // It refuses files of servers that are newer than it is.
    if (readRdbFile(rdb).summary.version <= 10) {
      const check = spawnSync('redis-check-rdb', [file], { encoding: 'utf8' })
      expect(check.status, check.stdout).toBe(0)
    }
    const restored = await startRedis({ args: ['--dir', scratch.join('some'), '--appendonly', 'yes'] })
    try {
      const keysOf = async (db: number): Promise<string[]> => {
        await restored.command('SELECT', db)
        return ((await restored.command('KEYS', '*')) as readonly Buffer[]).map(String).sort()
      }
      const expected = (suffix: string): string[] =>
        [
          'hash:small',
          'list:huge',
          'stream',
          'stream:empty',
          'string:big',
          'string:bytes',
          'string:empty',
          'string:expires',
          'string:int',
          'string:lzf',
          'string:not',
          'string:short',
          'string:tiny',
        ]
          .filter((key) => key !== 'string:big' || suffix !== '')
          .map((key) => `${key}${suffix}`)
      expect(await keysOf(0)).toEqual(expected(''))
      expect(await keysOf(9)).toEqual(expected(' of five'))
      expect(await keysOf(5)).toEqual([])
      expect(String(await restored.command('FUNCTION', 'LIST'))).not.toContain('mine')
    } finally {
      await restored.stop()
    }
    const all = readRdbFile(rdb).entries
    const { entries, summary } = readRdbFile(readFileSync(file))
    expect(summary).toMatchObject({ checksum: 'matches', functions: { libraries: 0 } })
    expect([...summary.aux.keys()].some((name) => name.startsWith('repl-'))).toBe(false)
    const digest = (key: Buffer): unknown => all.find((entry) => entry.key.equals(key))
    for (const { key, type, digest: found, expiresAt } of entries)
      expect(digest(key)).toMatchObject({ type, digest: found, expiresAt })
  })

  test('without keys but with all else is whole, functions included', async () => {
    using scratch = scratchFolder()
    await (await plan(scratch.join('all'), { rename: [{ from: '0', to: '20' }] })).execute(restoreNotes())
    const { entries, summary } = readRdbFile(readFileSync(scratch.join('all/dump.rdb')))
    expect(summary.functions).toEqual(readRdbFile(rdb).summary.functions)
    expect(databasesOf(entries).map(({ db, all }) => [db, all.keys])).toEqual([
      [5, 24],
      [20, 24],
    ])
    const { plan: twentyOne } = await plan(scratch.join('again'), { rename: [{ from: '0', to: '20' }] })
    expect(twentyOne.afterwards.join()).toContain('databases 21')
    const merged = await plan(scratch.join('merged'), { rename: [{ from: '5', to: '0' }] })
    expect(merged.plan.problems).toEqual([
      expect.objectContaining({ severity: 'error', what: expect.stringContaining('would become one') }),
    ])
    await expect(plan(scratch.path, { rename: [{ from: 'five', to: '0' }] })).rejects.toMatchObject({
      code: 'HF_USAGE',
    })
  })
})
