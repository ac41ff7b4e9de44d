import { FilesSource } from '../files/file-source.ts'
import { type SecretNames, secretNames } from '../files/secret-names.ts'
import type { SourceProblem } from '../source.ts'
import { examineSecrets } from './doctor.ts'
import type { ConfigSettings } from './settings.ts'

/** Files some of which are never named. */
export class ConfigSource extends FilesSource {
  readonly #settings: ConfigSettings
  readonly #secrets: SecretNames

  constructor(name: string, settings: ConfigSettings) {
    const secrets = secretNames(settings.secrets)
    super({ name, type: 'config', secrets }, settings)
    this.#settings = settings
    this.#secrets = secrets
  }

  override async examine(signal?: AbortSignal): Promise<readonly SourceProblem[]> {
    return [...(await super.examine(signal)), ...(await examineSecrets(this.#settings, this.#secrets, signal))]
  }
}
