import type { SourceProof } from '../proof.ts'
import type { PlannedRestore, RestoreJob } from '../restore.ts'
import type {
  BackupJob,
  Source,
  SourceBackup,
  SourceFacts,
  SourceKind,
  SourceProblem,
  SourceServices,
} from '../source.ts'
import { passwordIn } from './endpoint.ts'
import type { MemberSearch } from './member.ts'
import { MongoProof } from './proof/index.ts'
import { type MongoSettings, mongoSettings } from './settings.ts'

/** MongoDB replica sets and standalone servers, 6 to 8. */
export const mongoKind: SourceKind<MongoSettings> = {
  type: 'mongodb',
  summary: 'MongoDB replica sets and standalone servers',
  settings: mongoSettings,
  open: (name, settings, services) => new MongoSource(name, settings, services),
}

/** What talks to servers is loaded when it is used: the driver is large. */
class MongoSource implements Source {
  readonly name: string
  readonly type = 'mongodb'
  readonly host: string
  readonly paths: readonly string[]
  readonly proof: SourceProof
  readonly #settings: MongoSettings
  readonly #services: SourceServices

  constructor(name: string, settings: MongoSettings, services: SourceServices) {
    this.name = name
    this.host = name
    this.paths = [`/${name}`]
    this.#settings = settings
    this.#services = services
    this.proof = new MongoProof(name, settings, services)
  }

  async test(signal?: AbortSignal): Promise<SourceFacts> {
    const { describeServer } = await import('./doctor.ts')
    return await describeServer(await this.#search(signal))
  }

  async examine(signal?: AbortSignal): Promise<readonly SourceProblem[]> {
    const { examineServer } = await import('./doctor.ts')
    return await examineServer(await this.#search(signal))
  }

  async backup(job: BackupJob): Promise<SourceBackup> {
    const { backupServer } = await import('./backup.ts')
    const { password } = await this.#search(job.options.signal)
    const { clock } = this.#services
    return await backupServer({ source: this.name, settings: this.#settings, password, clock }, job)
  }

  async planRestore(job: RestoreJob): Promise<PlannedRestore> {
    const { planRestore } = await import('./restore/index.ts')
    return await planRestore({ source: this.name, settings: this.#settings, services: this.#services }, job)
  }

  async #search(signal: AbortSignal | undefined): Promise<MemberSearch> {
    const { password } = this.#settings
    return { settings: this.#settings, password: password && passwordIn(await this.#services.secret(password)), signal }
  }
}
