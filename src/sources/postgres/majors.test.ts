import pg from 'pg'
import { describe, expect, test, vi } from 'vitest'
import {
  altered,
  fillServer,
  flipped,
  quietObserver,
  recordedChecks,
  restoreJob,
  snapshotOf,
} from '../../../test/support/postgres-stage.ts'
import { lacks } from '../../../test/support/requirements.ts'
import { type PostgresServer, startPostgres } from '../../../test/support/servers/postgres.ts'
import { everything } from '../../../test/support/servers/postgres-everything.ts'
import { postgresPrograms, programsForDumps } from '../../../test/support/servers/postgres-programs.ts'
import { sourceOf } from '../../../test/support/servers/postgres-source.ts'
import { memoryRepository, newRepository, plainOptions, scratchFolder } from '../../../test/support/test-repository.ts'
import type { Repository } from '../../engine/repository/repository.ts'
import type { StoredSnapshot } from '../../engine/repository/snapshot.ts'
import { SandboxFolder } from '../sandbox/sandbox-folder.ts'
import type { Source } from '../source.ts'

const ROUND_MS = 180_000

/** Restores a snapshot into a sandbox and compares, as a proof does. */
async function prove(
  source: Source,
  repository: Repository,
  snapshot: StoredSnapshot,
): Promise<ReturnType<typeof recordedChecks>> {
  const record = recordedChecks()
  const job = { repository, snapshot, report: record.report }
  await source.proof!.checkStructure(job)
  await using folder = SandboxFolder.create()
  await using sandbox = await source.proof!.openSandbox(job, folder)
  await sandbox?.compare()
  return record
}

async function fill(server: PostgresServer, database: string): Promise<string> {
  await server.sql(`CREATE DATABASE "${database}"`)
  const url = server.url.replace(/postgres$/, database)
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    for (const statement of everything) await client.query(statement)
  } finally {
    await client.end()
  }
  return url
}

// What 15 and 18 can do is tested at length elsewhere; here each other version goes once through all of it.
describe.each([13, 14, 16, 17] as const)('PostgreSQL %i', (version) => {
  const needs = `postgres${version}` as const
  const clients = version <= 15 ? 'postgres15' : version === 16 ? 'postgres16-clients' : 'postgres18-clients'

  test.skipIf(lacks(needs))(
    'is backed up as a cluster, proved, and brought back',
    async () => {
      using scratch = scratchFolder()
      const repository = await newRepository(scratch.join('repository'))
      const settings: Record<string, string> = version >= 17 ? { summarize_wal: 'on' } : {}
      await using server = await startPostgres({ version, settings, initdb: ['--data-checksums'] })
      vi.stubEnv('HOLDFAST_POSTGRES_BIN', postgresPrograms(version))
      try {
        await fillServer(server)
        const source = sourceOf(server)
        expect((await source.examine()).filter(({ severity }) => severity === 'error')).toEqual([])
        const first = await snapshotOf(server, repository)
        await server.sql('UPDATE account SET balance = balance + 1 WHERE id % 100 = 0')
        const options = { ...plainOptions(repository, ['source=shop']), parent: first }
        const second = await source.backup({ repository, type: 'incremental', require: [], options })
        expect(second).toMatchObject({ type: version >= 17 ? 'incremental' : 'full', result: { errors: 0 } })
        const snapshot = second.result.snapshot!
        const record = await prove(source, repository, snapshot)
        expect(record.failures()).toBe('')
        expect(record.checks.filter(({ outcome }) => outcome === 'skipped')).toEqual([])
        expect(record.outcome('structure of tables in postgres')).toBe('passed')
        expect(record.outcome('recovery to the end of the backup')).toBe('passed')

        const path = `${server.socketDirectory}/back`
        const planned = await source.planRestore!(restoreJob(repository, snapshot, path))
        expect((await planned.execute(quietObserver)).errors).toBe(0)
        await server.sql('DELETE FROM account')
        const inPlace = { allow_in_place_tablespaces: 'on' }
        await using back = await startPostgres({ version, dataDirectory: path, settings: inPlace })
        expect(await back.sql('SELECT count(*)::int AS n, sum(balance)::int AS sum FROM account')).toEqual([
          { n: 2000, sum: 2000 * 100 + 20 },
        ])

        const damaged = await altered(repository, first, { '/shop/data/global/pg_control': flipped(100) })
        const fault = recordedChecks()
        await source.proof!.checkStructure({ repository, snapshot: damaged, report: fault.report })
        expect(fault.failures()).toContain('control file')
      } finally {
        vi.unstubAllEnvs()
      }
    },
    ROUND_MS,
  )

  test.skipIf(lacks(needs, clients))(
    'is backed up as definitions and rows, proved, and brought back',
    async () => {
      const repository = await memoryRepository()
      await using server = await startPostgres({ version })
      vi.stubEnv('HOLDFAST_POSTGRES_BIN', programsForDumps(version))
      try {
        const source = sourceOf({ url: await fill(server, 'shop') }, { mode: 'logical' })
        expect((await source.examine()).filter(({ severity }) => severity === 'error')).toEqual([])
        const options = plainOptions(repository, ['source=shop'])
        const { result } = await source.backup({ repository, type: 'full', require: [], options })
        const record = await prove(source, repository, result.snapshot!)
        expect(record.failures()).toBe('')
        expect(record.checks.filter(({ outcome }) => outcome === 'skipped')).toEqual([])
        expect(record.outcome('rows of tables in shop')).toBe('passed')
        const target = { kind: 'server', url: server.url.replace(/postgres$/, 'back') } as const
        const planned = await source.planRestore!({ ...restoreJob(repository, result.snapshot!, ''), target })
        expect(planned.plan.problems.filter(({ severity }) => severity === 'error')).toEqual([])
        expect((await planned.execute(quietObserver)).errors).toBe(0)
        const [row] = await server.sql(`SELECT count(*)::int AS n FROM pg_database WHERE datname IN ('shop', 'back')`)
        expect(row).toEqual({ n: 2 })
      } finally {
        vi.unstubAllEnvs()
      }
    },
    ROUND_MS,
  )
})
