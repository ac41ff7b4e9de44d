import { formatSize } from '../../lib/sizes.ts'
import type { SourceProof } from '../proof.ts'
import type { PlannedRestore, RestoreJob } from '../restore.ts'
import type {
  BackupJob,
  Source,
  SourceBackup,
  SourceCheckJob,
  SourceFacts,
  SourceProblem,
  SourceServices,
} from '../source.ts'
import { backupCluster } from './backup.ts'
import { knownSize, readClusterFacts, readClusterIdentity } from './cluster-facts.ts'
import { SqlSession } from './connection.ts'
import { passwordOf } from './login.ts'
import { ReplicationConnection } from './replication.ts'
import type { PostgresSettings } from './settings.ts'
import { SnapshotReader } from './snapshot-reader.ts'

/** A PostgreSQL cluster, whole over the replication protocol. */
export class ClusterSource implements Source {
  readonly name: string
  readonly type = 'postgres'
  readonly host: string
  readonly paths: readonly string[]
  readonly #settings: PostgresSettings
  readonly #services: SourceServices
  readonly #snapshots: SnapshotReader

  constructor(name: string, settings: PostgresSettings, services: SourceServices) {
    this.name = name
    this.host = name
    this.paths = [`/${name}`]
    this.#settings = settings
    this.#services = services
    this.#snapshots = new SnapshotReader(name, settings, () => this.#password())
  }

  get proof(): SourceProof {
    return this.#snapshots.proof
  }

  async test(signal?: AbortSignal): Promise<SourceFacts> {
    const { endpoint } = this.#settings
    const password = await this.#password()
    await using session = await SqlSession.open(endpoint, password, { signal })
    const facts = await readClusterFacts(session)
    await using connection = await ReplicationConnection.open(endpoint, password, {
      signal,
      clientAddress: facts.clientAddress,
    })
    const { systemId } = await readClusterIdentity(connection)
    const size = knownSize(facts)
    return {
      version: `PostgreSQL ${facts.version}`,
      facts: {
        'system id': systemId,
        role: facts.role,
        size: size === undefined ? 'unknown' : formatSize(size),
        databases: facts.databases.map(({ name }) => name).join(', '),
        'in recovery': facts.isStandby ? 'yes, a standby' : 'no, a primary',
      },
    }
  }

  async examine(signal?: AbortSignal): Promise<readonly SourceProblem[]> {
    const { examineCluster } = await import('./doctor.ts')
    return await examineCluster(this.#settings.endpoint, await this.#password(), signal)
  }

  async backup(job: BackupJob): Promise<SourceBackup> {
    const cluster = {
      source: this.name,
      settings: this.#settings,
      password: await this.#password(),
      clock: this.#services.clock,
    }
    return await backupCluster(cluster, job)
  }

  async planRestore(job: RestoreJob): Promise<PlannedRestore> {
    return await this.#snapshots.planRestore(job)
  }

  async check(job: SourceCheckJob): Promise<void> {
    const { checkLive } = await import('./check/live-check.ts')
    await checkLive({ endpoint: this.#settings.endpoint, password: await this.#password(), databases: 'all' }, job)
  }

  #password(): Promise<string | undefined> {
    return passwordOf(this.#settings, this.#services)
  }
}
