import { readFileSync, truncateSync, writeFileSync } from 'node:fs'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { type PostgresServer, type Row, run, startPostgres } from '../../../../test/support/servers/postgres.ts'
import { sourceOf } from '../../../../test/support/servers/postgres-source.ts'
import type { SourceCheck } from '../../source.ts'

const PAGE_BYTES = 8192
const settings = { autovacuum: 'off' }

/** Checks as they are reported, by name. */
async function checked(
  server: Pick<PostgresServer, 'url'>,
  keys: Readonly<Record<string, unknown>> = {},
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, SourceCheck>> {
  const checks = new Map<string, SourceCheck>()
  await sourceOf(server, keys).check!({ report: (check) => void checks.set(check.name, check), signal })
  return checks
}

const namesOf = (checks: ReadonlyMap<string, SourceCheck>, outcome: SourceCheck['outcome']): readonly string[] =>
  [...checks.values()].filter((check) => check.outcome === outcome).map(({ name }) => name)

const as = (server: PostgresServer, role: string, database = 'postgres') => ({
  url: `postgres://${role}@${server.host}:${server.port}/${database}`,
})

async function sqlIn(server: PostgresServer, database: string, statement: string): Promise<readonly Row[]> {
  const client = new pg.Client({ connectionString: as(server, server.user, database).url })
  await client.connect()
  const { rows } = await client.query<Record<string, unknown>>(statement)
  await client.end()
  return rows
}

const CONTENT = `
  CREATE TABLE account (id int PRIMARY KEY, owner text, shout text GENERATED ALWAYS AS (upper(owner)) STORED);
  INSERT INTO account SELECT g, md5(g::text) FROM generate_series(1, 5000) g;
  CREATE TABLE "odd ""name" (long text);
  INSERT INTO "odd ""name" SELECT string_agg(md5(g::text), '') FROM generate_series(1, 3000) g;
  CREATE UNLOGGED TABLE scratch AS SELECT 1 AS one;
  CREATE SEQUENCE ticket;
  CREATE MATERIALIZED VIEW total AS SELECT count(*) FROM account;
  CREATE VIEW broken AS SELECT 1 / 0 AS nothing;`

const sorts = (database: string): readonly string[] => [
  `structure of tables in ${database}`,
  `B-tree indexes in ${database}, with every row found`,
  `every row of every table in ${database}`,
  `sequences in ${database}`,
  `checksum failures in ${database}`,
]

describe.each([15, 18] as const)('a live server of PostgreSQL %i', (version) => {
  const isMissing = lacks(`postgres${version}`)

  describe.skipIf(isMissing)('that is sound', () => {
    let server: PostgresServer
    beforeAll(async () => {
      server = await startPostgres({ version, settings, initdb: ['--data-checksums'] })
      await sqlIn(server, 'template1', 'CREATE EXTENSION amcheck')
      await server.sql('CREATE EXTENSION amcheck')
      await server.sql('CREATE DATABASE "Shop.1"')
      await sqlIn(server, 'Shop.1', CONTENT)
    })
    afterAll(() => server?.stop())

    test('is read whole', async () => {
      const checks = await checked(server)
      expect(namesOf(checks, 'failed')).toEqual([])
      expect(namesOf(checks, 'skipped')).toEqual([])
      expect(namesOf(checks, 'passed')).toEqual(expect.arrayContaining([...sorts('Shop.1')]))
      expect(checks.get('sequences in Shop.1')?.detail).toBe('1 of 1')
      expect(checks.get('database template0')?.outcome).toBe('not applicable')
      expect(checks.get('checksum failures in catalogs all databases share')?.outcome).toBe('passed')
    })

    test('is read in the chosen databases only by a logical source', async () => {
      const checks = await checked(server, { mode: 'logical', databases: ['Shop.*'] })
      expect(namesOf(checks, 'passed').filter((name) => !name.endsWith('share'))).toEqual([...sorts('Shop.1')])
    })

    test('tells a role without rights the statements that give them, and they do', async () => {
      await server.sql('CREATE ROLE "Reader" LOGIN')
      const reader = as(server, 'Reader', 'Shop.1')
      const before = await checked(reader, { mode: 'logical' })
      const [structure, indexes, ...rest] = [...before.values()]
      expect(structure).toMatchObject({ name: sorts('Shop.1')[0], outcome: 'skipped' })
      expect(indexes).toMatchObject({ name: sorts('Shop.1')[1], outcome: 'skipped' })
      const rows = rest.find(({ name, outcome }) => outcome === 'skipped' && name.includes('Shop.1.public.account'))
      const grants = [structure!, indexes!, rows!].map(({ detail }) => /: (GRANT .*;)$/.exec(detail!)![1]!)
      for (const grant of grants) await sqlIn(server, 'Shop.1', grant)
      const after = await checked(reader, { mode: 'logical' })
      expect([...namesOf(after, 'failed'), ...namesOf(after, 'skipped')]).toEqual([])
      expect(namesOf(after, 'passed')).toEqual(expect.arrayContaining([...sorts('Shop.1')]))
      await sqlIn(server, 'Shop.1', 'ALTER TABLE account ENABLE ROW LEVEL SECURITY')
      const filtered = await checked(reader, { mode: 'logical' })
      await sqlIn(server, 'Shop.1', 'ALTER TABLE account DISABLE ROW LEVEL SECURITY')
      expect(filtered.get('every row of every table in Shop.1: Shop.1.public.account')).toMatchObject({
        outcome: 'skipped',
        detail: expect.stringContaining('ALTER ROLE "Reader" BYPASSRLS;'),
      })
    })

    test('is not changed for what it lacks', async () => {
      await server.sql('CREATE DATABASE plain TEMPLATE template0')
      await server.sql('CREATE ROLE backup LOGIN; GRANT pg_read_all_data TO backup')
      const checks = await checked(as(server, 'backup', 'plain'), { mode: 'logical' })
      expect(checks.get('structure of tables in plain')).toMatchObject({
        outcome: 'skipped',
        detail: expect.stringContaining(
          'in plain: CREATE EXTENSION amcheck; GRANT EXECUTE ON FUNCTION bt_index_check(regclass, boolean), verify_heapam(regclass, boolean, boolean, text, bigint, bigint) TO "backup";',
        ),
      })
      expect(checks.get('every row of every table in plain')?.outcome).toBe('passed')
      const ofSuperuser = await checked(as(server, server.user, 'plain'), { mode: 'logical' })
      expect(ofSuperuser.get('B-tree indexes in plain, with every row found')?.detail).toMatch(
        /in plain: CREATE EXTENSION amcheck;(?! GRANT)/,
      )
      await server.sql('DROP DATABASE plain')
    })

    test('does not wait for a table that somebody changes', async () => {
      const client = new pg.Client({ connectionString: as(server, server.user, 'Shop.1').url })
      await client.connect()
      await client.query('BEGIN; ALTER TABLE account ADD COLUMN more int')
      const checks = await checked(as(server, server.user, 'Shop.1'), { mode: 'logical' })
      await client.query('ROLLBACK')
      await client.end()
      expect(namesOf(checks, 'failed')).toEqual([])
      expect(checks.get('every row of every table in Shop.1: Shop.1.public.account')).toMatchObject({
        outcome: 'skipped',
        detail: expect.stringContaining('somebody else has it locked'),
      })
      expect(checks.get('every row of every table in Shop.1')?.outcome).toBe('passed')
    })

    describe('in the middle of a long statement', () => {
      const running = `SELECT pid FROM pg_stat_activity WHERE application_name = 'holdfast' AND query LIKE '%bt_index_check(%' AND wait_event = 'PgSleep'`
      const untilRunning = (count: number) =>
        expect.poll(async () => (await server.sql(running)).length, { timeout: 20_000 }).toBe(count)

      beforeAll(async () => {
        const slow = (body: string): string =>
          `CREATE OR REPLACE FUNCTION slow(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN ${body} RETURN n; END'`
        await server.sql('CREATE DATABASE "Lazy"')
        await sqlIn(server, 'Lazy', slow(''))
        await sqlIn(server, 'Lazy', 'CREATE TABLE t AS SELECT 1 AS n; CREATE INDEX ON t (public.slow(n))')
        await sqlIn(server, 'Lazy', slow('PERFORM pg_catalog.pg_sleep(300);'))
      })
      afterAll(() => server.sql('DROP DATABASE "Lazy" WITH (FORCE)'))

      test('stops it on the server when it is told to stop', async () => {
        const controller = new AbortController()
        const checking = checked(as(server, server.user, 'Lazy'), { mode: 'logical' }, controller.signal)
        const outcome = expect(checking).rejects.toThrow('enough')
        await untilRunning(1)
        controller.abort(new Error('enough'))
        await outcome
        await untilRunning(0)
      })

      test('says where it was when the session ends, and goes on with other databases', async () => {
        const checking = checked(server, { mode: 'logical', databases: ['Lazy', 'Shop.1'] })
        await untilRunning(1)
        await server.sql(`SELECT pg_terminate_backend(pid) FROM (${running}) AS theirs`)
        const checks = await checking
        expect(checks.get('database Lazy')).toMatchObject({
          outcome: 'skipped',
          detail: expect.stringContaining('while Lazy.public.t_slow_idx was looked at'),
        })
        expect(namesOf(checks, 'passed')).toEqual(expect.arrayContaining([...sorts('Shop.1')]))
      })
    })
  })

  /** A server whose files were changed while it was down. */
  async function damaged(
    initdb: readonly string[],
    work: (server: PostgresServer) => Promise<void>,
    damage: (path: (relation: string) => string) => void,
  ): Promise<void> {
    await using before = await startPostgres({ version, settings, initdb })
    await before.sql(`CREATE EXTENSION amcheck;
      CREATE TABLE victim AS SELECT g, md5(g::text) FROM generate_series(1, 10000) g; CREATE INDEX victim_md5 ON victim (md5);
      CREATE TABLE other AS SELECT g FROM generate_series(1, 10000) g; CREATE INDEX other_g ON other (g)`)
    await before.sql('VACUUM FREEZE')
    await before.sql('CHECKPOINT')
    const rows = await before.sql(
      "SELECT relname, pg_relation_filepath(oid) AS path FROM pg_class WHERE relname ~ '^(victim|other)'",
    )
    const paths = new Map(rows.map(({ relname, path }) => [relname, `${before.dataDirectory}/${path}`]))
    const [template] = await sqlIn(before, 'template1', "SELECT pg_relation_filepath('pg_class') AS path")
    paths.set('class of template1', `${before.dataDirectory}/${template!.path}`)
    await before.kill()
    damage((relation) => paths.get(relation)!)
    await using server = await startPostgres({ version, settings, dataDirectory: before.dataDirectory })
    await work(server)
  }

  const overwrite = (path: string, at: number, bytes: Uint8Array): void => {
    const content = readFileSync(path)
    content.set(bytes, at)
    writeFileSync(path, content)
  }

  test.skipIf(isMissing)('fails for a page with a wrong checksum and an index cut short', async () => {
    await damaged(
      ['--data-checksums'],
      async (server) => {
        const checks = await checked(server, { mode: 'logical' })
        const [structure, indexes, rows, sequences, failures] = sorts('postgres') as [
          string,
          string,
          string,
          string,
          string,
        ]
        expect(new Set(namesOf(checks, 'failed'))).toEqual(
          new Set([
            `${structure}: postgres.public.victim`,
            `${indexes}: postgres.public.victim_md5`,
            `${indexes}: postgres.public.other_g`,
            `${rows}: postgres.public.victim`,
            failures,
          ]),
        )
        expect(checks.get(`${rows}: postgres.public.victim`)?.detail).toMatch(/^invalid page in block 2 of relation/)
        expect(checks.get(failures)?.detail).toMatch(/^[1-9]\d* since/)
        expect(checks.get(sequences)?.outcome).toBe('not applicable')
      },
      (path) => {
        overwrite(path('victim'), 2 * PAGE_BYTES + 5000, Uint8Array.of(0xff, 0, 0xff))
        const { length } = readFileSync(path('other_g'))
        truncateSync(path('other_g'), length - PAGE_BYTES)
      },
    )
  })

  test.skipIf(isMissing)('fails for a database whose catalog is damaged, and looks at the others', async () => {
    await damaged(
      ['--data-checksums'],
      async (server) => {
        const checks = await checked(server)
        expect(checks.get('database template1')).toMatchObject({
          outcome: 'failed',
          detail: expect.stringMatching(/invalid page in block \d+ of relation/),
        })
        expect(checks.get('structure of tables in postgres')?.outcome).toBe('passed')
      },
      (path) => overwrite(path('class of template1'), 5000, Uint8Array.of(0xff, 0, 0xff)),
    )
  })

  test.skipIf(isMissing)('fails for broken rows without checksums, and says what is not seen', async () => {
    const withoutChecksums = version === 18 ? ['--no-data-checksums'] : []
    await damaged(
      withoutChecksums,
      async (server) => {
        const checks = await checked(server, { mode: 'logical' })
        const [structure, indexes, , , failures] = sorts('postgres') as [string, string, string, string, string]
        expect(namesOf(checks, 'failed')).toEqual(
          expect.arrayContaining([`${structure}: postgres.public.other`, `${indexes}: postgres.public.victim_md5`]),
        )
        expect(checks.get(failures)).toMatchObject({
          outcome: 'not applicable',
          detail: expect.stringContaining('data checksums are off'),
        })
      },
      (path) => {
        // The last row of page 2: its number of attributes and where its data begin; and a letter of an indexed text of page 1.
        const { length } = readFileSync(path('other'))
        expect(length).toBeGreaterThan(3 * PAGE_BYTES)
        const page = readFileSync(path('other')).subarray(2 * PAGE_BYTES, 3 * PAGE_BYTES)
        const first = page.readUInt32LE(24) & 0x7fff
        overwrite(path('other'), 2 * PAGE_BYTES + first + 22, Uint8Array.of(0xf1))
        const text = readFileSync(path('victim'))
        const tuple = text.subarray(PAGE_BYTES).readUInt32LE(24) & 0x7fff
        overwrite(path('victim'), PAGE_BYTES + tuple + 24 + 4 + 10, Buffer.from('Z'))
      },
    )
  })

  test.skipIf(isMissing)('is looked at as far as a standby can be', async () => {
    await using primary = await startPostgres({ version, settings })
    await primary.sql(`CREATE EXTENSION amcheck; ${CONTENT}`)
    await primary.sql('CHECKPOINT')
    await primary.kill()
    run('touch', [`${primary.dataDirectory}/standby.signal`])
    await using standby = await startPostgres({ version, settings, dataDirectory: primary.dataDirectory })
    const checks = await checked(standby, { mode: 'logical' })
    expect([...namesOf(checks, 'failed'), ...namesOf(checks, 'skipped')]).toEqual([])
    expect(namesOf(checks, 'passed')).toEqual(expect.arrayContaining(sorts('postgres').slice(0, 4)))
    expect(checks.get('unlogged tables and sequences in postgres')?.outcome).toBe('not applicable')
  })
})

test('a server that is not there', async () => {
  await expect(checked({ url: 'postgres:///?host=/nowhere' })).rejects.toMatchObject({ code: 'HF_SOURCE_UNREACHABLE' })
})
