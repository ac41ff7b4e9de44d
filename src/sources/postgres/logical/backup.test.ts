import { execFileSync } from 'node:child_process'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { dirname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { type PostgresServer, run, startPostgres } from '../../../../test/support/servers/postgres.ts'
import { everything, everythingExtended } from '../../../../test/support/servers/postgres-everything.ts'
import { completePrograms, type PostgresVersion } from '../../../../test/support/servers/postgres-programs.ts'
import { sourceOf } from '../../../../test/support/servers/postgres-source.ts'
import { startTransactionPooler } from '../../../../test/support/servers/transaction-pooler.ts'
import {
  expectResticContent,
  memoryRepository,
  newRepository,
  plainOptions,
  restic,
  scratchFolder,
} from '../../../../test/support/test-repository.ts'
import type { Repository } from '../../../engine/repository/repository.ts'
import { rootOf, type StoredSnapshot } from '../../../engine/repository/snapshot.ts'
import type { Source, SourceBackup } from '../../source.ts'
import { findClientProgram } from './client-programs.ts'
import { loadLogicalManifest } from './manifest.ts'

const BIN = '/usr/lib/postgresql/15/bin'

const backUp = async (
  source: Source,
  repository: Repository,
  more: { readonly parent?: StoredSnapshot; readonly require?: readonly string[]; readonly signal?: AbortSignal } = {},
): Promise<SourceBackup> =>
  await source.backup({
    repository,
    type: 'full',
    require: more.require ?? [],
    options: { ...plainOptions(repository, ['source=shop']), parent: more.parent, signal: more.signal },
  })

/** A new database, filled by statements. */
async function fill(server: PostgresServer, database: string, statements: readonly string[]): Promise<string> {
  await server.sql(`CREATE DATABASE "${database}"`)
  const url = server.url.replace(/postgres$/, encodeURIComponent(database))
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    for (const statement of statements) await client.query(statement)
  } finally {
    await client.end()
  }
  return url
}

/** All of a database as a script by PostgreSQL's own program, without what names the moment. */
function scriptOf(url: string, programs = BIN): string {
  const { status, stdout, stderr } = run(`${programs}/pg_dump`, ['--dbname', url])
  expect(status, stderr).toBe(0)
  return stdout.replaceAll(/^\\(un)?restrict .*\n/gm, '')
}

const lines = (count: number): readonly string[] => [
  'CREATE TABLE big (id int PRIMARY KEY, filler text)',
  `INSERT INTO big SELECT g, md5(g::text) || repeat('x', 100) FROM generate_series(1, ${count}) g`,
]

describe.each<PostgresVersion>([15, 18])('a logical backup of PostgreSQL %i', (version) => {
  const programs = (): string => completePrograms(version)!
  const needs = version === 15 ? 'postgres15' : 'postgres18-clients'
  beforeAll(() => {
    if (!lacks(needs)) vi.stubEnv('HOLDFAST_POSTGRES_BIN', programs())
  })
  afterAll(() => void vi.unstubAllEnvs())

  test.skipIf(lacks('restic', needs))(
    'of one of everything, restored by restic and pg_restore alone, is the same database',
    async () => {
      using scratch = scratchFolder()
      await using server = await startPostgres({ version, programs: programs() })
      const url = await fill(server, 'Odd shop', [
        ...(version === 15 ? everythingExtended : everything),
        ...lines(200_000),
      ])
      const repository = await newRepository(scratch.join('repository'))
      const source = sourceOf({ url }, { mode: 'logical', sliceBytes: '8M' })
      expect(await source.examine()).toEqual([])
      const first = await backUp(source, repository)
      expect(first).toMatchObject({ type: 'full', result: { errors: 0, snapshot: { paths: ['/shop'] } } })
      expect(first.result.snapshot!.tags).toEqual(['source=shop', 'type=full', `point=${first.point}`])
      const manifest = (await loadLogicalManifest(repository, rootOf(first.result.snapshot!), 'shop'))!
      const tables = new Map(manifest.databases[0]!.tables.map((table) => [`${table.schema}.${table.name}`, table]))
      expect(tables.get('public.big')).toMatchObject({ rows: 200_000, columns: ['id', 'filler'] })
      expect(tables.get('public.big')!.slices.length).toBeGreaterThan(3)
      expect(tables.get('public.customer')).toMatchObject({ rows: 500, columns: ['id', 'name', 'mail'] })
      expect(tables.get('Odd Schema.Odd "table"/..%')).toMatchObject({ columns: ['a (b', 'c,d', 'FROM stdin;'] })
      expect(manifest.databases[0]).toMatchObject({
        name: 'Odd shop',
        encoding: 'UTF8',
        largeObjects: { count: 3, bytes: 2_100_004 },
        extensions: version === 15 ? [{ name: 'hstore' }] : [],
      })
      // Nothing has changed: next to nothing is stored.
      const again = await backUp(source, repository, { parent: first.result.snapshot! })
      expect(again.result.summary.dataAddedBytes).toBeLessThan(first.result.summary.dataAddedBytes / 20)
      expect(again.result.summary.filesUnmodified).toBeGreaterThan(15)

      expectResticContent(scratch.join('repository'))
      const folder = `${restored(scratch.join('repository'), scratch.join('out'))}/Odd%20shop`
      await server.sql('CREATE DATABASE back')
      const back = server.url.replace(/postgres$/, 'back')
      const { status, stderr } = run(`${programs()}/pg_restore`, [
        '--jobs=2',
        '--exit-on-error',
        '--dbname',
        back,
        folder,
      ])
      expect(status, stderr).toBe(0)
      expect(scriptOf(back, programs())).toBe(scriptOf(url, programs()))
    },
  )
})

describe.skipIf(lacks('postgres15', 'restic'))('a logical backup', () => {
  let server: PostgresServer
  beforeAll(async () => {
    server = await startPostgres({ version: 15 })
  })
  afterAll(() => server.stop())

  test('under live writes is of one instant, in which nothing is missing that was committed before', async () => {
    const url = await fill(server, 'live', [
      ...lines(100_000),
      'CREATE TABLE a (n int)',
      'CREATE TABLE z (n int)',
      'CREATE SEQUENCE s',
    ])
    const repository = await memoryRepository()
    const writing = await beginWriting(url)
    while (writing.marker() < 20) await delay(5)
    const before = writing.marker()
    const { result } = await backUp(sourceOf({ url }, { mode: 'logical' }), repository)
    await writing.stop()
    const { databases } = (await loadLogicalManifest(repository, rootOf(result.snapshot!), 'shop'))!
    const rowsOf = (name: string): number => databases[0]!.tables.find((table) => table.name === name)!.rows
    expect(rowsOf('a')).toBe(rowsOf('z'))
    expect(rowsOf('a')).toBeGreaterThanOrEqual(before)
    expect(rowsOf('a')).toBeLessThan(writing.marker())
    expect(rowsOf('big')).toBe(100_000)
  })

  test('of a standby is one of what has come there', async () => {
    await fill(server, 'copied', lines(500))
    const dataDirectory = `${server.socketDirectory}/standby`
    const { status, stderr } = run(`${BIN}/pg_basebackup`, ['-D', dataDirectory, '-R', '-c', 'fast', '-d', server.url])
    expect(status, stderr).toBe(0)
    await using standby = await startPostgres({ version: 15, dataDirectory })
    const repository = await memoryRepository()
    const source = sourceOf({ url: standby.url.replace(/postgres$/, 'copied') }, { mode: 'logical' })
    expect(await source.examine()).toMatchObject([
      { severity: 'warning', what: expect.stringContaining('hot_standby_feedback') },
    ])
    const { result } = await backUp(source, repository)
    const manifest = (await loadLogicalManifest(repository, rootOf(result.snapshot!), 'shop'))!
    expect(manifest.server.isStandby).toBe(true)
    expect(manifest.databases[0]!.tables).toMatchObject([{ name: 'big', rows: 500 }])
  })

  test('of several databases, of which some tables or schemas are wanted', async () => {
    const some = (name: string): readonly string[] => [
      `CREATE SCHEMA "${name}"`,
      `CREATE TABLE "${name}".kept AS SELECT 1 AS a`,
      `CREATE TABLE "${name}"."not.kept" AS SELECT 2 AS a`,
      `CREATE TABLE "${name}".empty AS SELECT 3 AS a`,
      'CREATE TABLE other AS SELECT 4 AS a',
    ]
    await fill(server, 'one', some('Main'))
    await fill(server, 'two', some('main'))
    await fill(server, 'three', [])
    const repository = await memoryRepository()
    const tablesOf = async (keys: Record<string, unknown>): Promise<readonly string[]> => {
      const { result } = await backUp(sourceOf(server, { mode: 'logical', ...keys }), repository)
      const { databases } = (await loadLogicalManifest(repository, rootOf(result.snapshot!), 'shop'))!
      return databases
        .flatMap(({ name, tables }) => tables.map((table) => `${name}.${table.schema}.${table.name}`))
        .sort()
    }
    const databases = ['one', 't?o']
    expect(
      await tablesOf({ databases, schemas: ['?ain'], excludeTables: ['*.not*'], excludeTableData: ['*.empty'] }),
    ).toEqual(['one.Main.kept', 'two.main.kept'])
    expect(await tablesOf({ databases, tables: ['Main.*', '*.other'], excludeTables: ['Main.empty'] })).toEqual([
      'one.Main.kept',
      'one.Main.not.kept',
      'one.public.other',
      'two.public.other',
    ])
    await expect(tablesOf({ databases: ['none*'] })).rejects.toMatchObject({ code: 'HF_REQUIRED_MISSING' })
    const misspelt = { databases: ['one', 'two', 'tow'], tables: ['public.other', 'Main.kep?', 'public.othr'] }
    const told: string[] = []
    const options = {
      ...plainOptions(repository, ['source=shop']),
      observer: { onError: (_: string, error: Error) => void told.push(error.message) },
    }
    const source = sourceOf(server, { mode: 'logical', ...misspelt })
    const { result } = await source.backup({ repository, type: 'full', require: [], options })
    expect(told).toEqual([
      'database tow is not there, and the source names it',
      'table public.othr is not there, and the source names it',
    ])
    expect(result).toMatchObject({ errors: 2, snapshot: { id: expect.any(String) } })
  })

  test.each(['custom', 'plain'])('in format %s is one file that PostgreSQL restores', async (format) => {
    using scratch = scratchFolder()
    const url = await fill(server, format, everything)
    const repository = await newRepository(scratch.join('repository'))
    await backUp(sourceOf({ url }, { mode: 'logical', format }), repository)
    const folder = restored(scratch.join('repository'), scratch.join('out'))
    await server.sql(`CREATE DATABASE ${format}_back`)
    const back = server.url.replace(/postgres$/, `${format}_back`)
    const { status, stderr } =
      format === 'custom'
        ? run(`${BIN}/pg_restore`, ['--exit-on-error', '--dbname', back, `${folder}/custom.dump`])
        : run(`${BIN}/psql`, ['-q', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', `${folder}/plain.sql`, back])
    expect(status, stderr).toBe(0)
    expect(scriptOf(back)).toBe(scriptOf(url))
  })

  test('keeps of the tables of an extension what its users have added', async () => {
    const url = await fill(server, 'extended', [
      'CREATE EXTENSION hstore',
      'CREATE TABLE conf (id int, builtin bool)',
      'INSERT INTO conf VALUES (1, true), (2, false), (3, false)',
      'ALTER EXTENSION hstore ADD TABLE conf',
      `UPDATE pg_extension SET extconfig = ARRAY['conf'::regclass::oid], extcondition = ARRAY['WHERE NOT builtin']
        WHERE extname = 'hstore'`,
    ])
    const repository = await memoryRepository()
    const { result } = await backUp(sourceOf({ url }, { mode: 'logical' }), repository)
    const { databases } = (await loadLogicalManifest(repository, rootOf(result.snapshot!), 'shop'))!
    expect(databases[0]!.tables).toMatchObject([{ schema: 'public', name: 'conf', rows: 2 }])
  })
})

describe.skipIf(lacks('postgres15'))('a logical backup that cannot be made leaves no snapshot and says why:', () => {
  let server: PostgresServer
  beforeAll(async () => {
    server = await startPostgres({ version: 15, hba: ['host all backup 127.0.0.1/32 scram-sha-256'] })
  })
  afterAll(() => server.stop())

  const snapshots = async (repository: Repository): Promise<number> => (await repository.list('snapshot')).length

  test('somebody changes a table', async () => {
    const url = await fill(server, 'changed', lines(10))
    const repository = await memoryRepository()
    const other = new pg.Client({ connectionString: url })
    await other.connect()
    await other.query('BEGIN; ALTER TABLE big ADD COLUMN more int')
    const source = sourceOf({ url }, { mode: 'logical', lockTimeout: '1s' })
    await expect(backUp(source, repository)).rejects.toMatchObject({
      code: 'HF_SOURCE_UNREADABLE',
      retry: 'later',
      message: expect.stringContaining('public.big'),
      hint: expect.stringContaining('lockTimeout'),
    })
    expect(await snapshots(repository)).toBe(0)
    await other.query('COMMIT')
    await other.end()
    expect((await backUp(source, repository)).result.snapshot).toBeDefined()
  })

  test('the connection is cut while rows come, and the next run has what was read', async () => {
    const url = await fill(server, 'cut', lines(60_000))
    const repository = await memoryRepository()
    await using proxy = await cuttingProxy(server.port, 3_000_000)
    const cut = sourceOf({ url: url.replace(`:${server.port}`, `:${proxy.port}`) }, { mode: 'logical' })
    await expect(backUp(cut, repository)).rejects.toMatchObject({ code: 'HF_SOURCE_UNREACHABLE' })
    expect(await snapshots(repository)).toBe(0)
    const source = sourceOf({ url }, { mode: 'logical' })
    expect((await backUp(source, repository)).result.errors).toBe(0)
  })

  test('it is interrupted, and leaves no session behind', async () => {
    const url = await fill(server, 'interrupted', lines(60_000))
    const repository = await memoryRepository()
    const interruption = new AbortController()
    const slow = new pg.Client({ connectionString: url })
    await slow.connect()
    await slow.query('BEGIN; LOCK TABLE big')
    const running = backUp(sourceOf({ url }, { mode: 'logical' }), repository, { signal: interruption.signal })
    running.catch(() => undefined)
    const waiting = `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'holdfast'`
    while ((await server.sql(waiting)).length === 0) await delay(20)
    interruption.abort(new Error('stop'))
    await expect(running).rejects.toThrow()
    expect(await snapshots(repository)).toBe(0)
    await slow.end()
    const left = `SELECT FROM pg_stat_activity WHERE application_name = 'holdfast'`
    while ((await server.sql(left)).length > 0) await delay(20)
  })

  test('the password, the rights, and rows that are hidden', async () => {
    const url = await fill(server, 'shop', [
      ...lines(10),
      'CREATE TABLE secret (owner text)',
      'ALTER TABLE secret ENABLE ROW LEVEL SECURITY',
      `CREATE ROLE backup LOGIN PASSWORD 'right'`,
    ])
    const asOwner = async (statement: string): Promise<void> => {
      const { status, stderr } = run(`${BIN}/psql`, ['-q', '-c', statement, url])
      expect(status, stderr).toBe(0)
    }
    const repository = await memoryRepository()
    const keys = { mode: 'logical', user: 'backup', password: 'env:P' }
    const source = (secret: string): Source =>
      sourceOf({ url: url.replace('postgres@', '') }, { ...keys, globals: true }, secret)
    await expect(backUp(source('wrong'), repository)).rejects.toMatchObject({ code: 'HF_SOURCE_PERMISSION' })
    const backup = (): Promise<SourceBackup> => backUp(source('right'), repository)
    await expect(backup()).rejects.toMatchObject({
      code: 'HF_SOURCE_PERMISSION',
      message: expect.stringContaining('public.big, public.secret'),
      hint: expect.stringContaining('GRANT pg_read_all_data TO "backup"'),
    })
    expect(await source('right').examine()).toMatchObject([{ severity: 'note' }, { severity: 'error' }])
    await asOwner('GRANT SELECT ON ALL TABLES IN SCHEMA public TO backup')
    await expect(backup()).rejects.toMatchObject({
      code: 'HF_SOURCE_PERMISSION',
      message: expect.stringContaining('row security hides rows of table public.secret'),
      hint: 'ALTER ROLE "backup" BYPASSRLS;',
    })
    await server.sql('ALTER ROLE backup BYPASSRLS')
    const { result } = await backup()
    const manifest = (await loadLogicalManifest(repository, rootOf(result.snapshot!), 'shop'))!
    expect(manifest).toMatchObject({ globals: { withPasswords: false }, roles: ['backup', 'postgres'] })
    await expect(backUp(source('right'), repository, { require: ['shop.public.gone'] })).rejects.toMatchObject({
      code: 'HF_REQUIRED_MISSING',
    })
    expect(await snapshots(repository)).toBe(1)
  })

  test('a pooler hands out sessions by the transaction', async () => {
    const url = await fill(server, 'secured', lines(10))
    await using pooler = await startTransactionPooler(server.port)
    const pooled = `${url.replace(`:${server.port}`, `:${pooler.port}`)}?sslmode=disable`
    const source = sourceOf({ url: pooled }, { mode: 'logical' })
    const refusal = expect.stringContaining('is a connection pooler that hands out sessions by the transaction')
    await expect(backUp(source, await memoryRepository())).rejects.toMatchObject({
      code: 'HF_SOURCE_UNSUPPORTED',
      message: refusal,
    })
    expect(await source.examine()).toMatchObject([{ severity: 'error', what: refusal }])
  })

  test('the server is another one than before', async () => {
    const repository = await memoryRepository()
    const parent = (await backUp(sourceOf(server, { mode: 'logical' }), repository)).result.snapshot!
    await using other = await startPostgres({ version: 15 })
    await expect(backUp(sourceOf(other, { mode: 'logical' }), repository, { parent })).rejects.toMatchObject({
      code: 'HF_SOURCE_CHANGED',
    })
  })

  test.skipIf(lacks('postgres18') || findClientProgram('pg_dump', 18) !== undefined)(
    'pg_dump is older than the server',
    async () => {
      await using server = await startPostgres({ version: 18 })
      const source = sourceOf(server, { mode: 'logical' })
      const refusal = { code: 'HF_SOURCE_UNSUPPORTED', hint: expect.stringContaining('postgresql-client-18') }
      await expect(backUp(source, await memoryRepository())).rejects.toMatchObject(refusal)
      expect(await source.examine()).toMatchObject([{ severity: 'error', what: expect.stringContaining('no pg_dump') }])
    },
  )
})

/** Restores the newest snapshot by restic alone; what is in it may be read by everybody. */
function restored(repository: string, target: string): string {
  const { status, stderr } = restic(repository, 'restore', 'latest', '--target', target)
  expect(status, stderr).toBe(0)
  execFileSync('chmod', ['-R', 'a+rX', dirname(target)])
  return `${target}/shop/data`
}

/** Writes the same number of rows into two tables, until it is told to stop; `marker()` were certainly committed. */
async function beginWriting(url: string) {
  let committed = 0
  let stopped = false
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const work = (async () => {
    for (let n = 1; !stopped; n++) {
      await client.query(`BEGIN; INSERT INTO a VALUES (${n}); SELECT nextval('s'); INSERT INTO z VALUES (${n}); COMMIT`)
      committed = n
    }
    await client.end()
  })()
  return {
    marker: () => committed,
    stop: async () => {
      stopped = true
      await work
    },
  }
}

/** Passes connections on, and ends those that have brought so many bytes. */
async function cuttingProxy(port: number, bytes: number): Promise<AsyncDisposable & { readonly port: number }> {
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect({ host: '127.0.0.1', port })
    let brought = 0
    upstream.on('data', (data) => {
      brought += data.length
      if (brought > bytes) client.destroy()
    })
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(one)
      one.pipe(other)
      one.on('error', () => undefined).on('close', () => other.destroy())
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
