import { formatSize } from '../../../lib/sizes.ts'
import type { SourceProof } from '../../proof.ts'
import type { PlannedRestore, RestoreJob } from '../../restore.ts'
import type {
  BackupJob,
  Source,
  SourceBackup,
  SourceCheckJob,
  SourceFacts,
  SourceProblem,
  SourceServices,
} from '../../source.ts'
import { checkLive } from '../check/live-check.ts'
import { knownSize, readClusterFacts } from '../cluster-facts.ts'
import { SqlSession } from '../connection.ts'
import { passwordOf } from '../login.ts'
import type { LogicalSettings, PostgresSettings } from '../settings.ts'
import { SnapshotReader } from '../snapshot-reader.ts'
import { backupLogically } from './backup.ts'
import { chosenDatabases } from './chosen-databases.ts'
import { clientProgram } from './client-programs.ts'
import type { CopySession } from './copy-session.ts'
import { examineLogically } from './doctor.ts'

/** Databases of a PostgreSQL server, as statements and rows. */
export class LogicalSource implements Source {
  readonly name: string
  readonly type = 'postgres'
  readonly host: string
  readonly paths: readonly string[]
  readonly #settings: PostgresSettings
  readonly #logical: LogicalSettings
  readonly #services: SourceServices
  readonly #snapshots: SnapshotReader

  constructor(name: string, settings: PostgresSettings, logical: LogicalSettings, services: SourceServices) {
    this.name = name
    this.host = name
    this.paths = [`/${name}`]
    this.#settings = settings
    this.#logical = logical
    this.#services = services
    this.#snapshots = new SnapshotReader(name, settings, () => this.#password())
  }

  get proof(): SourceProof {
    return this.#snapshots.proof
  }

  async test(signal?: AbortSignal): Promise<SourceFacts> {
    await using session = await SqlSession.open(this.#settings.endpoint, await this.#password(), { signal })
    const facts = await readClusterFacts(session)
    const program = clientProgram('pg_dump', facts.majorVersion)
    const size = knownSize(facts)
    return {
      version: `PostgreSQL ${facts.version}`,
      facts: {
        role: facts.role,
        size: size === undefined ? 'unknown' : formatSize(size),
        databases: facts.databases.map(({ name }) => name).join(', '),
        'in recovery': facts.isStandby ? 'yes, a standby' : 'no, a primary',
        pg_dump: program.version,
      },
    }
  }

  async examine(signal?: AbortSignal): Promise<readonly SourceProblem[]> {
    return await examineLogically(this.#settings.endpoint, this.#logical, await this.#password(), signal)
  }

  async backup(job: BackupJob): Promise<SourceBackup> {
    const logical = {
      source: this.name,
      endpoint: this.#settings.endpoint,
      settings: this.#logical,
      password: await this.#password(),
      clock: this.#services.clock,
    }
    return await backupLogically(logical, job)
  }

  async planRestore(job: RestoreJob): Promise<PlannedRestore> {
    return await this.#snapshots.planRestore(job)
  }

  async check(job: SourceCheckJob): Promise<void> {
    const databases = (session: CopySession): Promise<readonly string[]> =>
      chosenDatabases(session, this.name, this.#logical.databases)
    await checkLive({ endpoint: this.#settings.endpoint, password: await this.#password(), databases }, job)
  }

  #password(): Promise<string | undefined> {
    return passwordOf(this.#settings, this.#services)
  }
}
