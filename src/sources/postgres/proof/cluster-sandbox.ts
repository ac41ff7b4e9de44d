import type { Assertion } from '../../../config/assertion.ts'
import type { AssertionAnswer, ProofJob, ProofSandbox } from '../../proof.ts'
import type { PostgresManifest } from '../manifest.ts'
import type { ServerPrograms } from '../server-programs.ts'
import { CheckList, type Fault } from './check-list.ts'
import { checkDatabase } from './database-checks.ts'
import { checkPages } from './page-check.ts'
import type { SandboxServer } from './sandbox-server.ts'
import { SandboxRefusal, SandboxSession, type SessionPlace } from './sandbox-session.ts'
import { answerSql } from './sql-answer.ts'

export interface ClusterSandboxOptions {
  readonly job: ProofJob
  readonly manifest: PostgresManifest
  readonly programs: ServerPrograms
  readonly server: SandboxServer
  readonly dataDirectory: string
  readonly superuser: SessionPlace
}

const SEGMENT_BYTES = 1024 ** 3

/** A cluster that was restored, with the server that runs on it. */
export class ClusterSandbox implements ProofSandbox {
  readonly facts: Readonly<Record<string, string>>
  readonly #options: ClusterSandboxOptions

  constructor(options: ClusterSandboxOptions) {
    const { programs, superuser } = options
    this.#options = options
    this.facts = { server: `PostgreSQL ${programs.version}`, programs: programs.folder, role: superuser.user }
  }

  /**
   * What was written while the snapshot was made cannot be counted at the moment of its end. What can be shown: every file came back as the
   * server sent it (level `restore`), recovery came to the end of the backup, and everything in the cluster is sound and can be read.
   */
  async compare(): Promise<void> {
    const { job, manifest, dataDirectory, superuser } = this.#options
    const { signal } = job
    const checks = new CheckList(job, 'data')
    await using session = await SandboxSession.open(superuser, { signal })
    // Pages that were half written when they were sent are whole now; those in memory go to the disk, and nobody writes any more.
    await session.rows('CHECKPOINT')
    if (manifest.server.dataChecksums)
      await checkPages(
        checks,
        dataDirectory,
        { pageBytes: manifest.server.pageBytes, segmentBytes: SEGMENT_BYTES },
        signal,
      )
    else checks.notApplicable('checksums of pages', 'the cluster has none: initdb --data-checksums, or pg_checksums')
    const databases = await session.rows(
      'SELECT oid::text AS oid, datname, datallowconn FROM pg_database ORDER BY datname',
    )
    const found = new Map(databases.map(({ oid, datname }) => [Number(oid), String(datname)]))
    const faults: Fault[] = []
    for (const { oid, name } of manifest.databases)
      if (!found.has(oid))
        faults.push({
          item: name,
          what: 'it was there when the backup began, and is not now; was it dropped meanwhile?',
        })
    checks.faults('databases', faults, [...found.values()].join(', '))
    for (const { datname, datallowconn } of databases)
      if (datallowconn === true) await this.#checkDatabase(checks, String(datname))
  }

  async #checkDatabase(checks: CheckList, database: string): Promise<void> {
    const { job, programs, superuser, dataDirectory, manifest } = this.#options
    const { signal } = job
    const files = { dataDirectory, pageBytes: manifest.server.pageBytes }
    try {
      await using session = await SandboxSession.open({ ...superuser, database }, { signal })
      await checkDatabase({ checks, session, database, majorVersion: programs.majorVersion, files, signal })
    } catch (error) {
      if (!(error instanceof SandboxRefusal)) throw error
      const what = `it cannot be opened: ${error.message}`
      if (/locale|ICU/.test(error.message)) checks.skipped(`database ${database}`, `${what}; install that locale here`)
      else checks.failed(`database ${database}`, what)
    }
  }

  async answer(assertion: Assertion): Promise<AssertionAnswer> {
    const { superuser, job } = this.#options
    return await answerSql(superuser, assertion, () => this.#usualDatabase(), job.signal)
  }

  /** The only database of its owner, or `postgres` when there are several. */
  async #usualDatabase(): Promise<string> {
    const { job, superuser } = this.#options
    await using session = await SandboxSession.open(superuser, { signal: job.signal })
    const rows = await session.rows(
      "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate AND datname <> 'postgres'",
    )
    return rows.length === 1 ? String(rows[0]!.datname) : 'postgres'
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#options.server.stop()
  }
}
