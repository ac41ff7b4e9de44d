import { FilesSource } from '../files/index.ts'
import { type SecretNames, secretNames } from '../files/secret-names.ts'
import type { SourceKind, SourceProblem } from '../source.ts'
import { examineSecrets } from './doctor.ts'
import { type ConfigSettings, configSettings } from './settings.ts'

/** Configuration of programs, with passwords and keys in it: files as any others, some of which are never named. */
export const configKind: SourceKind<ConfigSettings> = {
  type: 'config',
  summary: 'configuration files, with secrets among them',
  settings: configSettings,
  open: (name, settings) => new ConfigSource(name, settings, secretNames(settings.secrets)),
}

class ConfigSource extends FilesSource {
  readonly #settings: ConfigSettings
  readonly #secrets: SecretNames

  constructor(name: string, settings: ConfigSettings, secrets: SecretNames) {
    super({ name, type: 'config', secrets }, settings)
    this.#settings = settings
    this.#secrets = secrets
  }

  override async examine(signal?: AbortSignal): Promise<readonly SourceProblem[]> {
    return [...(await super.examine(signal)), ...(await examineSecrets(this.#settings, this.#secrets, signal))]
  }
}
