import { chmodSync, rmSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import {
  fillServer,
  keepWriting,
  quietObserver,
  recordedChecks,
  restoreJob,
  snapshotOf,
} from '../../../../test/support/postgres-stage.ts'
import { lacks } from '../../../../test/support/requirements.ts'
import { startPostgres } from '../../../../test/support/servers/postgres.ts'
import { sourceOf } from '../../../../test/support/servers/postgres-source.ts'
import { newRepository, plainOptions, scratchFolder } from '../../../../test/support/test-repository.ts'
import type { Repository } from '../../../engine/repository/repository.ts'
import type { StoredSnapshot } from '../../../engine/repository/snapshot.ts'
import { SandboxFolder } from '../../sandbox/sandbox-folder.ts'
import { planClusterRestore } from '../restore/restore.ts'
import { clusterProof } from './cluster-proof.ts'

/** Proves a snapshot at all levels; what did not pass, as text. */
async function shortcomings(repository: Repository, snapshot: StoredSnapshot): Promise<string> {
  const { checks, report } = recordedChecks()
  const job = { repository, snapshot, report }
  const proof = clusterProof({ source: 'shop', role: 'postgres' })
  await proof.checkStructure(job)
  await using folder = SandboxFolder.create()
  await using sandbox = await proof.openSandbox(job, folder)
  await sandbox?.compare()
  expect(checks.length).toBeGreaterThan(15)
  return checks
    .filter(({ outcome }) => outcome === 'failed' || outcome === 'skipped')
    .map(({ name, outcome, detail }) => `${name}: ${outcome}: ${detail}`)
    .join('\n')
}

test.skipIf(lacks('postgres18'))(
  'a snapshot that was patched from an earlier one is as sound as one that was read',
  async () => {
    using scratch = scratchFolder()
    const repository = await newRepository(scratch.join('repository'))
    await using server = await startPostgres({
      version: 18,
      initdb: ['--data-checksums'],
      settings: { summarize_wal: 'on' },
    })
    await fillServer(server)
    const first = await snapshotOf(server, repository)
    const writing = await keepWriting(server)
    await server.sql(
      'CREATE TABLE later AS SELECT g, md5(g::text) FROM generate_series(1, 5000) g; DELETE FROM bulk WHERE g % 7 = 0',
    )
    const options = { ...plainOptions(repository, ['source=shop']), parent: first }
    const { result, type, reason } = await sourceOf(server).backup({
      repository,
      type: 'incremental',
      require: [],
      options,
    })
    await writing.stop()
    expect({ type, reason }).toEqual({ type: 'incremental', reason: undefined })
    expect(await shortcomings(repository, result.snapshot!)).toBe('')
  },
)

test.skipIf(lacks('postgres15'))(
  'a snapshot of a standby, and of a server whose configuration lies elsewhere, is proved',
  async () => {
    using scratch = scratchFolder()
    chmodSync(scratch.path, 0o755)
    const repository = await newRepository(scratch.join('repository'))
    const files = {
      'postgresql.conf': '',
      'pg_hba.conf': 'local all all trust\nhost all all all trust\nhost replication all all trust\n',
    }
    for (const [name, text] of Object.entries(files)) {
      writeFileSync(scratch.join(name), text)
      chmodSync(scratch.join(name), 0o644)
    }
    const settings = { config_file: scratch.join('postgresql.conf'), hba_file: scratch.join('pg_hba.conf') }
    await using primary = await startPostgres({ version: 15, settings })
    for (const name of ['postgresql.conf', 'pg_hba.conf', 'pg_ident.conf']) rmSync(`${primary.dataDirectory}/${name}`)
    await primary.sql('CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g')
    const first = await snapshotOf(primary, repository)
    expect(await shortcomings(repository, first)).toBe('')

    const dataDirectory = scratch.join('standby')
    const planned = await planClusterRestore('shop', restoreJob(repository, first, dataDirectory), { durable: false })
    await planned.execute(quietObserver)
    writeFileSync(`${dataDirectory}/standby.signal`, '')
    const primary_conninfo = `host=127.0.0.1 port=${primary.port} user=postgres`
    await using standby = await startPostgres({
      version: 15,
      dataDirectory,
      settings: { ...settings, primary_conninfo },
    })
    await primary.sql('INSERT INTO t SELECT g FROM generate_series(1001, 20000) g; CHECKPOINT')
    while ((await standby.sql('SELECT FROM t')).length < 20_000) await standby.ready()
    expect(await shortcomings(repository, await snapshotOf(standby, repository, first))).toBe('')
  },
)
