import type { Configuration, ConfiguredSource } from '../../config/configuration.ts'
import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import { nearest } from '../../lib/nearest.ts'
import type { CommandContext } from '../context.ts'

/** Sources by the repositories they go to; one that goes to several stands under each. */
export function byRepository(sources: readonly ConfiguredSource[]): ReadonlyMap<string, readonly ConfiguredSource[]> {
  const groups = new Map<string, ConfiguredSource[]>()
  for (const source of sources)
    for (const repository of source.repositories) {
      const group = groups.get(repository)
      if (group === undefined) groups.set(repository, [source])
      else group.push(source)
    }
  return groups
}

/**
 * Works on several repositories, one after the other. One that cannot be had does not stop the others, where there are others.
 * @returns the first failure that was passed over
 */
export async function inEachRepository(
  { output }: CommandContext,
  repositories: readonly string[],
  work: (repository: string) => Promise<void>,
): Promise<unknown> {
  let passedOver: unknown
  for (const repository of repositories)
    try {
      await work(repository)
    } catch (error) {
      if (repositories.length === 1 || !isHoldfastError(error) || error.code === 'HF_INTERRUPTED') throw error
      output.warn(`repository ${repository}: ${error.message}${error.hint === undefined ? '' : `\n  ${error.hint}`}`)
      passedOver ??= error
    }
  return passedOver
}

/** @throws HoldfastError HF_USAGE for a name that is not configured */
export function requireRepository(configuration: Configuration, name: string): string {
  const names = [...configuration.repositories.keys()]
  if (names.includes(name)) return name
  const close = nearest(name, names)
  throw new HoldfastError('HF_USAGE', `there is no repository ${JSON.stringify(name)} in the configuration`, {
    hint: close === undefined ? `there is ${names.join(', ') || 'none'}` : `did you mean ${close}?`,
  })
}
