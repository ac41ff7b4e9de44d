import { join } from 'node:path'
import { HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import {
  type PlannedRestore,
  type RestoreJob,
  refuseObstacles,
  type SourceRestoreObserver,
  type SourceRestoreResult,
} from '../../restore.ts'
import { SandboxFolder } from '../../sandbox/sandbox-folder.ts'
import { LiveDump } from '../logical/live-dump.ts'
import { type LogicalSourcePlace, refuseChange, ServerRestore } from '../logical/restore.ts'
import { type LogicalPlan, planServerRestore } from '../logical/restore-plan.ts'
import { type TargetServer, targetServer } from '../logical/restore-target.ts'
import type { SandboxServer } from '../proof/sandbox-server.ts'
import { SAFE_OPTIONS, type SessionPlace } from '../proof/sandbox-session.ts'
import {
  findSuperuser,
  readRecovery,
  recoveryFaults,
  restoreIntoSandbox,
  startRestored,
} from '../proof/scratch-cluster.ts'
import { type PartsPlan, planParts } from './parts-plan.ts'

/** Each reads by a connection of its own, and the server in a sandbox has room for few. */
const MAX_JOBS = 12

/**
 * Thinks the restore of databases, schemas or tables out of a physical snapshot through. Nothing is written to the target before the cluster
 * has been restored into a sandbox, runs there, and turned out to have what is asked for.
 *
 * @throws HoldfastError as `planParts`; `execute` throws HF_PATH_NOT_FOUND for what is not in the snapshot, HF_TARGET_INVALID for what is in
 *   the way, HF_RESTORE_FAILED when the cluster does not start or an object cannot be copied; what reading the repository throws
 */
export async function planPartsRestore(place: LogicalSourcePlace, job: RestoreJob): Promise<PlannedRestore> {
  if (job.target.kind !== 'server') throw new HoldfastError('HF_INTERNAL', 'parts of a cluster go to a server')
  const target = targetServer(job.target.url, place)
  const planned = await planParts(place.source, target, job)
  return {
    plan: planned.plan,
    execute: async (observer, signal = job.signal) => {
      const again = await planParts(place.source, target, { ...job, signal })
      refuseChange(again.plan, planned.plan)
      return await new PartsRestore(place, { ...job, signal }, target, again, observer).run()
    },
  }
}

class PartsRestore {
  readonly #place: LogicalSourcePlace
  readonly #job: RestoreJob
  readonly #target: TargetServer
  readonly #planned: PartsPlan
  readonly #observer: SourceRestoreObserver

  constructor(
    place: LogicalSourcePlace,
    job: RestoreJob,
    target: TargetServer,
    planned: PartsPlan,
    observer: SourceRestoreObserver,
  ) {
    this.#place = place
    this.#job = job
    this.#target = target
    this.#planned = planned
    this.#observer = observer
  }

  async run(): Promise<SourceRestoreResult> {
    const [restoring, starting] = this.#planned.plan.steps
    await using folder = SandboxFolder.create()
    const dataDirectory = join(folder.path, 'data')
    this.#observer.onStep(restoring!)
    await restoreIntoSandbox(this.#place.source, this.#job, folder, dataDirectory, {
      onProgress: (progress) => this.#observer.onProgress(progress),
      onWarning: (message) => this.#observer.onWarning(message),
    })
    this.#observer.onStep(starting!)
    const server = await this.#start(folder, dataDirectory)
    try {
      return await this.#copy(await this.#superuser(server))
    } finally {
      await server.stop()
    }
  }

  async #start(folder: SandboxFolder, dataDirectory: string): Promise<SandboxServer> {
    const { manifest, server } = this.#planned
    const started = await startRestored(folder, dataDirectory, manifest, server!, this.#job.signal)
    if ('server' in started) return started.server
    throw new HoldfastError('HF_RESTORE_FAILED', `the restored cluster does not start: ${started.failure}`, {
      hint: started.isMachine
        ? 'this machine lacks something; restore the snapshot to a directory on one like the server it is of'
        : 'verify:run tells what is wrong with the snapshot; choose another one',
    })
  }

  /** @throws HoldfastError HF_RESTORE_FAILED unless the cluster is the one that was backed up, at the end of its backup */
  async #superuser(server: SandboxServer): Promise<SessionPlace> {
    const { signal } = this.#job
    const superuser = await findSuperuser(server, this.#place.endpoint.user, signal)
    if (typeof superuser === 'string') throw new HoldfastError('HF_RESTORE_FAILED', superuser)
    const { incomplete, foreign } = recoveryFaults(
      this.#planned.manifest,
      await readRecovery(server, superuser, signal),
    )
    const fault = incomplete ?? foreign
    if (fault !== undefined)
      throw new HoldfastError('HF_RESTORE_FAILED', `the restored cluster is not what was backed up: ${fault}`)
    return superuser
  }

  async #copy(superuser: SessionPlace): Promise<SourceRestoreResult> {
    const { manifest, databases, dump: program, plan } = this.#planned
    const { signal } = this.#job
    const endpoint = { ...superuser, sslmode: 'disable', options: SAFE_OPTIONS } as const
    const { majorVersion, version } = manifest.server
    const live = await LiveDump.open({ endpoint, majorVersion, program: program!, signal }, databases)
    const planned = await this.#planCopy(live)
    // Known only now.
    for (const { severity, what } of planned.plan.problems) if (severity !== 'error') this.#observer.onWarning(what)
    refuseObstacles(planned.plan.problems)
    const observer: SourceRestoreObserver = {
      onStep: (step) => this.#observer.onStep(step),
      onWarning: (message) => this.#observer.onWarning(message),
      onError: (item, error) => this.#observer.onError(item, error),
      onProgress: ({ bytes, totalBytes }) =>
        this.#observer.onProgress({ bytes: plan.bytes + bytes, totalBytes: plan.bytes + totalBytes }),
    }
    const place = { ...this.#place, jobs: Math.min(this.#place.jobs, MAX_JOBS) }
    const result = await new ServerRestore(place, live, this.#target, planned, observer, signal).run()
    return { ...result, facts: { ...result.facts, 'out of': `PostgreSQL ${version} as of ${manifest.end.lsn}` } }
  }

  async #planCopy(live: LiveDump): Promise<LogicalPlan> {
    const { include, exclude, rename, overwrite, signal } = this.#job
    try {
      return await planServerRestore(live, this.#target, { include, exclude, rename, overwrite, signal })
    } catch (error) {
      if (isHoldfastError(error, 'HF_PATH_NOT_FOUND'))
        throw new HoldfastError('HF_PATH_NOT_FOUND', error.message, {
          cause: error,
          hint: `${error.hint === undefined ? '' : `${error.hint}; `}nothing was written to the target`,
        })
      throw error
    }
  }
}
