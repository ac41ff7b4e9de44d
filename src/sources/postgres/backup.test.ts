import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { lacks } from '../../../test/support/requirements.ts'
import { type PostgresServer, run, startPostgres } from '../../../test/support/servers/postgres.ts'
import type { PostgresVersion } from '../../../test/support/servers/postgres-programs.ts'
import { sourceOf } from '../../../test/support/servers/postgres-source.ts'
import { unprivileged } from '../../../test/support/servers/server-folder.ts'
import { nodesOf } from '../../../test/support/stored-nodes.ts'
import {
  expectResticContent,
  memoryRepository,
  newRepository,
  plainOptions,
  restic,
  scratchFolder,
} from '../../../test/support/test-repository.ts'
import type { Repository } from '../../engine/repository/repository.ts'
import type { StoredSnapshot } from '../../engine/repository/snapshot.ts'
import { rootOf } from '../../engine/repository/snapshot.ts'
import type { Source, SourceBackup } from '../source.ts'
import { loadManifest } from './manifest.ts'

const VERIFY_15 = '/usr/lib/postgresql/15/bin/pg_verifybackup'
const ACCOUNTS = 2000

const needs = (version: PostgresVersion): 'postgres15' | 'postgres18' => (version === 15 ? 'postgres15' : 'postgres18')

async function backUp(
  source: Source,
  repository: Repository,
  parent?: StoredSnapshot,
  more: { readonly type?: 'incremental'; readonly signal?: AbortSignal; readonly require?: readonly string[] } = {},
): Promise<SourceBackup> {
  const options = { ...plainOptions(repository, ['source=shop']), parent, signal: more.signal }
  return await source.backup({ repository, type: more.type ?? 'full', require: more.require ?? [], options })
}

/** Money that moves and is never made: a torn snapshot has another sum. And a row of markers, one by one. */
async function fill(server: PostgresServer): Promise<void> {
  const space = `${server.socketDirectory}/space`
  mkdirSync(space, { mode: 0o700 })
  if (unprivileged.uid !== undefined) chownSync(space, unprivileged.uid, unprivileged.gid!)
  await server.sql(`CREATE TABLESPACE fast LOCATION '${space}'`)
  await server.sql(`
    CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL, filler text);
    INSERT INTO account SELECT g, 100, repeat('x', 200) FROM generate_series(1, ${ACCOUNTS}) g;
    CREATE TABLE marker (n int PRIMARY KEY, at timestamptz DEFAULT now()) TABLESPACE fast;
    CREATE TABLE bulk AS SELECT g, md5(g::text) FROM generate_series(1, 50000) g`)
}

/** Writes until it is told to stop; `marker()` is the last one that is certainly committed. */
async function beginWriting(server: PostgresServer) {
  let committed = 0
  let stopped = false
  const client = new pg.Client({ connectionString: server.url })
  await client.connect()
  const work = (async () => {
    for (let n = 1; !stopped; n++) {
      const [from, to] = [(n * 7919) % ACCOUNTS, (n * 104_729) % ACCOUNTS]
      await client.query(`BEGIN;
        UPDATE account SET balance = balance - 1 WHERE id = ${from + 1};
        UPDATE account SET balance = balance + 1 WHERE id = ${to + 1};
        INSERT INTO marker VALUES (${n}); COMMIT`)
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

/** Restores the newest snapshot by restic alone and returns its data directory, readable for the server. */
function restored(repository: string, target: string): string {
  const { status, stderr } = restic(repository, 'restore', 'latest', '--target', target)
  expect(status, stderr).toBe(0)
  for (const folder of [target, `${target}/shop`]) chmodSync(folder, 0o755)
  return `${target}/shop/data`
}

describe.each<PostgresVersion>([15, 18])('a backup of PostgreSQL %i', (version) => {
  test.skipIf(lacks('restic', needs(version)))(
    'under live writes, restored by restic alone, starts and has all that was committed',
    async () => {
      using scratch = scratchFolder()
      chmodSync(scratch.path, 0o755)
      const path = scratch.join('repository')
      const repository = await newRepository(path)
      let before = 0
      {
        await using server = await startPostgres({ version, initdb: ['--data-checksums'] })
        await fill(server)
        const source = sourceOf(server)
        const first = await backUp(source, repository)
        expect(first).toMatchObject({ type: 'full', reason: undefined, result: { errors: 0 } })

        const writing = await beginWriting(server)
        while (writing.marker() < 50) await delay(10)
        before = writing.marker()
        const second = await backUp(source, repository, first.result.snapshot, { type: 'incremental' })
        const during = writing.marker()
        await writing.stop()
        expect(during).toBeGreaterThan(before)
        expect(second).toMatchObject({
          type: 'full',
          reason: expect.stringMatching(version === 15 ? /PostgreSQL 15 cannot send/ : /summarize_wal .* is off/),
        })
        const { snapshot, summary } = second.result
        expect(snapshot).toMatchObject({
          paths: ['/shop'],
          parent: first.result.snapshot!.id,
          tags: ['source=shop', 'type=full', `point=${second.point}`],
        })
        expect(second.point).toMatch(/^[0-9A-F]+\/[0-9A-F]+$/)
        expect(summary.filesUnmodified).toBeGreaterThan(900)
        expect(summary.dataAddedPackedBytes).toBeLessThan(first.result.summary.dataAddedPackedBytes / 3)
        const manifest = await loadManifest(repository, rootOf(snapshot!), 'shop')
        expect(manifest).toMatchObject({
          server: { majorVersion: version, pageBytes: 8192, walSegmentBytes: 16 * 1024 * 1024, dataChecksums: true },
          tablespaces: [{ name: 'fast', location: `${server.socketDirectory}/space` }],
          end: { lsn: second.point, timeline: 1 },
          blockBytes: 16 * 1024,
          asked: 'incremental',
          done: 'full',
          warnings: [],
        })
        expect(manifest!.databases.map(({ name }) => name)).toEqual(['postgres', 'template1'])
        await repository.close()
        expectResticContent(path)
      }

      const dataDirectory = restored(path, scratch.join('restored'))
      expect(statSync(dataDirectory).mode & 0o7777).toBe(0o700)
      if (version === 15) {
        const { status, stdout, stderr } = run(VERIFY_15, [dataDirectory])
        expect(stderr + stdout).toContain('successfully verified')
        expect(status).toBe(0)
      }
      await using server = await startPostgres({ version, dataDirectory })
      expect(server.log()).toContain('consistent recovery state reached')
      expect(await server.sql('SELECT sum(balance)::int AS sum, count(*)::int AS count FROM account')).toEqual([
        { sum: 100 * ACCOUNTS, count: ACCOUNTS },
      ])
      const [markers] = await server.sql('SELECT max(n) AS last, count(*)::int AS count FROM marker')
      expect(markers!.last).toBe(markers!.count)
      expect(markers!.last).toBeGreaterThanOrEqual(before)
      expect(await server.sql('SELECT count(*)::int AS count FROM bulk WHERE md5 = md5(g::text)')).toEqual([
        { count: 50_000 },
      ])
      // A restored cluster, whose tablespace is a folder now, can itself be backed up.
      const again = await memoryRepository()
      const { result } = await backUp(sourceOf(server), again)
      expect(result.errors).toBe(0)
      const [{ file }] = (await server.sql("SELECT pg_relation_filepath('marker') AS file")) as [{ file: string }]
      expect((await nodesOf(again, result.tree)).get(`/shop/data/${file}`)?.size).toBeGreaterThan(0)
    },
  )

  test.skipIf(lacks(needs(version)))('that is cut off leaves no snapshot', async () => {
    await using server = await startPostgres({ version })
    const repository = await memoryRepository()
    const slow = sourceOf(server, { maxRate: '4M' })
    // One that was cut off stays a while, since it sleeps between what it sends.
    const seen = new Set<number>()
    const underWay = async (): Promise<number> => {
      for (;;) {
        const senders = await server.sql(
          "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walsender' AND wait_event = 'BaseBackupThrottle'",
        )
        const pid = senders.map((sender) => Number(sender.pid)).find((one) => !seen.has(one))
        if (pid !== undefined) {
          seen.add(pid)
          return pid
        }
        await delay(20)
      }
    }

    const controller = new AbortController()
    const interrupted = backUp(slow, repository, undefined, { signal: controller.signal })
    await Promise.all([
      expect(interrupted).rejects.toThrow('stop it'),
      underWay().then(() => controller.abort(new Error('stop it'))),
    ])

    const cut = backUp(slow, repository)
    await Promise.all([
      expect(cut).rejects.toMatchObject({ code: 'HF_SOURCE_UNREACHABLE', retry: 'later' }),
      underWay().then((pid) => process.kill(pid, 'SIGKILL')),
    ])
    await server.ready()

    const crashed = backUp(slow, repository)
    await Promise.all([
      expect(crashed).rejects.toMatchObject({ code: 'HF_SOURCE_UNREACHABLE', hint: expect.stringMatching(/log/) }),
      underWay().then(() => server.kill()),
    ])
    expect(await repository.list('snapshot')).toEqual([])
  })

  test.skipIf(lacks(needs(version)))('of another cluster than before is refused', async () => {
    const repository = await memoryRepository()
    await using one = await startPostgres({ version })
    const { result } = await backUp(sourceOf(one, { blockBytes: '64K' }), repository)
    // What the first backup decided wins over what is configured now.
    const { result: later } = await backUp(sourceOf(one, { blockBytes: '128K' }), repository, result.snapshot)
    expect((await loadManifest(repository, later.tree, 'shop'))?.blockBytes).toBe(64 * 1024)
    await backUp(sourceOf(one), repository, result.snapshot, { require: ['postgres.pg_catalog.pg_class'] }).then(
      ({ result: { errors } }) => expect(errors).toBe(0),
    )
    for (const table of ['postgres.public.gone', 'gone.public.pg_class'])
      await expect(backUp(sourceOf(one), repository, undefined, { require: [table] })).rejects.toMatchObject({
        code: 'HF_REQUIRED_MISSING',
        message: expect.stringContaining(table),
      })
    await using other = await startPostgres({ version })
    await expect(backUp(sourceOf(other), repository, result.snapshot)).rejects.toMatchObject({
      code: 'HF_SOURCE_CHANGED',
      hint: expect.stringContaining('another name'),
    })
    expect(await repository.list('snapshot')).toHaveLength(3)
  })
})

test.skipIf(lacks('restic', 'postgres15'))(
  'a standby is backed up, and its snapshot starts as a server of its own',
  async () => {
    using scratch = scratchFolder()
    chmodSync(scratch.path, 0o755)
    const path = scratch.join('repository')
    const repository = await newRepository(path)
    await using primary = await startPostgres({ version: 15 })
    await primary.sql('CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g')
    const first = await backUp(sourceOf(primary), repository)
    {
      const dataDirectory = restored(path, scratch.join('standby'))
      writeFileSync(`${dataDirectory}/standby.signal`, '')
      const primary_conninfo = `host=127.0.0.1 port=${primary.port} user=postgres`
      await using standby = await startPostgres({ version: 15, dataDirectory, settings: { primary_conninfo } })
      expect((await sourceOf(standby).test()).facts['in recovery']).toBe('yes, a standby')
      const { result } = await backUp(sourceOf(standby), repository, first.result.snapshot)
      expect((await loadManifest(repository, result.tree, 'shop'))?.server.isStandby).toBe(true)
      expect((await nodesOf(repository, result.tree)).has('/shop/data/standby.signal')).toBe(false)
    }
    await repository.close()
    const dataDirectory = restored(path, scratch.join('alone'))
    expect(run(VERIFY_15, [dataDirectory]).status).toBe(0)
    await using alone = await startPostgres({ version: 15, dataDirectory })
    expect(await alone.sql('SELECT count(*)::int AS count, pg_is_in_recovery() AS standby FROM t')).toEqual([
      { count: 1000, standby: false },
    ])
  },
)

test.skipIf(lacks('postgres15'))('a damaged page is told, and what there is is kept', async () => {
  await using server = await startPostgres({ version: 15, initdb: ['--data-checksums'] })
  await server.sql('CREATE TABLE victim AS SELECT g FROM generate_series(1, 10000) g; CHECKPOINT')
  const [{ file }] = (await server.sql("SELECT pg_relation_filepath('victim') AS file")) as [{ file: string }]
  const path = `${server.dataDirectory}/${file}`
  const bytes = readFileSync(path)
  bytes[8192 + 5000]! ^= 1
  writeFileSync(path, bytes)
  const repository = await memoryRepository()
  const told: string[] = []
  const options = {
    ...plainOptions(repository),
    observer: { onError: (_item: string, error: Error) => void told.push(error.message) },
  }
  const { result } = await sourceOf(server).backup({ repository, type: 'full', require: [], options })
  expect(told.join('\n')).toContain(file)
  expect(result.errors).toBe(told.length)
  expect((await loadManifest(repository, result.tree, 'shop'))?.warnings).toEqual(told)
})

const SNAKEOIL = { cert: '/etc/ssl/certs/ssl-cert-snakeoil.pem', key: '/etc/ssl/private/ssl-cert-snakeoil.key' }

test.skipIf(lacks('postgres15', 'root') || !existsSync(SNAKEOIL.key))(
  'goes over TLS, with a certificate of the client where it has to, and over a Unix socket',
  async () => {
    using scratch = scratchFolder()
    chmodSync(scratch.path, 0o755)
    const [cert, key] = [scratch.join('cert.pem'), scratch.join('key.pem')]
    writeFileSync(cert, readFileSync(SNAKEOIL.cert))
    writeFileSync(key, readFileSync(SNAKEOIL.key), { mode: 0o600 })
    chownSync(key, unprivileged.uid!, unprivileged.gid!)
    const settings = { ssl: 'on', ssl_cert_file: cert, ssl_key_file: key, ssl_ca_file: cert }
    await using server = await startPostgres({
      version: 15,
      settings,
      hba: [
        'hostnossl all all all reject',
        'hostnossl replication all all reject',
        'hostssl all,replication certified all trust clientcert=verify-ca',
      ],
      overSocket: true,
    })
    for (const keys of [{}, { sslmode: 'require' }, { sslmode: 'verify-ca', sslrootcert: cert }])
      expect((await backUp(sourceOf(server, keys), await memoryRepository())).result.errors).toBe(0)
    const bySocket = { url: `postgres://postgres@/postgres?host=${server.socketDirectory}&port=${server.port}` }
    expect((await backUp(sourceOf(bySocket), await memoryRepository())).result.errors).toBe(0)
    await server.sql('CREATE ROLE certified LOGIN SUPERUSER')
    const certified = { url: server.url.replace('postgres@', 'certified@') }
    const files = { sslmode: 'require', sslcert: cert, sslkey: scratch.join('client.pem') }
    writeFileSync(files.sslkey, readFileSync(key), { mode: 0o600 })
    for (const mode of ['physical', 'logical'])
      expect((await backUp(sourceOf(certified, { ...files, mode }), await memoryRepository())).result.errors).toBe(0)
    await expect(sourceOf(certified, { sslmode: 'require' }).test()).rejects.toMatchObject({
      code: 'HF_SOURCE_PERMISSION',
      message: expect.stringContaining('certificate'),
    })
    await expect(sourceOf(server, { sslmode: 'disable' }).test()).rejects.toMatchObject({
      code: 'HF_SOURCE_PERMISSION',
    })
    await expect(sourceOf(server, { sslmode: 'verify-full' }).test()).rejects.toMatchObject({
      code: 'HF_SOURCE_UNREACHABLE',
      hint: expect.stringContaining('sslrootcert'),
    })
  },
)
