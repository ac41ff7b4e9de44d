import { rootOf } from '../../../engine/repository/snapshot.ts'
import type { ProofJob, ProofSandbox, SourceProof } from '../../proof.ts'
import type { SandboxFolder } from '../../sandbox/sandbox-folder.ts'
import type { SourceServices } from '../../source.ts'
import { passwordIn } from '../endpoint.ts'
import type { MongoSettings } from '../settings.ts'
import type { SnapshotFiles } from '../snapshot-files.ts'

/** How snapshots of a source are proved. What does it is loaded when it is used. */
export class MongoProof implements SourceProof {
  readonly #source: string
  readonly #settings: MongoSettings
  readonly #services: SourceServices

  constructor(source: string, settings: MongoSettings, services: SourceServices) {
    this.#source = source
    this.#settings = settings
    this.#services = services
  }

  async checkStructure(job: ProofJob): Promise<void> {
    const { checkStructure } = await import('./structure.ts')
    await checkStructure(await this.#files(job), job)
  }

  async openSandbox(job: ProofJob, folder: SandboxFolder): Promise<ProofSandbox | undefined> {
    const { openSandbox } = await import('./sandbox.ts')
    const { proof } = this.#settings
    const password = proof?.password && passwordIn(await this.#services.secret(proof.password))
    const { clock } = this.#services
    return await openSandbox({ files: await this.#files(job), settings: this.#settings, password, clock }, job, folder)
  }

  async #files({ repository, snapshot, signal }: ProofJob): Promise<SnapshotFiles> {
    const { SnapshotFiles } = await import('../snapshot-files.ts')
    return new SnapshotFiles(repository, rootOf(snapshot), this.#source, signal)
  }
}
