import type { Configuration, ConfiguredSource } from '../../config/configuration.ts'
import { loadConfiguration } from '../../config/load.ts'
import { readSecret } from '../../config/secret.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { nearest } from '../../lib/nearest.ts'
import { type AnySourceKind, loadSourceKinds } from '../../sources/registry.ts'
import type { Source } from '../../sources/source.ts'
import type { ConfiguredAccess } from '../access.ts'
import type { CommandContext } from '../context.ts'
import type { Environment } from '../environment.ts'
import { loadKeys } from './keys.ts'
import { requireMount } from './mount.ts'

/** The configuration, and what the program makes of it. */
export interface Configured {
  readonly configuration: Configuration
  /** Opens a source; nothing is connected to yet. */
  openSource(source: ConfiguredSource): Source
  /** How to open a repository, by its name. @throws HoldfastError HF_NOT_MOUNTED */
  accessOf(repository: string): ConfiguredAccess
}

/**
 * Reads and checks what is configured, and prints its warnings.
 * @throws HoldfastError HF_CONFIG_INVALID, HF_CONFIG_NOT_FOUND
 */
export async function loadConfigured(context: CommandContext): Promise<Configured> {
  const { environment, clock, output } = context
  const kinds = await loadSourceKinds()
  const configuration = await loadConfiguration({
    environment,
    sourceSettings: settingsOf(kinds),
  })
  for (const warning of configuration.warnings) output.warn(`Warning: ${warning}`)
  const secretOptions = { environment, checkPermissions: true }
  return {
    configuration,
    openSource: ({ name, type, settings }) =>
      kinds.get(type)!.open(name, settings, { clock, secret: (reference) => readSecret(reference, secretOptions) }),
    accessOf: (name) => accessOf(configuration, name, environment),
  }
}

/** How to open a repository of the configuration. Others must not be able to read its password file (S2-55). @throws HoldfastError HF_NOT_MOUNTED */
export function accessOf(configuration: Configuration, name: string, environment: Environment): ConfiguredAccess {
  const { url, store, place, password, keys, maxKeyAgeDays, mount, prices } = configuration.repositories.get(name)!
  if (mount) requireMount(name, url)
  return {
    name,
    url,
    store,
    mustLieIn: place.location,
    prices,
    readPassword: password && (() => readSecret(password, { environment, checkPermissions: true })),
    keys: keys.length === 0 ? undefined : { load: () => loadKeys(keys, environment), maxAgeDays: maxKeyAgeDays },
  }
}

/** What each sort of source takes as settings, by type. */
export const settingsOf = (kinds: ReadonlyMap<string, AnySourceKind>): ReadonlyMap<string, AnySourceKind['settings']> =>
  new Map([...kinds].map(([type, { settings }]) => [type, settings]))

/**
 * The sources of these names, in the order of the configuration; all without names.
 * @throws HoldfastError HF_USAGE for a name that is not configured
 */
export function chooseSources(configuration: Configuration, names: readonly string[]): readonly ConfiguredSource[] {
  const all = [...configuration.sources.values()]
  for (const name of names) {
    if (configuration.sources.has(name)) continue
    const close = nearest(name, [...configuration.sources.keys()])
    throw new HoldfastError('HF_USAGE', `there is no source ${JSON.stringify(name)}`, {
      hint:
        close !== undefined
          ? `did you mean ${close}?`
          : `there is ${all.map((source) => source.name).join(', ') || 'none: name some under "sources"'}`,
    })
  }
  return names.length === 0 ? all : all.filter(({ name }) => names.includes(name))
}
