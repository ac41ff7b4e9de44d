import { createHash } from 'node:crypto'
import { HoldfastError } from '../../../lib/errors.ts'
import {
  type PlannedRestore,
  type RestoreJob,
  refuseObstacles,
  type SourceRestoreObserver,
  type SourceRestorePlan,
  type SourceRestoreResult,
} from '../../restore.ts'
import type { Endpoint } from '../endpoint.ts'
import { clientProgram } from './client-programs.ts'
import { CopySession } from './copy-session.ts'
import { applyDatabaseEntries, createStatement } from './database-entries.ts'
import { quoted } from './names.ts'
import { type RestoredDatabase, restoreDatabase } from './restore-database.ts'
import { planDirectory } from './restore-directory.ts'
import { type LogicalPlan, type PlannedDatabase, planServerRestore, type RestorableDump } from './restore-plan.ts'
import { openTarget, type TargetServer, targetServer } from './restore-target.ts'
import { LogicalSnapshot } from './snapshot.ts'

export interface LogicalSourcePlace {
  /** The configured name. */
  readonly source: string
  readonly endpoint: Endpoint
  readonly password: string | undefined
  /** Connections that write tables at the same time. */
  readonly jobs: number
}

/**
 * Thinks the restore of a logical snapshot through: to a server, or the files of the dump to a directory.
 * @throws HoldfastError HF_TARGET_INVALID, HF_USAGE, HF_PATH_NOT_FOUND, HF_DATA_DAMAGED, HF_SOURCE_UNREACHABLE; whatever reading the repository
 *   throws
 */
export async function planLogicalRestore(place: LogicalSourcePlace, job: RestoreJob): Promise<PlannedRestore> {
  const snapshot = await LogicalSnapshot.open(job.repository, job.snapshot, place.source, job.signal)
  if (job.target.kind === 'directory') return await planDirectory(snapshot, job, job.target.path)
  const target = targetServer(job.target.url, place)
  const planned = await planServerRestore(snapshot, target, job)
  return {
    plan: planned.plan,
    execute: async (observer, signal = job.signal) => {
      const again = await planServerRestore(snapshot, target, { ...job, signal })
      refuseChange(again.plan, planned.plan)
      return await new ServerRestore(place, snapshot, target, again, observer, signal).run()
    },
  }
}

/** What has become of the target since it was planned. @throws HoldfastError HF_TARGET_INVALID */
export function refuseChange(now: SourceRestorePlan, then: SourceRestorePlan): void {
  refuseObstacles(now.problems)
  if (JSON.stringify(now) !== JSON.stringify(then))
    throw new HoldfastError('HF_TARGET_INVALID', 'the target has changed since the restore was planned', {
      hint: 'plan it anew, and see to it that nobody else works there',
    })
}

/** Of a length that no server cuts off: what is left of a longer name could be that of another database. */
const nameMeanwhile = (database: string): string =>
  `holdfast_restore_${createHash('sha256').update(database).digest('hex').slice(0, 16)}`

/** A restore to a server, as it is carried out. */
export class ServerRestore {
  readonly #place: LogicalSourcePlace
  readonly #dump: RestorableDump
  readonly #target: TargetServer
  readonly #planned: LogicalPlan
  readonly #observer: SourceRestoreObserver
  readonly #signal: AbortSignal | undefined
  #bytes = 0

  constructor(
    place: LogicalSourcePlace,
    dump: RestorableDump,
    target: TargetServer,
    planned: LogicalPlan,
    observer: SourceRestoreObserver,
    signal: AbortSignal | undefined,
  ) {
    this.#place = place
    this.#dump = dump
    this.#target = target
    this.#planned = planned
    this.#observer = observer
    this.#signal = signal
  }

  async run(): Promise<SourceRestoreResult> {
    const steps = this.#planned.plan.steps.values()
    let [files, rows] = [0, 0]
    for (const database of this.#planned.databases) {
      const step = steps.next().value
      if (step !== undefined) this.#observer.onStep(step)
      const restored = await this.#restore(database)
      files += restored.tables
      rows += restored.rows
    }
    const names = this.#planned.databases.map(({ target }) => target)
    return { files, bytes: this.#bytes, errors: 0, facts: { databases: names.join(', '), rows: String(rows) } }
  }

  async #restore(database: PlannedDatabase) {
    const { target, way, record } = database
    if (way === 'beside') return await this.#fillBeside(database)
    if (way === 'filled') return await this.#fill(database, target)
    // Under another name until it is whole. One that was left behind by a restore that was cut off goes.
    const making = nameMeanwhile(target)
    await using session = await openTarget(this.#target, this.#signal)
    await session.rows(`DROP DATABASE IF EXISTS ${quoted(making)}`)
    await session.rows(createStatement(making, record, database.toc, this.#planned.facts.majorVersion))
    let restored: RestoredDatabase
    try {
      restored = await this.#fill(database, making)
      if (database.toc !== undefined) {
        await using inside = await this.#open(making)
        await applyDatabaseEntries(inside, database.toc, this.#planned.keepOwners)
      }
    } catch (error) {
      await session.rows(`DROP DATABASE ${quoted(making)}`).catch(() => undefined)
      throw error
    }
    try {
      if (way === 'replaced') await session.rows(`DROP DATABASE ${quoted(target)}`)
      await session.rows(`ALTER DATABASE ${quoted(making)} RENAME TO ${quoted(target)}`)
    } catch (error) {
      throw new HoldfastError('HF_TARGET_INVALID', (error as Error).message, {
        cause: error,
        hint: `what was restored is whole, in database ${making}: end the sessions of ${target}, drop it, and rename the other: ALTER DATABASE ${making} RENAME TO ${quoted(target)};`,
      })
    }
    return restored
  }

  /** Parts that are not whole are of no use to anybody: they go, as far as nobody else's things are in the same schema. */
  async #fillBeside(database: PlannedDatabase): Promise<RestoredDatabase> {
    const { target, droppedSchemas, ownSchemas } = database
    const drop = async (schemas: readonly string[]): Promise<void> => {
      if (schemas.length === 0) return
      await using session = await CopySession.open(
        { ...this.#target.endpoint, database: target },
        this.#target.password,
      )
      for (const schema of schemas) await session.rows(`DROP SCHEMA IF EXISTS ${quoted(schema)} CASCADE`)
    }
    await drop(droppedSchemas)
    try {
      return await this.#fill(database, target)
    } catch (error) {
      await drop(ownSchemas).catch(() => undefined)
      throw error
    }
  }

  async #fill({ record, toc, newSchemas }: PlannedDatabase, database: string) {
    return await restoreDatabase({
      content: this.#dump,
      record,
      toc,
      newSchemas,
      endpoint: { ...this.#target.endpoint, database },
      password: this.#target.password,
      program: clientProgram('pg_restore', Number.parseInt(this.#dump.manifest.programVersion, 10)),
      jobs: this.#place.jobs,
      keepOwners: this.#planned.keepOwners,
      onBytes: (bytes) => {
        this.#bytes += bytes
        this.#observer.onProgress({ bytes: this.#bytes, totalBytes: this.#planned.plan.bytes })
      },
      signal: this.#signal,
    })
  }

  #open(database: string): Promise<CopySession> {
    return CopySession.open({ ...this.#target.endpoint, database }, this.#target.password, { signal: this.#signal })
  }
}
