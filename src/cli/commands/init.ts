import { type InitOptions as EngineInitOptions, initRepository } from '../../engine/repository/repository.ts'
import { displayLocation } from '../../engine/storage/locations.ts'
import { isHoldfastError } from '../../lib/errors.ts'
import {
  type ConfiguredAccess,
  chooseLocation,
  choosePassword,
  isLocationGiven,
  mainAccess,
  resolveAccess,
  sourceAccess,
} from '../access.ts'
import type { Command } from '../command.ts'
import type { CommandContext } from '../context.ts'
import { type InitOptions, initDescription } from '../descriptions/init.ts'
import { readFirstPassword } from '../password.ts'
import { firstSealedPassword } from '../repository-opening.ts'
import { configuredAccess, openStorageAt, repositoryOptions, withRepository } from '../repository-session.ts'

export const initCommand: Command<InitOptions> = {
  ...initDescription,
  async run(context, options) {
    const { output, global, sources, environment } = context
    const access = mainAccess(global)
    if (!isLocationGiven(access) && (await initConfigured(context, options))) return 0
    const named = isLocationGiven(access) ? await configuredAccess(context, access) : undefined
    if (named !== undefined) {
      await initOne(context, named, {
        ...initOptions(context, options),
        chunkerPolynomial: await sourcePolynomial(context, options),
      })
      return 0
    }
    const place = await chooseLocation(access, sources)
    const location = displayLocation(place)
    const chunkerPolynomial = await sourcePolynomial(context, options)
    const storage = await openStorageAt(context, { location: place, store: {} })
    try {
      const password = await readFirstPassword(context, choosePassword(access, sources, environment))
      const { config } = await initRepository(
        storage,
        { password },
        { ...initOptions(context, options), chunkerPolynomial },
      )
      if (output.json) output.message({ message_type: 'initialized', id: config.id, repository: location })
      else {
        output.print(`created restic repository ${config.id.slice(0, 10)} at ${location}`)
        if (chunkerPolynomial !== undefined) output.print(' with chunker parameters copied from secondary repository')
        output.print(PLEASE_NOTE)
      }
      return 0
    } finally {
      await storage.close()
    }
  },
}

/** Makes each configured repository that is not there yet. False when nothing is configured. */
async function initConfigured(context: CommandContext, options: InitOptions): Promise<boolean> {
  const { output } = context
  const { loadConfigured } = await import('../configured/load.ts')
  const configured = await loadConfigured(context, { configurationFile: undefined }).catch((error: unknown) => {
    if (isHoldfastError(error, 'HF_CONFIG_NOT_FOUND')) return undefined
    throw error
  })
  if (configured === undefined) return false
  const chunkerPolynomial = await sourcePolynomial(context, options)
  for (const name of configured.configuration.repositories.keys())
    try {
      await initOne(context, configured.accessOf(name), { ...initOptions(context, options), chunkerPolynomial })
    } catch (error) {
      if (!isHoldfastError(error, 'HF_REPO_EXISTS')) throw error
      output.print(`repository ${name} is there already`)
    }
  return true
}

/** Makes a repository of the configuration. @throws HoldfastError HF_REPO_EXISTS, HF_SECRET_UNAVAILABLE, storage errors */
async function initOne(context: CommandContext, access: ConfiguredAccess, options: EngineInitOptions): Promise<void> {
  const { output, sources, environment } = context
  const { location: url, store, password, keys } = await resolveAccess(access, sources, environment)
  const storage = await openStorageAt(context, { location: url, store })
  try {
    const typed = password && (await readFirstPassword(context, password))
    const sealed = keys && (await firstSealedPassword(context, keys, typed))
    const { config } = await initRepository(
      storage,
      { password: sealed?.password ?? typed! },
      { ...options, seal: sealed?.seal },
    )
    const location = displayLocation(url)
    if (output.json) output.message({ message_type: 'initialized', id: config.id, repository: location })
    else
      output.print(
        `created restic repository ${config.id.slice(0, 10)} at ${location} (${access.name})${keys === undefined ? PLEASE_NOTE : KEYS_NOTE}`,
      )
  } finally {
    await storage.close()
  }
}

const initOptions = (context: CommandContext, options: InitOptions): EngineInitOptions => ({
  ...repositoryOptions(context),
  version: options.repositoryVersion === '1' ? 1 : 2,
})

const PLEASE_NOTE = `
Please note that knowledge of your password is required to access
the repository. Losing your password means that your data is
irrecoverably lost.`

const KEYS_NOTE = `
Any one of its keys opens it. When all of them are lost, the data is
irrecoverably lost: print a recovery kit with "holdfast key export".`

async function sourcePolynomial(context: CommandContext, options: InitOptions): Promise<bigint | undefined> {
  if (!options.copyChunkerParams) return undefined
  return withRepository(
    context,
    { lock: 'none', access: sourceAccess(options) },
    async ({ repository }) => repository.config.chunkerPolynomial,
  )
}
