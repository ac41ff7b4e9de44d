import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { fillServer } from '../../../test/support/postgres-stage.ts'
import { lacks } from '../../../test/support/requirements.ts'
import { type PostgresServer, startPostgres } from '../../../test/support/servers/postgres.ts'
import { sourceOf } from '../../../test/support/servers/postgres-source.ts'
import { unprivileged } from '../../../test/support/servers/server-folder.ts'
import { contentOf, nodesOf } from '../../../test/support/stored-nodes.ts'
import {
  expectResticContent,
  memoryRepository,
  newRepository,
  plainOptions,
  restic,
  scratchFolder,
} from '../../../test/support/test-repository.ts'
import { MasterIndex } from '../../engine/repository/index/master-index.ts'
import { entriesOf, rowsOf } from '../../engine/repository/pack/blob-rows.ts'
import type { PackEntry } from '../../engine/repository/pack/header.ts'
import type { Repository } from '../../engine/repository/repository.ts'
import { rootOf, type StoredSnapshot } from '../../engine/repository/snapshot.ts'
import type { BackupType, Source, SourceBackup } from '../source.ts'
import { loadManifest, type PostgresManifest } from './manifest.ts'
import { parseServerManifest } from './server-manifest.ts'

/** A dozen backups each; on a busy machine a minute is not enough. */
const SLOW_MS = 180_000

const summarizing = { summarize_wal: 'on', autovacuum: 'off' }

/** What is the same in every copy of a cluster at rest. */
const dataFiles = /^\/shop\/data\/(base|global|pg_tblspc|pg_xact|pg_multixact)\//
const changesAlone = /\/(pg_control|pg_internal\.init)$/

class Runs {
  readonly #source: Source
  readonly #repository: Repository
  last: SourceBackup | undefined
  /** The newest that is full. */
  full: StoredSnapshot | undefined

  constructor(source: Source, repository: Repository) {
    this.#source = source
    this.#repository = repository
  }

  async make(type: BackupType, parent = type === 'differential' ? this.full : this.last?.result.snapshot) {
    const repository = this.#repository
    const options = { ...plainOptions(repository, ['source=shop']), parent }
    const done = await this.#source.backup({ repository, type, require: [], options })
    this.last = done
    if (done.type === 'full') this.full = done.result.snapshot
    return done
  }

  async manifest(): Promise<PostgresManifest> {
    return (await loadManifest(this.#repository, rootOf(this.last!.result.snapshot!), 'shop'))!
  }
}

/** CRC-32C, bit by bit. */
function checksumOf(bytes: Uint8Array): string {
  let register = 0xffff_ffff
  for (const byte of bytes) {
    register ^= byte
    for (let bit = 0; bit < 8; bit++) register = (register >>> 1) ^ ((register & 1) * 0x82f6_3b78)
  }
  const sum = Buffer.alloc(4)
  sum.writeUInt32LE(~register >>> 0)
  return sum.toString('hex')
}

async function inDatabase(server: PostgresServer, database: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: server.url.replace(/postgres$/, database) })
  await client.connect()
  await client.query(statement)
  await client.end()
}

/** What happens between one backup and the next: every way in which files of a cluster come, change, shrink and go. */
const rounds: readonly ((server: PostgresServer) => Promise<unknown>)[] = [
  (s) => s.sql('UPDATE account SET balance = balance WHERE id % 97 = 0'),
  (s) =>
    s.sql('INSERT INTO bulk SELECT g, md5(g::text) FROM generate_series(30001, 60000) g; CREATE TABLE little (n int)'),
  async (s) => {
    await s.sql('DELETE FROM bulk WHERE g > 20000')
    await s.sql('VACUUM bulk')
  },
  (s) => s.sql('INSERT INTO bulk SELECT g, md5(g::text) FROM generate_series(20001, 25000) g; TRUNCATE marker'),
  async (s) => {
    await s.sql('CREATE DATABASE copied STRATEGY FILE_COPY')
    await s.sql('CREATE DATABASE logged STRATEGY WAL_LOG')
    for (const name of ['copied', 'logged'])
      await inDatabase(s, name, `CREATE TABLE t AS SELECT g FROM generate_series(1, 10000) g`)
  },
  async (s) => {
    await s.sql('VACUUM FULL account')
    await s.sql('CREATE UNLOGGED TABLE volatile AS SELECT g FROM generate_series(1, 20000) g')
    await inDatabase(s, 'copied', 'DELETE FROM t WHERE g % 2 = 0')
  },
  async (s) => {
    await s.sql('DROP TABLE little')
    await s.sql('DROP DATABASE logged')
    await s.sql('INSERT INTO volatile SELECT g FROM generate_series(1, 20000) g')
    await s.sql('ALTER TABLE bulk SET TABLESPACE fast')
  },
  (s) => s.sql('UPDATE bulk SET md5 = md5(md5) WHERE g % 50 = 0; REINDEX TABLE bulk'),
  async (s) => {
    const space = `${s.socketDirectory}/late`
    mkdirSync(space, { mode: 0o700 })
    if (unprivileged.uid !== undefined) chownSync(space, unprivileged.uid, unprivileged.gid!)
    await s.sql(`CREATE TABLESPACE late LOCATION '${space}'`)
    await s.sql('CREATE TABLE away TABLESPACE late AS SELECT g FROM generate_series(1, 5000) g')
  },
  async () => undefined,
  (s) =>
    s.sql(
      'UPDATE account SET filler = reverse(filler) WHERE id < 200; INSERT INTO marker SELECT generate_series(1, 100)',
    ),
]

describe('incremental backups', () => {
  test.skipIf(lacks('restic', 'postgres18'))(
    'one after the other make the files a full one makes, which restic restores and a server starts with',
    async () => {
      using scratch = scratchFolder()
      chmodSync(scratch.path, 0o755)
      const path = scratch.join('repository')
      const repository = await newRepository(path)
      {
        await using server = await startPostgres({ version: 18, settings: summarizing })
        await fillServer(server)
        // The role of the guide: more it needs not.
        await server.sql('CREATE ROLE backup LOGIN REPLICATION')
        const runs = new Runs(sourceOf({ url: server.url.replace('postgres@', 'backup@') }), repository)
        expect(await runs.make('incremental')).toMatchObject({
          type: 'full',
          reason: 'there is no earlier snapshot to build on',
        })
        const stored: number[] = []
        for (const [i, round] of rounds.entries()) {
          await round(server)
          const type = i === 5 ? 'differential' : 'incremental'
          const base = (i === 5 ? runs.full : runs.last!.result.snapshot)!.id
          const done = await runs.make(type)
          expect(done, `round ${i}`).toMatchObject({ type, reason: undefined, result: { errors: 0 } })
          expect(done.result.snapshot!.tags).toEqual(['source=shop', `type=${type}`, `point=${done.point}`])
          expect(await runs.manifest()).toMatchObject({ asked: type, done: type, base })
          stored.push(done.result.summary.dataAddedBytes)
        }
        // Nothing happened in this one but its own WAL and what counts transactions.
        expect(stored[9]).toBeLessThan(3 * 1024 * 1024)

        const patched = await nodesOf(repository, runs.last!.result.tree)
        await runs.make('full')
        const whole = await nodesOf(repository, runs.last!.result.tree)
        const compared = (nodes: typeof whole): string[] =>
          [...nodes.keys()].filter((name) => dataFiles.test(name) && !changesAlone.test(name)).sort()
        expect(compared(patched)).toEqual(compared(whole))
        expect(compared(whole).length).toBeGreaterThan(1200)
        for (const name of compared(whole)) {
          const [one, other] = [patched.get(name)!, whole.get(name)!]
          expect(one.size, name).toBe(other.size)
          expect(one.content, name).toEqual(other.content)
        }

        // The manifest speaks of what is there, file by file.
        const manifest = parseServerManifest(await contentOf(repository, patched.get('/shop/data/backup_manifest')!))
        const isWal = /^\/shop\/data\/pg_wal\//
        const listed = [...manifest.files.keys()]
          .map((name) => `/shop/data/${name}`)
          .filter((name) => !isWal.test(name))
        const present = [...patched].flatMap(([name, { type }]) =>
          type === 'file' && name.startsWith('/shop/data/') && !isWal.test(name) && !name.endsWith('/backup_manifest')
            ? [name]
            : [],
        )
        expect(listed.sort()).toEqual(present.sort())
        for (const [name, { sizeBytes, crc32c }] of manifest.files) {
          const bytes = await contentOf(repository, patched.get(`/shop/data/${name}`)!)
          if (name === 'postgresql.auto.conf') continue
          expect(bytes.length, name).toBe(sizeBytes)
          expect(checksumOf(bytes), name).toBe(crc32c)
        }
        const label = (await contentOf(repository, patched.get('/shop/data/backup_label')!)).toString()
        expect(label).toContain('START WAL LOCATION')
        expect(label).not.toContain('INCREMENTAL')
        const sent = await contentOf(repository, patched.get('/shop/.holdfast/backup_manifest')!)
        expect(sent.toString()).toContain('INCREMENTAL.')
        await repository.close()
        expectResticContent(path)
      }

      const { snapshots } = JSON.parse(`{"snapshots":${restic(path, 'snapshots', '--json').stdout}}`) as {
        snapshots: readonly { readonly id: string; readonly tags: readonly string[] }[]
      }
      const last = snapshots.findLast(({ tags }) => tags.includes('type=incremental'))
      const target = scratch.join('restored')
      const { status, stderr } = restic(path, 'restore', last!.id, '--target', target)
      expect(status, stderr).toBe(0)
      for (const folder of [target, `${target}/shop`]) chmodSync(folder, 0o755)
      await using server = await startPostgres({ version: 18, dataDirectory: `${target}/shop/data` })
      expect(server.log()).toContain('consistent recovery state reached')
      await server.sql('CREATE EXTENSION amcheck')
      expect(
        await server.sql(`
          SELECT (SELECT sum(balance)::int FROM account) AS sum, (SELECT count(*)::int FROM bulk) AS bulk,
                 (SELECT count(*)::int FROM marker) AS markers, (SELECT count(*)::int FROM volatile) AS volatile, (SELECT sum(g)::int FROM away) AS away,
                 (SELECT count(*)::int FROM pg_class c, verify_heapam(c.oid) WHERE relkind IN ('r', 't') AND relpersistence = 'p') AS damage,
                 (SELECT count(bt_index_check(c.oid, true))::int > 100 FROM pg_class c JOIN pg_am a ON a.oid = relam
                   WHERE relkind = 'i' AND amname = 'btree' AND relpersistence = 'p') AS indexes`),
      ).toEqual([{ sum: 200_000, bulk: 25_000, markers: 100, volatile: 0, away: 12_502_500, damage: 0, indexes: true }])
      // A full backup has the server verify the checksum of every page.
      expect((await new Runs(sourceOf(server), await memoryRepository()).make('full')).result.errors).toBe(0)
    },
    SLOW_MS,
  )

  test.skipIf(lacks('postgres18'))(
    'become full ones, with the reason, when they cannot be made',
    async () => {
      await using server = await startPostgres({ version: 18, settings: { autovacuum: 'off' } })
      const summarize = async (value: 'on' | 'off'): Promise<void> => {
        await server.sql(`ALTER SYSTEM SET summarize_wal = ${value}`)
        await server.sql('SELECT pg_reload_conf()')
      }
      await summarize('on')
      await fillServer(server)
      // Whoever reads a row first marks it as seen, which changes its page.
      await server.sql('VACUUM bulk')
      const repository = await memoryRepository()
      const runs = new Runs(sourceOf(server, { blockBytes: '64K' }), repository)
      const first = (await runs.make('full')).result.snapshot!
      const other = sourceOf(server, { blockBytes: '32K' })
      const refused = async (type: BackupType, parent: StoredSnapshot | undefined, reason: RegExp): Promise<void> => {
        const again = new Runs(other, repository)
        expect(await again.make(type, parent)).toMatchObject({ type: 'full', reason: expect.stringMatching(reason) })
        expect(await again.manifest()).toMatchObject({
          asked: type,
          done: 'full',
          reason: expect.stringMatching(reason),
          base: undefined,
          // What the first backup decided.
          blockBytes: 64 * 1024,
        })
      }

      await refused('differential', undefined, /no earlier full snapshot/)
      await refused('incremental', { ...first, tree: 'ab'.repeat(32) }, /manifest of snapshot .* cannot be read/)

      // One blob of a table is gone, or where it should be lies something else.
      const { index } = repository
      const victim = (await nodesOf(repository, rootOf(first))).get(await placeOf(server, 'bulk'))!.content![0]!
      await server.sql('UPDATE bulk SET md5 = 1 WHERE g < 3')
      const faults: readonly (readonly [RegExp, (entry: PackEntry) => readonly PackEntry[]])[] = [
        [/cannot be built on: .* lacks the blob/, () => []],
        [/cannot be built on: .* cannot be decoded/, (entry) => [{ ...entry, offset: entry.offset + 1 }]],
      ]
      for (const [reason, change] of faults) {
        const changed = new MasterIndex()
        for (const { pack, rows } of index.listings(() => true)) {
          const entries = entriesOf(rows).flatMap((entry) => (entry.id === victim ? change(entry) : [entry]))
          changed.load({ pack, rows: rowsOf(entries) })
        }
        repository.useIndex(changed, repository.loadedIndexes)
        await refused('incremental', first, reason)
      }
      repository.useIndex(index, repository.loadedIndexes)

      await summarize('off')
      await refused('incremental', first, /summarize_wal .* is off/)
      const before = new Set(readdirSync(`${server.dataDirectory}/pg_wal/summaries`))
      await summarize('on')
      expect(await runs.make('incremental')).toMatchObject({ type: 'incremental' })
      for (const name of before) rmSync(`${server.dataDirectory}/pg_wal/summaries/${name}`, { force: true })
      await refused('incremental', first, /summaries/)

      // Cut off in the middle of what changed: no snapshot, and the next run goes on from the one before.
      const count = (await repository.list('snapshot')).length
      await runs.make('full')
      await server.sql('UPDATE bulk SET md5 = g')
      const cut = new Runs(sourceOf(server, { maxRate: '1M' }), repository).make('incremental', runs.full)
      const stopped = expect(cut).rejects.toMatchObject({ code: 'HF_SOURCE_UNREACHABLE' })
      for (let pid: unknown; pid === undefined; await delay(20)) {
        const [sender] = await server.sql("SELECT pid FROM pg_stat_activity WHERE wait_event = 'BaseBackupThrottle'")
        pid = sender?.pid
        if (pid !== undefined) process.kill(Number(pid), 'SIGTERM')
      }
      await stopped
      expect((await repository.list('snapshot')).length).toBe(count + 1)
      expect(await runs.make('incremental', runs.full)).toMatchObject({ type: 'incremental', reason: undefined })
    },
    SLOW_MS,
  )
})

/** Where a snapshot has the file of a table. */
async function placeOf(server: PostgresServer, table: string): Promise<string> {
  const [row] = await server.sql(`SELECT pg_relation_filepath('${table}') AS file`)
  return `/shop/data/${row!.file}`
}

test.skipIf(lacks('postgres18'))(
  'a standby that became a primary is read whole once, and from then on by what changed',
  async () => {
    using scratch = scratchFolder()
    chmodSync(scratch.path, 0o755)
    const path = scratch.join('repository')
    const repository = await newRepository(path)
    await using primary = await startPostgres({ version: 18, settings: summarizing })
    await primary.sql('CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g')
    const first = await new Runs(sourceOf(primary), repository).make('full')
    const target = scratch.join('standby')
    expect(restic(path, 'restore', 'latest', '--target', target).status).toBe(0)
    for (const folder of [target, `${target}/shop`]) chmodSync(folder, 0o755)
    const dataDirectory = `${target}/shop/data`
    writeFileSync(`${dataDirectory}/standby.signal`, '')
    const primary_conninfo = `host=127.0.0.1 port=${primary.port} user=postgres`
    await using standby = await startPostgres({
      version: 18,
      dataDirectory,
      settings: { ...summarizing, primary_conninfo },
    })
    const runs = new Runs(sourceOf(standby), repository)
    const insert = async (): Promise<void> => {
      await primary.sql('INSERT INTO t SELECT g FROM generate_series(1, 1000) g')
      await primary.sql('CHECKPOINT')
      const [{ at }] = (await primary.sql('SELECT pg_current_wal_flush_lsn()::text AS at')) as [{ at: string }]
      while ((await standby.sql(`SELECT pg_last_wal_replay_lsn() >= '${at}' AS there`))[0]!.there !== true)
        await delay(20)
    }
    await insert()
    expect(await runs.make('incremental', first.result.snapshot)).toMatchObject({
      type: 'full',
      reason: expect.stringMatching(/was restored from a backup since/),
    })
    await insert()
    expect(await runs.make('incremental')).toMatchObject({ type: 'incremental', reason: undefined })
    await standby.sql('SELECT pg_promote()')
    await standby.sql('INSERT INTO t SELECT g FROM generate_series(1, 1000) g')
    expect(await runs.make('incremental')).toMatchObject({
      type: 'full',
      reason: expect.stringMatching(/timeline 2, and was on 1/),
    })
    await standby.sql('DELETE FROM t WHERE g < 10')
    expect(await runs.make('incremental')).toMatchObject({ type: 'incremental', reason: undefined })
    await repository.close()
    const again = scratch.join('again')
    expect(restic(path, 'restore', 'latest', '--target', again).status).toBe(0)
    for (const folder of [again, `${again}/shop`]) chmodSync(folder, 0o755)
    await using restored = await startPostgres({ version: 18, dataDirectory: `${again}/shop/data` })
    expect(await restored.sql('SELECT count(*)::int AS count FROM t')).toEqual([{ count: 4000 - 36 }])
    expect(readFileSync(`${again}/shop/data/PG_VERSION`, 'utf8')).toBe('18\n')
  },
)

test.skipIf(lacks('restic', 'postgres18'))(
  'a cluster that was restored to an earlier state on the same timeline is read whole',
  async () => {
    using scratch = scratchFolder()
    chmodSync(scratch.path, 0o755)
    const path = scratch.join('repository')
    const repository = await newRepository(path)
    let later: StoredSnapshot
    {
      await using server = await startPostgres({ version: 18, settings: summarizing })
      await server.sql('CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g')
      const runs = new Runs(sourceOf(server), repository)
      await runs.make('full')
      await server.sql('INSERT INTO t SELECT g FROM generate_series(1, 1000) g')
      later = (await runs.make('incremental')).result.snapshot!
    }
    const target = scratch.join('earlier')
    const [first] = JSON.parse(restic(path, 'snapshots', '--json', '--tag', 'type=full').stdout) as [{ id: string }]
    expect(restic(path, 'restore', first.id, '--target', target).status).toBe(0)
    for (const folder of [target, `${target}/shop`]) chmodSync(folder, 0o755)
    const dataDirectory = `${target}/shop/data`
    await using server = await startPostgres({ version: 18, dataDirectory, settings: summarizing })
    await server.sql('CREATE TABLE other AS SELECT g FROM generate_series(1, 1000) g')
    // Past the log position of the later snapshot.
    for (let i = 0; i < 5; i++) await server.sql('SELECT pg_switch_wal(), pg_logical_emit_message(true, $$a$$, $$b$$)')
    const runs = new Runs(sourceOf(server), repository)
    expect(await runs.make('incremental', later)).toMatchObject({
      type: 'full',
      reason: expect.stringMatching(/was restored from a backup since/),
    })
    expect(await runs.make('incremental')).toMatchObject({ type: 'incremental', reason: undefined })
  },
)
