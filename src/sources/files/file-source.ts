import type { SourceProof } from '../proof.ts'
import type { PlannedRestore, RestoreJob } from '../restore.ts'
import type { BackupJob, Source, SourceBackup, SourceFacts, SourceProblem } from '../source.ts'
import { backupFileSource, type FileSourceIdentity, selectorOf } from './backup.ts'
import { factsOf, findPaths, pathProblems } from './paths.ts'
import { fileProof } from './proof.ts'
import { planFileRestore } from './restore.ts'
import type { FilesSettings } from './settings.ts'

/** Files and folders as they are; other sorts of files say what else there is to examine. */
export class FilesSource implements Source {
  readonly name: string
  readonly type: string
  readonly paths: readonly string[]
  readonly proof: SourceProof
  readonly #identity: FileSourceIdentity
  readonly #settings: FilesSettings

  constructor(identity: FileSourceIdentity, settings: FilesSettings) {
    this.name = identity.name
    this.type = identity.type
    this.paths = settings.paths
    this.#identity = identity
    this.#settings = settings
    this.proof = fileProof(identity, () => {
      const selector = selectorOf(settings, findPaths(settings.paths).present, () => undefined)
      return {
        paths: settings.paths,
        isTaken: (path, found) => selector.selectByName(path) && selector.select(path, found),
      }
    })
  }

  async test(): Promise<SourceFacts> {
    return factsOf(this.paths, findPaths(this.paths))
  }

  async examine(_signal?: AbortSignal): Promise<readonly SourceProblem[]> {
    return pathProblems(findPaths(this.paths), this.#identity.secrets)
  }

  async backup(job: BackupJob): Promise<SourceBackup> {
    return await backupFileSource(job, this.#identity, this.#settings)
  }

  async planRestore(job: RestoreJob): Promise<PlannedRestore> {
    return await planFileRestore(job, this.#identity)
  }
}
