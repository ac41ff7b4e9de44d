import type { SourceProof } from '../proof.ts'
import type { PlannedRestore, RestoreJob } from '../restore.ts'
import type { BackupJob, Source, SourceBackup, SourceFacts, SourceProblem, SourceServices } from '../source.ts'
import { backupServer } from './backup.ts'
import type { NodeOpener } from './cluster/transfer.ts'
import { connect } from './connect.ts'
import { describeServer, examineServer } from './doctor.ts'
import { openSandbox } from './proof/sandbox.ts'
import { checkStructure } from './proof/structure.ts'
import { planRestore } from './restore/plan.ts'
import type { RedisSettings } from './settings.ts'

/** A Redis or Valkey server, with all its databases, or a cluster of them. */
export class RedisSource implements Source {
  readonly name: string
  readonly type = 'redis'
  readonly host: string
  readonly paths: readonly string[]
  readonly proof: SourceProof = { checkStructure, openSandbox }
  readonly #settings: RedisSettings
  readonly #services: SourceServices

  constructor(name: string, settings: RedisSettings, services: SourceServices) {
    this.name = name
    this.host = name
    this.paths = [`/${name}`]
    this.#settings = settings
    this.#services = services
  }

  async test(signal?: AbortSignal): Promise<SourceFacts> {
    using client = await connect(this.#settings, this.#services, signal)
    return await describeServer(client)
  }

  async examine(signal?: AbortSignal): Promise<readonly SourceProblem[]> {
    return await examineServer(() => connect(this.#settings, this.#services, signal))
  }

  async planRestore(job: RestoreJob): Promise<PlannedRestore> {
    return await planRestore(job, { name: this.name, settings: this.#settings, services: this.#services })
  }

  async backup(job: BackupJob): Promise<SourceBackup> {
    using client = await connect(this.#settings, this.#services, job.options.signal)
    const openNode: NodeOpener = (address) =>
      connect({ ...this.#settings, target: { kind: 'tcp', ...address } }, this.#services, job.options.signal)
    return await backupServer(this.name, client, openNode, this.#services.clock, job)
  }
}
