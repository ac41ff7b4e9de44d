import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  ACCOUNTS,
  type Alteration,
  altered,
  BALANCE,
  fillServer,
  fingerprints,
  flipped,
  keepWriting,
  quietObserver,
  recordedChecks,
  removed,
  replaced,
  restoreJob,
  snapshotOf,
} from '../../../../test/support/postgres-stage.ts'
import { lacks } from '../../../../test/support/requirements.ts'
import { type PostgresServer, run, startPostgres } from '../../../../test/support/servers/postgres.ts'
import { type PostgresVersion, postgresPrograms } from '../../../../test/support/servers/postgres-programs.ts'
import { unprivileged } from '../../../../test/support/servers/server-folder.ts'
import { canMount, smallDisk } from '../../../../test/support/small-disk.ts'
import { memoryRepository, newRepository, PASSWORD, scratchFolder } from '../../../../test/support/test-repository.ts'
import type { Repository } from '../../../engine/repository/repository.ts'
import type { StoredSnapshot } from '../../../engine/repository/snapshot.ts'
import type { RestoreJob, SourceRestoreResult } from '../../restore.ts'
import { SandboxFolder } from '../../sandbox/sandbox-folder.ts'
import { clusterProof } from '../proof/cluster-proof.ts'
import { planClusterRestore } from './restore.ts'
import { MARKER_NAME } from './restore-marker.ts'

const VERIFY_15 = '/usr/lib/postgresql/15/bin/pg_verifybackup'
const owner = unprivileged.uid === undefined ? undefined : { uid: unprivileged.uid, gid: unprivileged.gid! }

/** Plans and restores; problems of severity error fail the test. */
async function restored(job: RestoreJob): Promise<SourceRestoreResult> {
  const { plan, execute } = await planClusterRestore('shop', job, { durable: false })
  expect(plan.problems.filter(({ severity }) => severity === 'error')).toEqual([])
  return await execute(quietObserver)
}

async function errorsOf(job: RestoreJob): Promise<string> {
  const { plan, execute } = await planClusterRestore('shop', job)
  const errors = plan.problems.filter(({ severity }) => severity === 'error').map(({ what }) => what)
  const before = job.target.kind === 'directory' && existsSync(job.target.path) ? readdirSync(job.target.path) : []
  if (errors.length > 0)
    await expect(execute(quietObserver)).rejects.toMatchObject({
      code: expect.stringMatching(/HF_TARGET_INVALID|HF_DATA_DAMAGED/),
      message: errors[0],
    })
  if (job.target.kind === 'directory' && before.length > 0) expect(readdirSync(job.target.path)).toEqual(before)
  return errors.join('\n')
}

/** Whom servers run as gets a folder. */
function handOver(path: string): void {
  if (owner !== undefined) chownSync(path, owner.uid, owner.gid)
}

describe.each<PostgresVersion>([15, 18])('a snapshot of PostgreSQL %i, made under live writes,', (version) => {
  const isMissing = lacks(version === 15 ? 'postgres15' : 'postgres18')
  let scratch: ReturnType<typeof scratchFolder>
  let repository: Repository
  let snapshot: StoredSnapshot
  let atLeast = 0

  beforeAll(async () => {
    if (isMissing) return
    scratch = scratchFolder()
    chmodSync(scratch.path, 0o755)
    repository = await newRepository(scratch.join('repository'))
    await using server = await startPostgres({ version, initdb: ['--data-checksums'] })
    await fillServer(server)
    const writing = await keepWriting(server)
    while (writing.done() < 50) await delay(10)
    atLeast = writing.done()
    snapshot = await snapshotOf(server, repository)
    await writing.stop()
  })
  afterAll(() => scratch?.[Symbol.dispose]())

  const expectWhole = async (server: PostgresServer): Promise<void> => {
    expect(await server.sql('SELECT sum(balance)::int AS sum, count(*)::int AS count FROM account')).toEqual([
      { sum: BALANCE * ACCOUNTS, count: ACCOUNTS },
    ])
    const [markers] = await server.sql('SELECT max(n) AS last, count(*)::int AS count FROM marker')
    expect(markers!.last).toBe(markers!.count)
    expect(markers!.last).toBeGreaterThanOrEqual(atLeast)
  }

  test.skipIf(isMissing)('comes back to a new folder, and later over what became of it', async () => {
    const fresh = scratch.join('fresh')
    const used = scratch.join('deep/below/used')
    for (const path of [fresh, used]) {
      const durable = path === fresh
      const { plan, execute } = await planClusterRestore('shop', restoreJob(repository, snapshot, path), { durable })
      expect(existsSync(path)).toBe(false)
      expect(plan.problems.filter(({ severity }) => severity === 'error')).toEqual([])
      expect(plan.overwrites).toEqual([])
      expect(plan.bytes).toBeGreaterThan(30e6)
      expect(plan.steps[0]).toContain(`to ${path}`)
      expect(plan.afterwards.join('\n')).toContain(`pg_ctl -D ${path} -l ${path}/server.log`)
      expect(plan.problems.map(({ what }) => what).join('\n')).not.toContain('cannot enter')
      const result = await execute(quietObserver)
      expect(result).toMatchObject({ errors: 0, facts: { state: 'whole' } })
      expect(statSync(path).mode & 0o7777).toBe(0o700)
      expect(readdirSync(path)).not.toContain(MARKER_NAME)
      if (version === 15) expect(run(VERIFY_15, [path]).stderr).toBe('')
    }
    {
      await using server = await startPostgres({ version, dataDirectory: used })
      expect(server.log()).toContain('consistent recovery state reached')
      await expectWhole(server)
      await server.sql('UPDATE account SET balance = 0; DROP TABLE bulk; CREATE TABLE extra AS SELECT 1; CHECKPOINT')
      expect(await errorsOf(restoreJob(repository, snapshot, used, { overwrite: true }))).toContain('a server runs')
    }
    writeFileSync(`${used}/base/superfluous`, 'x')
    rmSync(`${used}/pg_hba.conf`)
    // A link that leads out is taken away, and what it leads to stays.
    const outside = scratch.join('outside')
    mkdirSync(outside)
    writeFileSync(`${outside}/precious`, 'x')
    rmSync(`${used}/pg_stat`, { recursive: true, force: true })
    symlinkSync(outside, `${used}/pg_stat`)

    const job = restoreJob(repository, snapshot, used, { overwrite: true })
    expect(await errorsOf(restoreJob(repository, snapshot, used))).toContain('overwriting was not asked for')
    const { plan, execute } = await planClusterRestore('shop', job, { durable: false })
    expect(plan.overwrites.join('\n')).toMatch(/files in .*, where they differ\n/)
    expect(plan.overwrites).toContain(`${used}/base/superfluous, which is removed`)
    expect(plan.bytes).toBeLessThan(60e6)
    const { facts } = await execute(quietObserver)
    expect(facts['there already']).toMatch(/^[1-9][0-9]\.[0-9]+ MiB$/)
    expect(fingerprints(used)).toEqual(fingerprints(fresh))
    expect(readFileSync(`${outside}/precious`, 'utf8')).toBe('x')
    if (version === 15) expect(run(VERIFY_15, [used]).stderr).toBe('')
    await using server = await startPostgres({ version, dataDirectory: used })
    await expectWhole(server)
  })

  test.skipIf(isMissing)('puts a tablespace where it is told to', async () => {
    const path = scratch.join('mapped')
    const space = scratch.join('spaces/fast')
    const rename = [{ from: 'fast', to: space }]
    expect(await errorsOf(restoreJob(repository, snapshot, path, { rename: [{ from: 'slow', to: space }] }))).toContain(
      'no tablespace slow',
    )
    for (const to of [`${path}/within`, scratch.path])
      expect(await errorsOf(restoreJob(repository, snapshot, path, { rename: [{ from: 'fast', to }] }))).not.toBe('')
    await restored(restoreJob(repository, snapshot, path, { rename }))
    const [oid] = readdirSync(`${path}/pg_tblspc`) as [string]
    expect(readlinkSync(`${path}/pg_tblspc/${oid}`)).toBe(space)
    expect(readFileSync(`${path}/postgresql.auto.conf`, 'utf8')).not.toContain('allow_in_place')
    // Another version's content of the same folder is none of ours.
    mkdirSync(`${space}/PG_9_other`)
    {
      await using server = await startPostgres({ version, dataDirectory: path })
      await expectWhole(server)
      await server.sql('DELETE FROM marker; CHECKPOINT')
    }
    expect(await errorsOf(restoreJob(repository, snapshot, scratch.join('other'), { rename }))).toContain('not empty')
    await restored(restoreJob(repository, snapshot, path, { rename: [{ from: oid, to: space }], overwrite: true }))
    expect(readdirSync(space)).toContain('PG_9_other')
    {
      await using server = await startPostgres({ version, dataDirectory: path })
      await expectWhole(server)
    }
    // And back into the data directory: the folder it was in is left as it is.
    const before = fingerprints(space)
    await restored(restoreJob(repository, snapshot, path, { overwrite: true }))
    expect(lstatSync(`${path}/pg_tblspc/${oid}`).isDirectory()).toBe(true)
    expect(fingerprints(space)).toEqual(before)
    await using server = await startPostgres({ version, dataDirectory: path })
    await expectWhole(server)
  })

  test.skipIf(isMissing).each(version === 15 ? ['content', 'sync', 'over a cluster'] : ['content'])(
    'that is cut off by a kill (%s) starts nowhere, and the next restore ends it',
    async (moment) => {
      const path = scratch.join(`killed at ${moment}`)
      const overwrite = moment === 'over a cluster'
      if (overwrite) {
        await restored(restoreJob(repository, snapshot, path))
        rmSync(`${path}/base`, { recursive: true })
        mkdirSync(`${path}/base`)
      }
      writeFileSync(scratch.join('killed.ts'), KILLED)
      const child = spawnSync(process.execPath, [scratch.join('killed.ts')], {
        encoding: 'utf8',
        env: {
          ...process.env,
          PLACE: JSON.stringify({
            repository: scratch.join('repository'),
            path,
            moment,
            overwrite,
            password: PASSWORD,
          }),
        },
      })
      expect({ signal: child.signal, stderr: child.stderr }).toEqual({ signal: 'SIGKILL', stderr: '' })
      expect(existsSync(`${path}/PG_VERSION`) || readdirSync(path).length > 0).toBe(true)
      expect(existsSync(`${path}/global/pg_control`)).toBe(false)
      handOver(path)
      const postgres = run(`${postgresPrograms(version)}/postgres`, ['-D', path, '-c', 'listen_addresses='])
      expect(postgres.status).not.toBe(0)

      const again = restoreJob(repository, snapshot, path)
      const { plan, execute } = await planClusterRestore('shop', again, { durable: false })
      expect(plan.steps[0]).toContain('interrupted')
      await execute(quietObserver)
      const fresh = scratch.join('beside')
      if (!existsSync(fresh)) await restored(restoreJob(repository, snapshot, fresh))
      expect(fingerprints(path)).toEqual(fingerprints(fresh))
      await using server = await startPostgres({ version, dataDirectory: path })
      await expectWhole(server)
    },
  )

  // The same for all versions.
  if (version !== 15) return

  test.skipIf(isMissing || !canMount())('is not begun where there is no room for it', async () => {
    using disk = smallDisk(20 * 1024 ** 2)
    using spacious = smallDisk(400 * 1024 ** 2)
    const job = restoreJob(repository, snapshot, disk.join('data'))
    expect(await errorsOf(job)).toMatch(new RegExp(`MiB are needed below ${disk.path}, and .* MiB are free`))
    expect(readdirSync(disk.path)).toEqual([])
    // Each file system counts by itself.
    spacious.fill(1024 ** 2)
    const rename = [{ from: 'fast', to: spacious.join('fast') }]
    expect(await errorsOf(restoreJob(repository, snapshot, scratch.join('roomy'), { rename }))).toBe('')
    {
      // Proofs are not made there either, and the snapshot is not to blame.
      const { checks, report } = recordedChecks()
      await using folder = SandboxFolder.create({ root: disk.path })
      const proof = clusterProof({ source: 'shop', role: 'postgres' })
      expect(await proof.openSandbox({ repository, snapshot, report }, folder)).toBeUndefined()
      expect(checks.map(({ outcome }) => outcome)).toEqual(['skipped', 'skipped'])
      expect(checks[0]!.detail).toContain('are needed below')
    }
  })

  test.skipIf(isMissing)('is kept away from whatever is not its own', async () => {
    const folder = scratch.join('folder')
    mkdirSync(folder)
    writeFileSync(`${folder}/letter`, 'x')
    expect(await errorsOf(restoreJob(repository, snapshot, folder, { overwrite: true }))).toContain('neither empty nor')
    const other = scratch.join('another')
    expect(run(`${postgresPrograms(version)}/initdb`, ['--version']).status).toBe(0)
    mkdirSync(other, { mode: 0o700 })
    handOver(other)
    expect(run(`${postgresPrograms(version)}/initdb`, ['-D', other, '-N', '--no-locale']).status).toBe(0)
    expect(await errorsOf(restoreJob(repository, snapshot, other, { overwrite: true }))).toContain('of another cluster')
    writeFileSync(`${other}/PG_VERSION`, '14\n')
    expect(await errorsOf(restoreJob(repository, snapshot, other, { overwrite: true }))).toContain('of PostgreSQL 14')

    const into = restoreJob(repository, snapshot, '', { target: { kind: 'server', url: 'postgres://u:secret@db1/x' } })
    await expect(planClusterRestore('shop', into)).rejects.toMatchObject({
      code: 'HF_TARGET_INVALID',
      message: expect.not.stringContaining('secret'),
      hint: expect.stringContaining('--include DATABASE'),
    })
    const part = restoreJob(repository, snapshot, folder, { include: ['postgres.public.account'] })
    await expect(planClusterRestore('shop', part)).rejects.toMatchObject({ code: 'HF_USAGE' })

    const fresh = scratch.join('not made')
    const faults: readonly (readonly [Readonly<Record<string, Alteration>>, string])[] = [
      [{ '/shop/data/backup_label': removed }, 'no backup_label'],
      [{ '/shop/data/global/pg_control': removed }, 'no control file'],
      [{ '/shop/data/global/pg_control': flipped(3) }, 'of another cluster'],
      [{ '/shop/data/PG_VERSION': () => ({ link: '/etc/passwd' }) }, '/PG_VERSION is a symlink'],
      [{ '/shop/data/standby.signal': () => Buffer.alloc(0) }, '/standby.signal would make'],
    ]
    for (const [changes, expected] of faults)
      expect(await errorsOf(restoreJob(repository, await altered(repository, snapshot, changes), fresh))).toContain(
        expected,
      )
    expect(existsSync(fresh)).toBe(false)

    const configured = await altered(repository, snapshot, {
      '/shop/data/postgresql.conf': replaced('#archive_mode = off', 'archive_mode = on'),
      '/shop/data/postgresql.auto.conf': removed,
    })
    const { plan: archiving } = await planClusterRestore('shop', restoreJob(repository, configured, fresh))
    expect(archiving.afterwards.join('\n')).toContain('set archive_mode = off')
    const { plan: odd } = await planClusterRestore('shop', restoreJob(repository, snapshot, `${fresh} isn't`))
    expect(odd.afterwards.join('\n')).toContain(`-D '${fresh} isn'\\''t' -l `)
    if (owner !== undefined) {
      const closed = scratch.join('closed')
      mkdirSync(closed, { mode: 0o700 })
      const { plan: unreachable } = await planClusterRestore('shop', restoreJob(repository, snapshot, `${closed}/data`))
      expect(unreachable.problems).toContainEqual(
        expect.objectContaining({ severity: 'warning', remedy: `chmod o+x ${closed}` }),
      )
      expect(unreachable.afterwards.join('\n')).toMatch(/runuser -u \S+ -- \S*pg_ctl -D /)
    }
    const elsewhere = await altered(repository, snapshot, { '/shop/data/postgresql.conf': removed })
    const { plan: bare } = await planClusterRestore('shop', restoreJob(repository, elsewhere, fresh))
    expect(bare.afterwards[0]).toContain('lay outside of the data directory')

    const changing = scratch.join('changing')
    const planned = await planClusterRestore('shop', restoreJob(repository, snapshot, changing))
    cpSync(folder, changing, { recursive: true })
    await expect(planned.execute(quietObserver)).rejects.toMatchObject({
      code: 'HF_TARGET_INVALID',
      message: expect.stringContaining('has changed'),
    })
    expect(readdirSync(changing)).toEqual(['letter'])
  })
})

test('a snapshot that is none of a cluster is refused', async () => {
  const repository = await memoryRepository()
  const { backUp } = await import('../../../../test/support/test-repository.ts')
  using scratch = scratchFolder()
  writeFileSync(scratch.join('file'), 'x')
  const { snapshot } = await backUp(repository, scratch.path)
  await expect(planClusterRestore('shop', restoreJob(repository, snapshot!, scratch.join('to')))).rejects.toMatchObject(
    {
      code: 'HF_DATA_DAMAGED',
    },
  )
})

/** A restore that kills itself with SIGKILL as soon as it has written something, or when all but the control file is written. */
const KILLED = `
import { openRepository } from ${JSON.stringify(new URL('../../../engine/repository/repository.ts', import.meta.url).href)}
import { openLocalStorage } from ${JSON.stringify(new URL('../../../engine/storage/local/local-storage.ts', import.meta.url).href)}
import { loadSnapshots } from ${JSON.stringify(new URL('../../../engine/repository/snapshots.ts', import.meta.url).href)}
import { planClusterRestore } from ${JSON.stringify(new URL('./restore.ts', import.meta.url).href)}
const { repository: place, path, moment, overwrite, password } = JSON.parse(process.env.PLACE)
const repository = await openRepository(await openLocalStorage(place), { password })
await repository.loadIndex()
const [snapshot] = await loadSnapshots(repository)
const target = { kind: 'directory', path }
const job = { repository, snapshot, target, include: [], exclude: [], rename: [], overwrite }
const { execute } = await planClusterRestore('shop', job)
const die = () => process.kill(process.pid, 'SIGKILL')
await execute({
  onStep: (step) => { if (moment === 'sync' && step.startsWith('wait')) die() },
  onProgress: ({ bytes }) => { if (moment !== 'sync' && bytes > 0) die() },
  onWarning: () => undefined,
  onError: (item, error) => { throw error },
})
`
