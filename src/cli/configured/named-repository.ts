import { existsSync, realpathSync, statSync } from 'node:fs'
import type { Configuration } from '../../config/configuration.ts'
import { defaultPlaces, loadConfiguration } from '../../config/load.ts'
import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import { loadSourceKinds } from '../../sources/registry.ts'
import { type AccessOptions, type ConfiguredAccess, givenLocation, typedPassword } from '../access.ts'
import type { CommandContext } from '../context.ts'
import { accessOf, settingsOf } from './load.ts'

/**
 * The configured repository that a repository command means: by its name, or because no other is given and only one is configured. Undefined
 * when the configuration has nothing to say, so that what was given is a location.
 *
 * @throws HoldfastError HF_USAGE when a name is also a folder here, or several are configured and none is named; HF_CONFIG_INVALID,
 *   HF_NOT_MOUNTED
 */
export async function findConfigured(
  { environment, sources }: Pick<CommandContext, 'environment' | 'sources'>,
  access: AccessOptions,
): Promise<ConfiguredAccess | undefined> {
  const given = givenLocation(access, sources)?.value
  const configuration = await readConfiguration(environment, given)
  if (configuration === undefined) return undefined
  const name = given ?? onlyRepository(configuration)
  const repository = name === undefined ? undefined : configuration.repositories.get(name)
  if (name === undefined || repository === undefined) return undefined
  if (given !== undefined) refuseFolder(name, repository.url, configuration)
  const keyHint = sources.get(`${access.prefix}key-hint`)?.rank === 0 ? access.keyHint : undefined
  return {
    ...accessOf(configuration, name, environment),
    typed: { password: typedPassword(access, sources), keyHint },
  }
}

/**
 * All configured repositories by name, where there are several and the command line names none and says nothing about opening one; undefined
 * otherwise.
 * @throws HoldfastError HF_CONFIG_INVALID
 */
export async function findAllConfigured(
  { environment, sources }: Pick<CommandContext, 'environment' | 'sources'>,
  access: AccessOptions,
): Promise<ReadonlyMap<string, () => ConfiguredAccess> | undefined> {
  if (givenLocation(access, sources) !== undefined || typedPassword(access, sources) !== undefined) return undefined
  const configuration = await readConfiguration(environment, undefined)
  if (configuration === undefined || configuration.repositories.size < 2) return undefined
  const names = [...configuration.repositories.keys()]
  return new Map(names.map((name) => [name, () => accessOf(configuration, name, environment)]))
}

/** Names of all configured repositories; none without a configuration. @throws HoldfastError HF_CONFIG_INVALID */
export async function configuredNames({
  environment,
}: Pick<CommandContext, 'environment'>): Promise<readonly string[]> {
  const configuration = await readConfiguration(environment, undefined)
  return [...(configuration?.repositories.keys() ?? [])]
}

async function readConfiguration(
  environment: CommandContext['environment'],
  given: string | undefined,
): Promise<Configuration | undefined> {
  try {
    return await loadConfiguration({ environment, sourceSettings: settingsOf(await loadSourceKinds()) })
  } catch (error) {
    if (isHoldfastError(error, 'HF_CONFIG_NOT_FOUND') && !environment.HOLDFAST_CONFIG) return undefined
    // Variables that are set for the product itself must not keep a folder from being named.
    const hasFile = Boolean(environment.HOLDFAST_CONFIG) || defaultPlaces.some((place) => existsSync(place))
    if (isHoldfastError(error, 'HF_CONFIG_INVALID') && given !== undefined && !hasFile) return undefined
    throw error
  }
}

function onlyRepository({ repositories }: Configuration): string | undefined {
  const names = [...repositories.keys()]
  if (names.length > 1)
    throw new HoldfastError('HF_USAGE', `no repository was given, and ${names.length} are configured`, {
      hint: `name one with --repo: ${names.join(', ')}`,
    })
  return names[0]
}

/** A name that is a folder here as well means two things, unless they are the same. */
function refuseFolder(name: string, url: string, { file }: Configuration): void {
  if (statSync(name, { throwIfNoEntry: false })?.isDirectory() !== true) return
  if (placeOf(name) === placeOf(url.replace(/^local:/, ''))) return
  throw new HoldfastError(
    'HF_USAGE',
    `${JSON.stringify(name)} is a repository of ${file ?? 'the configuration'}, and a folder here`,
    {
      hint: `write ./${name} for the folder, or ${url} for the configured repository`,
    },
  )
}

function placeOf(path: string): string | undefined {
  try {
    return realpathSync(path)
  } catch {
    return undefined
  }
}
