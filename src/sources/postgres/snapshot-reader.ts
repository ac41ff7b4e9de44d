import { rootOf, type StoredSnapshot } from '../../engine/repository/snapshot.ts'
import { textToByteString } from '../../engine/repository/tree/node.ts'
import { fileContent, findDumpSource } from '../../engine/restore/dump/dump-snapshot.ts'
import { isHoldfastError } from '../../lib/errors.ts'
import type { ProofJob, SourceProof } from '../proof.ts'
import type { PlannedRestore, RestoreJob } from '../restore.ts'
import { manifestPath } from './manifest.ts'
import type { PostgresSettings } from './settings.ts'

type Mode = 'physical' | 'logical'

const DEFAULT_JOBS = 2
const MAX_MANIFEST_BYTES = 64 * 1024 * 1024

/** Restores and proves snapshots as what they are, although their source may since have been told to make others. What that takes is loaded then. */
export class SnapshotReader {
  readonly proof: SourceProof
  readonly #source: string
  readonly #settings: PostgresSettings
  readonly #password: () => Promise<string | undefined>

  constructor(source: string, settings: PostgresSettings, password: () => Promise<string | undefined>) {
    this.#source = source
    this.#settings = settings
    this.#password = password
    this.proof = {
      checkStructure: async (job) => await (await this.#proofOf(job)).checkStructure(job),
      openSandbox: async (job, folder) => await (await this.#proofOf(job)).openSandbox(job, folder),
    }
  }

  async planRestore(job: RestoreJob): Promise<PlannedRestore> {
    const isPhysical = (await this.#modeOf(job)) === 'physical'
    const isInParts = job.target.kind === 'server' && job.include.length > 0
    if (isPhysical && !isInParts) {
      const { planClusterRestore } = await import('./restore/restore.ts')
      return await planClusterRestore(this.#source, job)
    }
    const { endpoint } = this.#settings
    const place = { source: this.#source, endpoint, password: await this.#password(), jobs: this.#jobs }
    if (isPhysical) {
      const { planPartsRestore } = await import('./restore/parts.ts')
      return await planPartsRestore(place, job)
    }
    const { planLogicalRestore } = await import('./logical/restore.ts')
    return await planLogicalRestore(place, job)
  }

  async #proofOf(job: ProofJob): Promise<SourceProof> {
    if ((await this.#modeOf(job)) === 'logical') {
      const { logicalProof } = await import('./logical/proof.ts')
      return logicalProof(this.#source, this.#jobs)
    }
    const { clusterProof } = await import('./proof/cluster-proof.ts')
    return clusterProof({ source: this.#source, role: this.#settings.endpoint.user })
  }

  get #jobs(): number {
    return this.#settings.logical?.jobs ?? DEFAULT_JOBS
  }

  /** What the manifest says; when it says nothing, what is configured: whoever reads it next tells what is wrong with it. */
  async #modeOf({ repository, snapshot, signal }: Pick<ProofJob, 'repository' | 'snapshot' | 'signal'>): Promise<Mode> {
    const configured: Mode = this.#settings.logical === undefined ? 'physical' : 'logical'
    try {
      const { mode } = JSON.parse(await this.#readManifest(repository, snapshot, signal)) as { readonly mode?: unknown }
      return mode === 'physical' || mode === 'logical' ? mode : configured
    } catch (error) {
      if (error instanceof SyntaxError || isHoldfastError(error, 'HF_PATH_NOT_FOUND', 'HF_DATA_DAMAGED'))
        return configured
      throw error
    }
  }

  async #readManifest(
    repository: ProofJob['repository'],
    snapshot: StoredSnapshot,
    signal: AbortSignal | undefined,
  ): Promise<string> {
    const path = textToByteString(manifestPath(this.#source))
    const found = await findDumpSource(repository, rootOf(snapshot), path, signal)
    if (found.kind !== 'file' || found.node.size > MAX_MANIFEST_BYTES) return ''
    const pieces: Uint8Array[] = []
    for await (const piece of fileContent(repository, found.node, signal)) pieces.push(piece)
    return Buffer.concat(pieces).toString('utf8')
  }
}
