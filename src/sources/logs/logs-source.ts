import { timeBefore } from '../../lib/durations.ts'
import { localTimestamp } from '../../lib/go-time.ts'
import type { FileSourceIdentity } from '../files/backup.ts'
import { factsOf, findPaths, pathProblems } from '../files/paths.ts'
import { fileProof } from '../files/proof.ts'
import { planFileRestore } from '../files/restore.ts'
import { noSecrets } from '../files/secret-names.ts'
import type { SourceProof } from '../proof.ts'
import type { PlannedRestore, RestoreJob } from '../restore.ts'
import type { BackupJob, Source, SourceBackup, SourceFacts, SourceProblem, SourceServices } from '../source.ts'
import { backupLogs } from './backup.ts'
import { examineLogs } from './doctor.ts'
import { logFilter } from './log-filter.ts'
import type { LogsSettings } from './settings.ts'

/** The logs below configured paths that are in the window. */
export class LogsSource implements Source {
  readonly name: string
  readonly type = 'logs'
  readonly #settings: LogsSettings
  readonly #services: SourceServices
  readonly #identity: FileSourceIdentity
  readonly proof: SourceProof

  constructor(name: string, settings: LogsSettings, services: SourceServices) {
    this.name = name
    this.#settings = settings
    this.#services = services
    this.#identity = { name, type: 'logs', secrets: noSecrets }
    this.proof = fileProof(this.#identity, () => ({
      paths: settings.paths,
      isTaken: logFilter(settings, this.#since(), () => undefined),
    }))
  }

  get paths(): readonly string[] {
    return this.#settings.paths
  }

  async test(): Promise<SourceFacts> {
    return factsOf(this.paths, findPaths(this.paths))
  }

  async examine(signal?: AbortSignal): Promise<readonly SourceProblem[]> {
    const found = findPaths(this.paths)
    return [
      ...pathProblems(found, noSecrets),
      ...(await examineLogs(this.#settings, found.present, this.#since(), signal)),
    ]
  }

  async backup(job: BackupJob): Promise<SourceBackup> {
    return await backupLogs(job, this.name, this.#settings)
  }

  async planRestore(job: RestoreJob): Promise<PlannedRestore> {
    return await planFileRestore(job, this.#identity)
  }

  #since(): number | undefined {
    const { window } = this.#settings
    return window && timeBefore(localTimestamp(this.#services.clock.now()), window).seconds
  }
}
