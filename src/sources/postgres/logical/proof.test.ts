import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { type PostgresServer, startPostgres } from '../../../../test/support/servers/postgres.ts'
import { everything, everythingExtended } from '../../../../test/support/servers/postgres-everything.ts'
import { completePrograms, type PostgresVersion } from '../../../../test/support/servers/postgres-programs.ts'
import { sourceOf } from '../../../../test/support/servers/postgres-source.ts'
import { memoryRepository, plainOptions } from '../../../../test/support/test-repository.ts'
import { backupEntries } from '../../../engine/archive/entries-backup.ts'
import { idBytes } from '../../../engine/archive/hex-ids.ts'
import type { Repository } from '../../../engine/repository/repository.ts'
import { rootOf, type StoredSnapshot } from '../../../engine/repository/snapshot.ts'
import { textToByteString } from '../../../engine/repository/tree/node.ts'
import { once } from '../../json-file.ts'
import type { ProofCheck, ProofJob, ProofSandbox } from '../../proof.ts'
import { SandboxFolder } from '../../sandbox/sandbox-folder.ts'
import type { Source } from '../../source.ts'
import { dumpCutRule } from './dump-files.ts'
import { type LogicalManifest, loadLogicalManifest } from './manifest.ts'
import { LogicalSnapshot } from './snapshot.ts'

interface Made {
  readonly source: Source
  readonly repository: Repository
  readonly snapshot: StoredSnapshot
}

async function fill(server: PostgresServer, database: string, statements: readonly string[]): Promise<string> {
  await server.sql(`CREATE DATABASE "${database}"`)
  const url = server.url.replace(/postgres$/, database)
  await change({ connectionString: url }, statements)
  return url
}

async function change(place: pg.ClientConfig, statements: readonly string[]): Promise<void> {
  const client = new pg.Client(place)
  await client.connect()
  try {
    for (const statement of statements) await client.query(statement)
  } finally {
    await client.end()
  }
}

async function backUp(url: string, keys: Record<string, unknown> = {}): Promise<Made> {
  const source = sourceOf({ url }, { mode: 'logical', sliceBytes: '8M', ...keys })
  const repository = await memoryRepository()
  const options = plainOptions(repository, ['source=shop'])
  const { result } = await source.backup({ repository, type: 'full', require: [], options })
  return { source, repository, snapshot: result.snapshot! }
}

const jobOf = ({ repository, snapshot }: Made): ProofJob & { readonly checks: ProofCheck[] } => {
  const checks: ProofCheck[] = []
  return { repository, snapshot, checks, report: (check) => checks.push(check) }
}

const outcomes = (checks: readonly ProofCheck[]): readonly string[] => checks.map(({ outcome }) => outcome)
const failures = (checks: readonly ProofCheck[]): string =>
  checks
    .filter(({ outcome }) => outcome !== 'passed')
    .map(({ level, name, outcome, detail }) => `${level} ${outcome} ${name}: ${detail}`)
    .join('\n')

async function structureOf(made: Made): Promise<readonly ProofCheck[]> {
  const job = jobOf(made)
  await made.source.proof!.checkStructure(job)
  return job.checks
}

/** Restores into a sandbox, has something done there, and compares. */
async function compared(
  made: Made,
  meanwhile: (sandbox: ProofSandbox, socketDirectory: string) => Promise<void> = async () => undefined,
): Promise<readonly ProofCheck[]> {
  await using folder = SandboxFolder.create()
  const job = jobOf(made)
  await using sandbox = await made.source.proof!.openSandbox(job, folder)
  expect(failures(job.checks)).toBe('')
  job.checks.length = 0
  await meanwhile(sandbox!, `${folder.path}/socket`)
  await sandbox!.compare()
  return job.checks
}

/** Another snapshot, with other files in place of some; undefined leaves them out. */
async function tampered(
  made: Made,
  files: Readonly<Record<string, Buffer | undefined>>,
  changeManifest: (manifest: LogicalManifest) => LogicalManifest = (manifest) => manifest,
): Promise<Made> {
  const { repository, snapshot } = made
  const whole = await LogicalSnapshot.open(repository, snapshot, 'shop')
  const attributes = { mode: 0o600, mtime: { seconds: 1, nanoseconds: 0, offsetSeconds: 0 }, uid: 0, gid: 0 }
  const { snapshot: made2 } = await backupEntries(repository, {
    ...plainOptions(repository, [...snapshot.tags]),
    paths: snapshot.paths,
    write: async (entries) => {
      for (const [path, { content, size }] of whole.files)
        if (!(path in files))
          entries.storedFile(textToByteString(`/shop/data/${path}`), attributes, idBytes(content ?? []), Number(size))
      for (const [path, content] of Object.entries(files))
        if (content !== undefined)
          await entries.file(textToByteString(`/shop/data/${path}`), attributes, once(content), dumpCutRule)
      const manifest = Buffer.from(JSON.stringify(changeManifest(whole.manifest)))
      await entries.file('/shop/.holdfast/manifest.json', attributes, once(manifest), { kind: 'content' })
    },
  })
  return { ...made, snapshot: made2! }
}

describe.each<PostgresVersion>([15, 18])('the proof of a logical snapshot of PostgreSQL %i', (version) => {
  const needs = version === 15 ? 'postgres15' : 'postgres18-clients'
  const big = [
    'CREATE TABLE big (id int PRIMARY KEY, filler text)',
    `INSERT INTO big SELECT g, md5(g::text) || repeat('x', 100) FROM generate_series(1, 150000) g`,
    // Rows that have moved, as in every database that lives.
    'UPDATE big SET filler = filler WHERE id % 7 = 0',
    'CREATE TABLE checked (v varchar(10) CHECK (v IN ($$a$$, $$b$$)), n int CHECK (n BETWEEN 1 AND 9))',
  ]

  let server: PostgresServer
  let made: Made
  beforeAll(async () => {
    if (lacks(needs)) return
    vi.stubEnv('HOLDFAST_POSTGRES_BIN', completePrograms(version)!)
    server = await startPostgres({ version, programs: completePrograms(version)! })
    made = await backUp(await fill(server, 'shop', [...(version === 15 ? everythingExtended : everything), ...big]))
  })
  afterAll(async () => {
    vi.unstubAllEnvs()
    await server?.stop()
  })

  test.skipIf(lacks(needs))('passes at each level for one of everything, and answers what its owner asks', async () => {
    const structure = await structureOf(made)
    expect(failures(structure)).toBe('')
    expect(structure.map(({ name }) => name)).toEqual([
      'manifest of the snapshot',
      'globals.sql',
      'files of shop',
      'table of contents of shop',
      'pg_restore --list of shop',
      'rows of shop',
    ])
    const checks = await compared(made, async (sandbox) => {
      expect(sandbox.facts).toMatchObject({ server: expect.stringContaining(`PostgreSQL ${version}`) })
      const about = { kind: 'sql', name: 'orders', expect: 'value > 0', database: undefined } as const
      expect(await sandbox.answer({ ...about, sql: 'SELECT count(*) FROM orders' })).toMatchObject({ value: 2000 })
      await expect(sandbox.answer({ ...about, sql: 'DELETE FROM orders' })).rejects.toMatchObject({
        code: 'HF_ASSERTION_INVALID',
      })
    })
    expect(failures(checks)).toBe('')
    expect(checks.map(({ name }) => name)).toEqual([
      'objects of shop',
      'rows of tables in shop',
      'large objects of shop',
    ])
  })

  test.skipIf(lacks(needs))('fails for whatever is not as it was read, and names it', async () => {
    const checks = await compared(made, async (_, host) => {
      await change({ host, user: 'postgres', database: 'shop' }, [
        'DELETE FROM big WHERE id = 77777',
        `UPDATE orders SET info = '{}' WHERE id = 5`,
        'DROP TABLE child',
        'DROP INDEX orders_brin',
        'ALTER TABLE orders ALTER COLUMN state DROP DEFAULT',
        `SELECT setval('counter', 76)`,
        'REVOKE SELECT ON orders FROM reader',
        'CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RETURN NEW; END $f$',
        `SELECT lo_put(4242, 0, '\\x00')`,
        'CREATE TABLE intruder ()',
      ])
    })
    const found = checks.filter(({ outcome }) => outcome === 'failed').map(({ name, detail }) => `${name}: ${detail}`)
    for (const expected of [
      /shop\.public\.big: it has 149999 rows, and 150000 were read/,
      /shop\.public\.orders: its 2000 rows are not those/,
      /shop\.public\.child: the table is not in/,
      /INDEX public\.orders_brin: it was dumped, and is not in/,
      /TABLE public\.orders: after the restore it is another/,
      /SEQUENCE SET public\.counter: after the restore it is another/,
      /ACL public\.TABLE orders: it was dumped, and is not in/,
      /FUNCTION public\.touch\(\): after the restore it is another/,
      /large objects of shop: shop: 3 with 2100004 bytes are not/,
      /TABLE public\.intruder: it is in the restored database, and was not dumped/,
    ])
      expect(
        found.some((text) => expected.test(text)),
        `${expected} in\n${found.join('\n')}`,
      ).toBe(true)
  })
})

describe.skipIf(lacks('postgres15'))('the proof of a logical snapshot', () => {
  let server: PostgresServer
  beforeAll(async () => {
    server = await startPostgres({ version: 15 })
  })
  afterAll(() => server.stop())

  test('fails for files that are cut off, missing, short of a row, changed, or of another snapshot', async () => {
    const url = await fill(server, 'shop', [
      'CREATE TABLE orders AS SELECT g AS id, md5(g::text) AS what FROM generate_series(1, 1000) g',
      'CREATE TABLE other AS SELECT 1 AS n',
      `SELECT lo_from_bytea(77, '\\x0102')`,
    ])
    const made = await backUp(url)
    expect(failures(await structureOf(made))).toBe('')
    const whole = await LogicalSnapshot.open(made.repository, made.snapshot, 'shop')
    const path = 'shop/public.orders.dat'
    const rows = await whole.whole({ path })
    const failed = async (other: Made): Promise<string> => {
      const checks = await structureOf(other)
      expect(outcomes(checks)).toContain('failed')
      return failures(checks)
    }
    const cutOff = await failed(await tampered(made, { [path]: rows.subarray(0, 10_000) }))
    expect(cutOff).toContain('shop.public.orders: shop/public.orders.dat has 10000 bytes')
    expect(cutOff).toContain('shop.public.orders: it is cut off')
    expect(await failed(await tampered(made, { [path]: undefined }))).toContain(
      'shop.public.orders: shop/public.orders.dat is not in the snapshot',
    )
    const short = rows.subarray(rows.indexOf('\n') + 1)
    expect(await failed(await tampered(made, { [path]: short }))).toContain(
      'rows of shop: shop.public.orders: 999 rows, and 1000 were read',
    )
    const changed = Buffer.from(rows)
    changed[5]! ^= 1
    expect(await failed(await tampered(made, { [path]: changed }))).toContain(
      'shop.public.orders: shop/public.orders.dat consists of other blobs',
    )
    expect(await failed(await tampered(made, { 'shop/blob_77.dat': Buffer.from([1, 3]) }))).toContain(
      'large objects of shop',
    )
    const forgotten = await tampered(made, {}, (manifest) => ({
      ...manifest,
      databases: manifest.databases.map((one) => ({ ...one, tables: one.tables.slice(1) })),
    }))
    expect(await failed(forgotten)).toContain('the manifest does not know its rows')
    expect(
      await failed(
        await tampered(made, { 'shop/toc.dat': (await whole.whole({ path: 'shop/toc.dat' })).subarray(0, 900) }),
      ),
    ).toContain('table of contents of shop: shop/toc.dat of database shop is cut off')
    // The manifest of a later backup.
    await change({ connectionString: url }, [`INSERT INTO orders VALUES (1001, 'new')`])
    const later = await backUp(url)
    const manifest = (await loadLogicalManifest(later.repository, rootOf(later.snapshot), 'shop'))!
    const mixed = await failed(await tampered(made, {}, () => manifest))
    expect(mixed).toContain('is not tagged point=')
    // A row that was lost before the files were written, and a manifest that knows: only the restored table shows it.
    const bytes = short.length
    const lost = await tampered(made, { [path]: short }, (old) => ({
      ...old,
      databases: old.databases.map((one) => ({
        ...one,
        tables: one.tables.map((table) =>
          table.path === path ? { ...table, bytes, slices: [bytes], rows: 999 } : table,
        ),
      })),
    }))
    const checks = await compared(lost)
    expect(failures(checks)).toContain('shop.public.orders: its 999 rows are not those that were read')
  })

  test('does not depend on the order of rows where it was asked not to, or slices were read', async () => {
    const url = await fill(server, 'order', [
      'CREATE TABLE word AS SELECT g AS id, md5(g::text) AS what FROM generate_series(1, 500) g',
      'CREATE TABLE twice AS SELECT g % 250 AS id FROM generate_series(1, 500) g',
      `CREATE TABLE big AS SELECT g AS id, repeat('x', 100) AS filler FROM generate_series(1, 90000) g`,
    ])
    const shuffled = (table: string): readonly string[] => [
      `CREATE TEMP TABLE kept AS SELECT * FROM ${table}`,
      `TRUNCATE ${table}`,
      `INSERT INTO ${table} SELECT * FROM kept ORDER BY md5(id::text)`,
      'DROP TABLE kept',
    ]
    const after = async (made: Made, statements: readonly string[]): Promise<string> =>
      failures(await compared(made, (_, host) => change({ host, user: 'postgres', database: 'order' }, statements)))
    const inOrder = await backUp(url)
    const { databases, rowSumKey } = (await loadLogicalManifest(inOrder.repository, rootOf(inOrder.snapshot), 'shop'))!
    expect(databases[0]!.tables.map(({ name, rowSum }) => [name, rowSum !== undefined]).toSorted()).toEqual([
      ['big', true],
      ['twice', false],
      ['word', false],
    ])
    const found = await after(inOrder, [...shuffled('word'), ...shuffled('big')])
    expect(found).toContain('order.public.word: its 500 rows are not those that were read, or in another order')
    expect(found).not.toContain('big')

    const summed = await backUp(url, { fingerprint: 'rows' })
    const again = (await loadLogicalManifest(summed.repository, rootOf(summed.snapshot), 'shop'))!
    expect(again.rowSumKey).not.toBe(rowSumKey)
    expect(await after(summed, [...shuffled('word'), ...shuffled('twice')])).toBe('')
    const faults = await after(summed, [
      // As many rows as before, each of which was there.
      'DELETE FROM twice WHERE ctid IN (SELECT min(ctid) FROM twice WHERE id = 7)',
      'INSERT INTO twice VALUES (8)',
      `UPDATE word SET what = 'other' WHERE id = 400`,
      `UPDATE big SET filler = filler || 'y' WHERE id = 89999`,
    ])
    for (const [table, rows] of [
      ['word', 500],
      ['twice', 500],
      ['big', 90_000],
    ])
      expect(faults).toMatch(
        new RegExp(`order\\.public\\.${table}: its ${rows} rows are not those that were read$`, 'm'),
      )
  })

  test('of a database in another encoding, with settings of its own, passes', async () => {
    await server.sql(`CREATE DATABASE "Größe" TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'`)
    await server.sql(`ALTER DATABASE "Größe" SET work_mem = '5MB'`)
    await server.sql(`COMMENT ON DATABASE "Größe" IS 'what is in DATABASE "Größe"'`)
    const url = server.url.replace(/postgres$/, encodeURIComponent('Größe'))
    await change({ connectionString: url }, [
      'CREATE TABLE "Straßen" ("Länge" int, "Name" text)',
      `INSERT INTO "Straßen" VALUES (1, 'Fußweg'), (2, 'Allée')`,
    ])
    const latin = await backUp(url)
    const manifest = (await loadLogicalManifest(latin.repository, rootOf(latin.snapshot), 'shop'))!
    expect(manifest.databases[0]).toMatchObject({
      encoding: 'LATIN1',
      tables: [{ name: 'Straßen', columns: ['Länge', 'Name'], rows: 2 }],
    })
    expect(failures(await structureOf(latin))).toBe('')
    const about = { kind: 'sql', name: 'a', expect: 'value > 0', database: undefined } as const
    const checks = await compared(latin, async (sandbox) => {
      expect(await sandbox.answer({ ...about, sql: `SELECT current_setting('server_encoding')` })).toMatchObject({
        value: 'LATIN1',
      })
      expect(await sandbox.answer({ ...about, sql: `SELECT current_setting('work_mem')` })).toMatchObject({
        value: '5MB',
      })
    })
    expect(failures(checks)).toBe('')
  })

  test('of a dump in one file says what it cannot show', async () => {
    const url = await fill(server, 'other', everything)
    const custom = await backUp(url, { format: 'custom' })
    expect(failures(await structureOf(custom))).toBe('')
    expect(failures(await compared(custom))).toMatch(
      /^data skipped rows of tables in other: .*no fingerprints of tables/,
    )
    const plain = await backUp(url, { format: 'plain' })
    await using folder = SandboxFolder.create()
    const job = jobOf(plain)
    expect(await plain.source.proof!.openSandbox(job, folder)).toBeUndefined()
    expect(outcomes(job.checks)).toEqual(['skipped'])
  })
})
