import { spawnSync } from 'node:child_process'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { altered } from '../../../../test/support/postgres-stage.ts'
import { lacks } from '../../../../test/support/requirements.ts'
import { type PostgresServer, run, startPostgres } from '../../../../test/support/servers/postgres.ts'
import { everythingExtended as everything } from '../../../../test/support/servers/postgres-everything.ts'
import { sourceOf } from '../../../../test/support/servers/postgres-source.ts'
import { memoryRepository, plainOptions, scratchFolder } from '../../../../test/support/test-repository.ts'
import type { Repository } from '../../../engine/repository/repository.ts'
import type { StoredSnapshot } from '../../../engine/repository/snapshot.ts'
import type { RestoreJob, SourceRestoreObserver } from '../../restore.ts'
import type { Source } from '../../source.ts'

const BIN = '/usr/lib/postgresql/15/bin'

const silent: SourceRestoreObserver = {
  onStep: () => undefined,
  onProgress: () => undefined,
  onWarning: () => undefined,
  onError: () => undefined,
}

const urlOf = (server: PostgresServer, database: string): string =>
  server.url.replace(/postgres$/, encodeURIComponent(database))

async function query(url: string, ...statements: readonly string[]): Promise<readonly Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    let rows: readonly Record<string, unknown>[] = []
    for (const statement of statements) rows = (await client.query<Record<string, unknown>>(statement)).rows
    return rows
  } finally {
    await client.end()
  }
}

async function snapshotOf(
  server: PostgresServer,
  database: string,
  statements: readonly string[],
  keys: Record<string, unknown> = {},
): Promise<{ readonly source: Source; readonly repository: Repository; readonly snapshot: StoredSnapshot }> {
  await server.sql(`CREATE DATABASE "${database}"`)
  await query(urlOf(server, database), ...statements)
  const source = sourceOf({ url: urlOf(server, database) }, { mode: 'logical', ...keys })
  const repository = await memoryRepository()
  const options = plainOptions(repository, ['source=shop'])
  const { result } = await source.backup({ repository, type: 'full', require: [], options })
  return { source, repository, snapshot: result.snapshot! }
}

const jobOf = (
  { repository, snapshot }: { readonly repository: Repository; readonly snapshot: StoredSnapshot },
  target: RestoreJob['target'],
  more: Partial<RestoreJob> = {},
): RestoreJob => ({ repository, snapshot, target, include: [], exclude: [], rename: [], overwrite: false, ...more })

function scriptOf(url: string): string {
  const { status, stdout, stderr } = run(`${BIN}/pg_dump`, ['--dbname', url])
  expect(status, stderr).toBe(0)
  return stdout.replaceAll(/^\\(un)?restrict .*\n/gm, '')
}

describe.skipIf(lacks('postgres15'))('a logical snapshot of PostgreSQL 15', () => {
  let server: PostgresServer
  beforeAll(async () => {
    server = await startPostgres({ version: 15, hba: ['host all poor 127.0.0.1/32 trust'] })
  })
  afterAll(() => server.stop())

  test('has a table that outweighs the others written slice by slice over several connections', async () => {
    const made = await snapshotOf(
      server,
      'sliced',
      [
        `CREATE TABLE big AS SELECT g AS id, repeat('x', 100) || g AS filler FROM generate_series(1, 170000) g`,
        'CREATE TABLE small AS SELECT 1 AS n',
      ],
      { sliceBytes: '8M', jobs: 2 },
    )
    const target = { kind: 'server', url: urlOf(server, 'sliced back') } as const
    const planned = await made.source.planRestore!(jobOf(made, target))
    const { bytes, errors } = await planned.execute(silent)
    expect({ bytes, errors }).toEqual({ bytes: planned.plan.bytes, errors: 0 })
    const sum = 'SELECT count(*)::int AS rows, sum(hashtext(filler) # id)::text AS sum FROM big'
    expect(await query(target.url, sum)).toEqual(await query(urlOf(server, 'sliced'), sum))
    // Each slice is a transaction, and what need not be shared out is frozen.
    const writers = 'SELECT DISTINCT xmin::text FROM big'
    expect((await query(target.url, writers)).length).toBeGreaterThan(1)

    const short = await altered(made.repository, made.snapshot, {
      '/shop/.holdfast/manifest.json': (manifest) => Buffer.from(String(manifest).replace('170000', '170001')),
    })
    const wrong = { kind: 'server', url: urlOf(server, 'sliced wrong') } as const
    const refused = await made.source.planRestore!(jobOf({ ...made, snapshot: short }, wrong))
    await expect(refused.execute(silent)).rejects.toMatchObject({
      code: 'HF_RESTORE_FAILED',
      message: expect.stringContaining(
        'public.big were not restored: the server took 170000 rows, and 170001 were read',
      ),
    })
  })

  test('goes into a new database of another server, which is the same then', async () => {
    await using other = await startPostgres({ version: 15 })
    const made = await snapshotOf(server, 'Odd shop', everything)
    const target = { kind: 'server', url: other.url.replace(/postgres$/, '') } as const
    const withoutRoles = await made.source.planRestore!(jobOf(made, target))
    expect(withoutRoles.plan.problems).toMatchObject([
      { severity: 'error', what: expect.stringContaining('no role reader, which row security') },
      {
        severity: 'note',
        what: expect.stringContaining('the server has no role reader'),
        remedy: 'CREATE ROLE "reader";',
      },
    ])
    await other.sql('CREATE ROLE reader')
    const planned = await made.source.planRestore!(jobOf(made, target))
    expect(planned.plan).toMatchObject({ steps: [expect.stringContaining('into the new database Odd shop')] })
    const steps: string[] = []
    const result = await planned.execute({ ...silent, onStep: (step) => steps.push(step) })
    expect(result).toMatchObject({ errors: 0, bytes: planned.plan.bytes, facts: { databases: 'Odd shop' } })
    expect(steps).toEqual(planned.plan.steps)
    expect(scriptOf(urlOf(other, 'Odd shop'))).toBe(scriptOf(urlOf(server, 'Odd shop')))
    expect(await other.sql('SELECT datname FROM pg_database ORDER BY 1')).toHaveLength(4)
    // Rows need no clean-up later.
    expect(
      await query(urlOf(other, 'Odd shop'), 'SELECT xmin FROM orders WHERE xmin::text <> $$2$$ LIMIT 1'),
    ).toHaveLength(1)

    // Again: there is something now.
    const again = await made.source.planRestore!(jobOf(made, target))
    expect(again.plan.problems).toMatchObject([
      { severity: 'error', what: 'database Odd shop of the target is not empty' },
    ])
    await expect(again.execute(silent)).rejects.toMatchObject({ code: 'HF_TARGET_INVALID' })
    await query(urlOf(other, 'Odd shop'), 'DROP TABLE secret', 'CREATE TABLE more ()')
    const user = new pg.Client({ connectionString: urlOf(other, 'Odd shop') })
    await user.connect()
    const used = await made.source.planRestore!(jobOf(made, target, { overwrite: true }))
    await expect(used.execute(silent)).rejects.toMatchObject({
      code: 'HF_TARGET_INVALID',
      message: expect.stringContaining('is being accessed by other users'),
      hint: expect.stringMatching(/whole, in database holdfast_restore_[0-9a-f]+: end the sessions/),
    })
    await user.end()
    const over = await made.source.planRestore!(jobOf(made, target, { overwrite: true }))
    expect(over.plan.overwrites).toEqual([expect.stringMatching(/^database Odd shop with [0-9]+ objects$/)])
    await over.execute(silent)
    expect(scriptOf(urlOf(other, 'Odd shop'))).toBe(scriptOf(urlOf(server, 'Odd shop')))
  })

  test('gives one table back beside the one that is there, whole with its indexes and sequences', async () => {
    const made = await snapshotOf(server, 'shop', everything)
    const url = urlOf(server, 'shop')
    await query(url, 'DELETE FROM orders', 'DELETE FROM event', 'DROP TABLE "Odd Schema"."Odd ""table""/..%"')
    const include = ['shop.public.orders', 'shop.public.event', 'shop.Odd Schema']
    const rename = [{ from: 'shop.Odd Schema', to: 'Other "one"' }]
    const target = { kind: 'server', url } as const
    const planned = await made.source.planRestore!(jobOf(made, target, { include, rename }))
    expect(planned.plan.problems).toMatchObject([
      { severity: 'note', what: expect.stringContaining('FK CONSTRAINT orders orders_customer_fkey') },
      { severity: 'note', what: expect.stringContaining('beside what is there') },
    ])
    await planned.execute(silent)
    const [row] = await query(
      url,
      `SELECT (SELECT count(*) FROM public_restored.orders) AS orders, (SELECT count(*) FROM public.orders) AS live,
         (SELECT count(*) FROM public_restored.event_2024_a) AS a, (SELECT count(*) FROM public_restored.event) AS event,
         (SELECT count(*) FROM "Other ""one"""."Odd ""table""/..%") AS odd,
         nextval('public_restored.orders_id_seq') AS next,
         (SELECT count(*) FROM pg_indexes WHERE schemaname = 'public_restored' AND tablename = 'orders') AS indexes,
         (SELECT count(*) FROM pg_indexes WHERE schemaname = 'public' AND tablename = 'orders') AS live_indexes,
         (SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'public_restored.orders'::regclass AND adnum = 1) AS default`,
    )
    expect(row).toMatchObject({ orders: '2000', live: '0', event: '800', odd: '1', next: '2001' })
    expect(Number(row!.a)).toBeGreaterThan(100)
    expect(row!.indexes).toBe(row!.live_indexes)
    expect(row!.default).toBe("nextval('public_restored.orders_id_seq'::regclass)")
    const again = await made.source.planRestore!(jobOf(made, target, { include: ['shop.public.customer'] }))
    expect(again.plan.problems.filter(({ severity }) => severity === 'error')).toMatchObject([
      { what: 'database shop has a schema public_restored already' },
    ])
    const over = await made.source.planRestore!(
      jobOf(made, target, { include: ['shop.public.customer'], overwrite: true }),
    )
    await over.execute(silent)
    expect(await query(url, 'SELECT FROM pg_tables WHERE schemaname = $$public_restored$$')).toHaveLength(1)
    await expect(
      made.source.planRestore!(jobOf(made, target, { include: ['shop.public.gone'] })),
    ).rejects.toMatchObject({
      code: 'HF_PATH_NOT_FOUND',
    })
  })

  test('in format custom goes into a database that is there and empty', async () => {
    const made = await snapshotOf(server, 'custom', everything, { format: 'custom' })
    await server.sql('CREATE DATABASE "custom back"')
    const planned = await made.source.planRestore!(jobOf(made, { kind: 'server', url: urlOf(server, 'custom back') }))
    expect(planned.plan.steps).toEqual([expect.stringContaining('into the empty database custom back')])
    await planned.execute(silent)
    expect(scriptOf(urlOf(server, 'custom back'))).toBe(scriptOf(urlOf(server, 'custom')))
  })

  test('goes to a directory, from which pg_restore restores', async () => {
    using scratch = scratchFolder()
    const made = await snapshotOf(server, 'files', everything)
    const target = { kind: 'directory', path: scratch.join('out') } as const
    const planned = await made.source.planRestore!(jobOf(made, target))
    expect((await planned.execute(silent)).errors).toBe(0)
    spawnSync('chmod', ['-R', 'a+rX', scratch.path])
    await server.sql('CREATE DATABASE "files back"')
    const { status, stderr } = run(`${BIN}/pg_restore`, [
      '-j2',
      '--exit-on-error',
      '-d',
      urlOf(server, 'files back'),
      scratch.join('out/files'),
    ])
    expect(status, stderr).toBe(0)
    expect(scriptOf(urlOf(server, 'files back'))).toBe(scriptOf(urlOf(server, 'files')))
    const again = await made.source.planRestore!(jobOf(made, target))
    expect(again.plan.problems).toMatchObject([{ severity: 'error' }])
    await expect(again.execute(silent)).rejects.toMatchObject({ code: 'HF_TARGET_INVALID' })
  })

  test('is not begun without what it needs, and leaves nothing behind when it fails', async () => {
    const made = await snapshotOf(server, 'lacking', [
      'CREATE TABLE a AS SELECT g AS n FROM generate_series(1, 10) g',
      'CREATE FUNCTION odd(int) RETURNS bool LANGUAGE sql IMMUTABLE AS $$ SELECT $1 % 2 = 1 $$',
      `CREATE EXTENSION hstore`,
      `UPDATE pg_extension SET extname = 'gone' WHERE extname = 'hstore'`,
      `CREATE ROLE poor LOGIN`,
    ])
    const { plan } = await made.source.planRestore!(
      jobOf(made, { kind: 'server', url: server.url.replace(/postgres@(.*)postgres$/, 'poor@$1new') }),
    )
    expect(plan.problems.filter(({ severity }) => severity === 'error')).toMatchObject([
      { what: expect.stringContaining('extension gone 1.8') },
      { what: 'poor may not create databases', remedy: expect.stringContaining('ALTER ROLE "poor" CREATEDB') },
    ])
    await query(
      urlOf(server, 'lacking'),
      `UPDATE pg_extension SET extname = 'hstore' WHERE extname = 'gone'`,
      'DROP EXTENSION hstore',
    )
    // A table whose rows its own constraint refuses.
    const broken = await snapshotOf(server, 'broken', [
      'CREATE FUNCTION fine(int) RETURNS bool LANGUAGE sql AS $$ SELECT true $$',
      'CREATE TABLE refused (n int CHECK (fine(n)))',
      'INSERT INTO refused VALUES (1)',
      'CREATE OR REPLACE FUNCTION fine(int) RETURNS bool LANGUAGE sql AS $$ SELECT false $$',
    ])
    // Of parts, too.
    const beside = await broken.source.planRestore!(
      jobOf(broken, { kind: 'server', url: urlOf(server, 'lacking') }, { include: ['broken.public'] }),
    )
    await expect(beside.execute(silent)).rejects.toMatchObject({ code: 'HF_RESTORE_FAILED' })
    expect(await query(urlOf(server, 'lacking'), `SELECT nspname FROM pg_namespace WHERE nspname ~ '^public'`)).toEqual(
      [{ nspname: 'public' }],
    )
    const planned = await broken.source.planRestore!(jobOf(broken, { kind: 'server', url: urlOf(server, 'new') }))
    await expect(planned.execute(silent)).rejects.toMatchObject({
      code: 'HF_RESTORE_FAILED',
      message: expect.stringContaining('public.refused'),
    })
    expect(await server.sql(`SELECT FROM pg_database WHERE datname = 'new' OR datname LIKE 'holdfast%'`)).toEqual([])
  })
})
