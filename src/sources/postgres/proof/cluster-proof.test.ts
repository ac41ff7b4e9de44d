import { existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  ACCOUNTS,
  type Alteration,
  altered,
  attested,
  BALANCE,
  fillServer,
  flipped,
  keepWriting,
  recordedChecks,
  removed,
  replaced,
  shortened,
  snapshotOf,
} from '../../../../test/support/postgres-stage.ts'
import { lacks } from '../../../../test/support/requirements.ts'
import { startPostgres } from '../../../../test/support/servers/postgres.ts'
import type { PostgresVersion } from '../../../../test/support/servers/postgres-programs.ts'
import { contentOf, nodesOf } from '../../../../test/support/stored-nodes.ts'
import { newRepository, scratchFolder } from '../../../../test/support/test-repository.ts'
import type { SqlAssertion } from '../../../config/assertion.ts'
import type { Repository } from '../../../engine/repository/repository.ts'
import type { StoredSnapshot } from '../../../engine/repository/snapshot.ts'
import { SandboxFolder } from '../../sandbox/sandbox-folder.ts'
import { type ClusterProofOptions, clusterProof } from './cluster-proof.ts'

const data = '/shop/data'

describe.each<PostgresVersion>([15, 18])('a snapshot of PostgreSQL %i, made under live writes,', (version) => {
  const isMissing = lacks(version === 15 ? 'postgres15' : 'postgres18')
  let scratch: ReturnType<typeof scratchFolder>
  let repository: Repository
  let snapshot: StoredSnapshot
  let files: Readonly<Record<'index' | 'table' | 'idle', string>>
  let segment = ''

  beforeAll(async () => {
    if (isMissing) return
    scratch = scratchFolder()
    repository = await newRepository(scratch.join('repository'))
    await using server = await startPostgres({ version, initdb: ['--data-checksums'] })
    await fillServer(server)
    await server.sql('CREATE DATABASE shop')
    await server.sql('CREATE TABLE idle AS SELECT g FROM generate_series(1, 5000) g; CHECKPOINT')
    const fileOf = async (name: string): Promise<string> =>
      String((await server.sql(`SELECT pg_relation_filepath('${name}') AS file`))[0]!.file)
    files = { index: await fileOf('bulk_md5'), table: await fileOf('bulk'), idle: await fileOf('idle') }
    const writing = await keepWriting(server)
    while (writing.done() < 20) await delay(10)
    snapshot = await snapshotOf(server, repository)
    await writing.stop()
    segment = [...(await nodesOf(repository, snapshot.tree!)).keys()].find((name) =>
      /pg_wal\/[0-9A-F]{24}$/.test(name),
    )!
  })
  afterAll(() => scratch?.[Symbol.dispose]())

  async function prove(
    changes: Readonly<Record<string, Alteration>>,
    options: Partial<ClusterProofOptions> = {},
  ): Promise<ReturnType<typeof recordedChecks>> {
    const record = recordedChecks()
    const changed = Object.keys(changes).length === 0 ? snapshot : await altered(repository, snapshot, changes)
    const job = { repository, snapshot: changed, report: record.report }
    await using folder = SandboxFolder.create()
    const proof = clusterProof({ source: 'shop', role: 'postgres', ...options })
    await using sandbox = await proof.openSandbox(job, folder)
    await sandbox?.compare()
    return record
  }

  test.skipIf(isMissing)('is restored, started and found sound, and answers', async () => {
    const record = recordedChecks()
    let place = ''
    {
      await using folder = SandboxFolder.create()
      place = folder.path
      const proof = clusterProof({ source: 'shop', role: 'postgres' })
      await using sandbox = await proof.openSandbox({ repository, snapshot, report: record.report }, folder)
      expect(record.failures()).toBe('')
      await sandbox!.compare()
      expect(record.checks.filter(({ outcome }) => outcome !== 'passed')).toEqual(
        record.checks.filter(({ outcome, name }) => outcome === 'not applicable' && name.startsWith('sequences in')),
      )
      expect(record.checks.map(({ name }) => name)).toEqual(
        expect.arrayContaining([
          'restore to a data directory',
          'bytes of every file, as the server sent them',
          'start of a server on it',
          'recovery to the end of the backup',
          'timeline and system id',
          'checksums of pages',
          'databases',
          'structure of tables in shop',
          'B-tree indexes in postgres, with every row found',
          'every row of every table in postgres',
          'sequences in postgres',
        ]),
      )
      expect(sandbox!.facts.server).toMatch(new RegExp(`^PostgreSQL ${version}\\.`))
      const ask = (sql: string, database?: string): SqlAssertion => ({
        kind: 'sql',
        name: 'a',
        expect: '',
        sql,
        database,
      })
      expect(await sandbox!.answer(ask('SELECT sum(balance), count(*) FROM account;', 'postgres'))).toEqual({
        value: ACCOUNTS * BALANCE,
        rows: [{ sum: ACCOUNTS * BALANCE, count: ACCOUNTS }],
      })
      expect((await sandbox!.answer(ask('SELECT current_database()'))).value).toBe('shop')
      for (const sql of [
        'SELECT 1; COMMIT',
        'DROP TABLE account',
        "SELECT nextval('ticket')",
        'SELECT FROM nowhere',
        'SELECT generate_series(1, 20000)',
      ])
        await expect(sandbox!.answer(ask(sql, 'postgres')), sql).rejects.toMatchObject({ code: 'HF_ASSERTION_INVALID' })
      const command = { kind: 'command', name: 'a', expect: '', command: ['PING'] } as const
      await expect(sandbox!.answer(command)).rejects.toMatchObject({ code: 'HF_ASSERTION_INVALID' })
    }
    expect(existsSync(place)).toBe(false)
  })

  test.skipIf(isMissing)(
    'fails wherever a byte is not as the server sent it, or recovery cannot get through',
    async () => {
      const changed = await prove({
        [`${data}/${files.table}`]: flipped(3 * 8192 + 5000),
        [`${data}/${files.index}`]: shortened(8192),
        [`${data}/${files.idle}`]: removed,
      })
      const failures = changed.failures()
      expect(failures).toMatch(new RegExp(`${files.table}: it has the checksum`))
      expect(failures).toMatch(new RegExp(`${files.index}: it has [0-9]+ bytes`))
      expect(failures).toMatch(new RegExp(`${files.idle}: it is missing`))
      const noLog = (await prove({ [segment]: removed })).failures()
      expect(noLog).toMatch(/start of a server on it: .*could not (?:find|locate|open)/)
      if (version !== 15) return
      const otherLabel = replaced(/START WAL LOCATION: 0/, 'START WAL LOCATION: 1')
      expect((await prove({ [`${data}/backup_label`]: otherLabel })).failures()).toMatch(
        /backup_label: it has the checksum/,
      )
      expect((await prove({ [`${data}/backup_label`]: removed })).failures()).toContain('no backup_label')
      const noManifest = await prove({ [`${data}/backup_manifest`]: removed })
      expect(noManifest.failures()).toMatch(/^backup manifest of the server: .*no such file/)
      const leadingOut = {
        [`${data}/backup_manifest`]: attested('base/1/PG_VERSION', Buffer.alloc(0), '../../../dev/zero'),
      }
      expect((await prove(leadingOut)).failures()).toMatch(/dev\/zero: it is no file of the cluster/)
    },
  )

  test.skipIf(isMissing)('fails when recovery meets a changed byte in the log', async () => {
    const label = await contentOf(repository, (await nodesOf(repository, snapshot.tree!)).get(`${data}/backup_label`)!)
    const start =
      Number.parseInt(/START WAL LOCATION: 0\/([0-9A-F]+)/.exec(label.toString())![1]!, 16) % (16 * 1024 ** 2)
    expect((await prove({ [segment]: flipped(start + 25) })).failures()).toMatch(
      /start of a server on it: .*(?:checksum|WAL)/,
    )
  })

  test.skipIf(isMissing)('fails also when the server sent what was damaged already', async () => {
    const nodes = await nodesOf(repository, snapshot.tree!)
    const planted = async (file: string, change: (bytes: Buffer) => Buffer): Promise<string> => {
      const bytes = change(await contentOf(repository, nodes.get(`${data}/${file}`)!))
      const changes = { [`${data}/${file}`]: () => bytes, [`${data}/backup_manifest`]: attested(file, bytes) }
      return (await prove(changes)).failures()
    }
    const damagedPage = await planted(files.idle, flipped(2 * 8192 + 5000))
    expect(damagedPage).toContain(`checksums of pages: ${files.idle}: the checksum of page 2 is wrong`)
    expect(damagedPage).toContain('structure of tables in postgres: postgres.public.idle: ')
    const cutIndex = await planted(files.index, shortened(8192))
    expect(cutIndex).toContain('B-tree indexes in postgres, with every row found: postgres.public.bulk_md5: ')
    expect(cutIndex).not.toContain('checksums of pages')
  })

  // The same for all versions.
  if (version !== 15) return

  test.skipIf(isMissing)('is not proved without a server of its version', async () => {
    const { checks, failures } = await prove({}, { findPrograms: () => undefined })
    expect(failures()).toBe('')
    expect(checks.at(-1)).toMatchObject({
      name: 'start of a server on it',
      outcome: 'skipped',
      detail: expect.stringContaining(`postgresql-${version}`),
    })
    expect((await prove({}, { role: 'nobody' })).failures()).toBe('')
  })
})
