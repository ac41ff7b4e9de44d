import type { Assertion } from '../../../config/assertion.ts'
import { formatSize } from '../../../lib/sizes.ts'
import type { AssertionAnswer, ProofJob, ProofSandbox } from '../../proof.ts'
import type { Endpoint } from '../endpoint.ts'
import { CheckList, type Fault } from '../proof/check-list.ts'
import type { SandboxServer } from '../proof/sandbox-server.ts'
import { answerSql } from '../proof/sql-answer.ts'
import type { ServerPrograms } from '../server-programs.ts'
import { type ClientProgram, connectionEnvironment } from './client-programs.ts'
import { CopySession } from './copy-session.ts'
import { encodingArguments } from './database-entries.ts'
import { definitionFaults } from './definitions.ts'
import { useEncoding } from './dump-database.ts'
import { dumpToc } from './dump-toc.ts'
import { Fingerprinter } from './fingerprint.ts'
import type { DatabaseRecord } from './manifest.ts'
import { useMoneyLocale } from './restore-database.ts'
import type { LogicalSnapshot } from './snapshot.ts'
import { readInOrder } from './snapshot-session.ts'
import { planTableReads, type TableRead } from './table-reads.ts'
import { readToc, type Toc } from './toc.ts'

export interface LogicalSandboxOptions {
  readonly job: ProofJob
  readonly snapshot: LogicalSnapshot
  readonly programs: ServerPrograms
  /** Says what is in the restored databases, as it did of those that were dumped. */
  readonly dumpProgram: ClientProgram
  readonly server: SandboxServer
  /** How to reach it; the database is any. */
  readonly endpoint: Endpoint
}

const NEVER_SLICED = Number.MAX_SAFE_INTEGER
const TOC_BEGINNING_BYTES = 64 * 1024 * 1024

/** Restored databases, with the server they are in. */
export class LogicalSandbox implements ProofSandbox {
  readonly facts: Readonly<Record<string, string>>
  readonly #options: LogicalSandboxOptions

  constructor(options: LogicalSandboxOptions) {
    this.#options = options
    const { programs, dumpProgram } = options
    this.facts = { server: `PostgreSQL ${programs.version}`, programs: programs.folder, pg_dump: dumpProgram.version }
  }

  async compare(): Promise<void> {
    const { job, snapshot } = this.#options
    const checks = new CheckList(job, 'data')
    for (const record of snapshot.manifest.databases) {
      const after = await this.#tocOf(record)
      const before = await this.#dumpedToc(record)
      if (before !== undefined) this.#compareDefinitions(checks, record, before, after)
      if (snapshot.manifest.dumpFormat === 'directory') await this.#compareRows(checks, record, after)
      else
        checks.skipped(
          `rows of tables in ${record.name}`,
          `a dump in format ${snapshot.manifest.dumpFormat} has no fingerprints of tables: use format: directory`,
        )
    }
  }

  async answer(assertion: Assertion): Promise<AssertionAnswer> {
    const { endpoint, snapshot, job } = this.#options
    const { databases } = snapshot.manifest
    const usual = databases.length === 1 ? databases[0]!.name : 'postgres'
    const place = { host: endpoint.host, port: endpoint.port, user: endpoint.user, database: usual }
    return await answerSql(place, assertion, async () => usual, job.signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#options.server.stop()
  }

  /** What the restored database consists of. */
  async #tocOf({ name, encoding }: DatabaseRecord): Promise<Toc> {
    const { dumpProgram, endpoint, job } = this.#options
    const environment = connectionEnvironment({ ...endpoint, database: name }, undefined)
    return await dumpToc(dumpProgram, {
      args: ['--no-password', ...encodingArguments({ encoding })],
      environment,
      signal: job.signal,
    })
  }

  async #dumpedToc(record: DatabaseRecord): Promise<Toc | undefined> {
    const { snapshot, job } = this.#options
    if (snapshot.manifest.dumpFormat === 'directory') return await snapshot.toc(record, job.signal)
    const pieces: Uint8Array[] = []
    let size = 0
    for await (const piece of snapshot.content(record.dump, job.signal)) {
      pieces.push(piece)
      size += piece.length
      if (size >= TOC_BEGINNING_BYTES) break
    }
    return readToc(Buffer.concat(pieces))
  }

  #compareDefinitions(checks: CheckList, { name }: DatabaseRecord, before: Toc, after: Toc): void {
    const major = (version: string | undefined): number => Number.parseInt(version ?? '', 10)
    const byText = major(before.dumpVersion) === major(after.dumpVersion)
    const how = byText
      ? 'by definition'
      : `by name: pg_dump ${before.dumpVersion} wrote them, here is ${after.dumpVersion}`
    checks.faults(
      `objects of ${name}`,
      definitionFaults(name, before, after, byText),
      `${before.entries.length}, ${how}`,
    )
  }

  async #compareRows(checks: CheckList, record: DatabaseRecord, toc: Toc): Promise<void> {
    const { endpoint, programs, snapshot, job } = this.#options
    const { majorVersion } = programs
    await using session = await CopySession.open({ ...endpoint, database: record.name }, undefined, {
      signal: job.signal,
    })
    await readInOrder(session, majorVersion)
    await useMoneyLocale(session, record)
    const reads = await planTableReads(session, toc.entries, majorVersion, NEVER_SLICED)
    await useEncoding(session, toc)
    const found = new Map(reads.map((read) => [`${read.schema}.${read.name}`, read]))
    const fingerprinter = new Fingerprinter(snapshot.manifest)
    const faults: Fault[] = []
    let bytes = 0
    for (const table of record.tables) {
      job.signal?.throwIfAborted()
      const name = `${table.schema}.${table.name}`
      const item = `${record.name}.${name}`
      const read: TableRead | undefined = found.get(name)
      if (read === undefined) {
        faults.push({ item, what: 'the table is not in the restored database' })
        continue
      }
      const now = await fingerprinter.table(session, read, table)
      bytes += now.bytes
      if (now.rows !== table.rows) faults.push({ item, what: `it has ${now.rows} rows, and ${table.rows} were read` })
      else if (now.rowSum !== table.rowSum)
        faults.push({ item, what: `its ${now.rows} rows are not those that were read` })
      else if (now.fingerprint !== undefined && now.fingerprint !== table.fingerprint)
        faults.push({ item, what: `its ${now.rows} rows are not those that were read, or in another order` })
    }
    checks.faults(
      `rows of tables in ${record.name}`,
      faults,
      `${record.tables.length} tables, ${formatSize(bytes)}, equal to what was read`,
    )
    if (record.largeObjects === undefined) return
    const now = await fingerprinter.largeObjects(session)
    const { count, fingerprint } = record.largeObjects
    checks.faults(
      `large objects of ${record.name}`,
      now.fingerprint === fingerprint
        ? []
        : [
            {
              item: record.name,
              what: `${now.count} with ${now.bytes} bytes are not the ${count} with ${record.largeObjects.bytes} that were read`,
            },
          ],
      `${now.count}, equal to what was read`,
    )
  }
}
