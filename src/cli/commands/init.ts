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
import type { Configured } from '../configured/load.ts'
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
      const chunkerPolynomial =
        (await sourcePolynomial(context, options)) ?? (await configuredPolynomials(context)).find(isKnown)
      await initOne(context, named, { ...initOptions(context, options), chunkerPolynomial })
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
  const configured = await loadConfigured(context).catch((error: unknown) => {
    if (isHoldfastError(error, 'HF_CONFIG_NOT_FOUND')) return undefined
    throw error
  })
  if (configured === undefined) return false
  const known = await configuredPolynomials(context, configured)
  let chunkerPolynomial = (await sourcePolynomial(context, options)) ?? known.find(isKnown)
  for (const [i, name] of [...configured.configuration.repositories.keys()].entries()) {
    const existing = known[i]
    if (existing === undefined) {
      const made = { ...initOptions(context, options), chunkerPolynomial }
      try {
        const polynomial = await initOne(context, configured.accessOf(name), made)
        chunkerPolynomial ??= polynomial
      } catch (error) {
        if (!isHoldfastError(error, 'HF_REPO_EXISTS')) throw error
        output.print(`repository ${name} is there already`)
      }
      continue
    }
    output.print(`repository ${name} is there already`)
    if (existing !== chunkerPolynomial)
      output.warn(
        `Warning: repository ${name} cuts files at other places: sources that go there are read once more for it`,
      )
  }
  return true
}

/**
 * How the configured repositories cut files, in order; undefined for those that are not there. Where all cut alike, what is read once can be
 * stored in each, and a copy shares what a backup has stored.
 */
async function configuredPolynomials(
  context: CommandContext,
  configured?: Configured,
): Promise<readonly (bigint | undefined)[]> {
  const { loadConfigured } = await import('../configured/load.ts')
  const { configuration, accessOf } = configured ?? (await loadConfigured(context))
  const polynomials: (bigint | undefined)[] = []
  for (const name of configuration.repositories.keys())
    try {
      const session = { lock: 'none', access: accessOf(name) } as const
      const polynomial = withRepository(context, session, async ({ repository }) => repository.config.chunkerPolynomial)
      polynomials.push(await polynomial)
    } catch (error) {
      if (!isHoldfastError(error) || error.code === 'HF_INTERRUPTED') throw error
      if (error.code !== 'HF_REPO_NOT_FOUND' && error.code !== 'HF_NOT_MOUNTED')
        context.output.warn(`Warning: how repository ${name} cuts files cannot be found out: ${error.message}`)
      polynomials.push(undefined)
    }
  return polynomials
}

const isKnown = (polynomial: bigint | undefined): polynomial is bigint => polynomial !== undefined

/** Makes a repository of the configuration, and says how it cuts. @throws HoldfastError HF_REPO_EXISTS, HF_SECRET_UNAVAILABLE, storage errors */
async function initOne(context: CommandContext, access: ConfiguredAccess, options: EngineInitOptions): Promise<bigint> {
  const { output, sources, environment } = context
  const { location: url, store, password, keys } = await resolveAccess(access, sources, environment)
  const storage = await openStorageAt(context, { location: url, store })
  try {
    const typed = password && (await readFirstPassword(context, password))
    const sealed = keys && (await firstSealedPassword(context, keys, typed, storage))
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
    return config.chunkerPolynomial
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
