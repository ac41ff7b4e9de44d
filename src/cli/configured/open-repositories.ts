import { type HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import type { CommandContext } from '../context.ts'
import { type RepositorySession, type SessionOptions, withRepository } from '../repository-session.ts'
import type { Configured } from './load.ts'

/** Configured repositories that could be opened, and why the others could not. */
export interface OpenedRepositories<T> {
  readonly opened: ReadonlyMap<string, T>
  readonly unopened: ReadonlyMap<string, HoldfastError>
}

/**
 * Opens configured repositories side by side, and holds them and their locks while `work` runs. One that cannot be had does not stop the
 * others; `prepare` is part of having it.
 *
 * @throws HoldfastError why the first one cannot be had, when none can; HF_INTERRUPTED; what `work` throws
 */
export async function withRepositories<T, R>(
  context: CommandContext,
  { accessOf }: Configured,
  names: readonly string[],
  options: Pick<SessionOptions, 'lock' | 'early'>,
  prepare: (name: string, session: RepositorySession) => Promise<T>,
  work: (repositories: OpenedRepositories<T>) => Promise<R>,
): Promise<R> {
  const release = Promise.withResolvers<void>()
  const openings = names.map((name) => {
    const ready = Promise.withResolvers<T>()
    const hold = async (session: RepositorySession): Promise<void> => {
      ready.resolve(await prepare(name, session))
      await release.promise
    }
    const closed = (async () => withRepository(context, { ...options, access: accessOf(name) }, hold))()
    closed.catch(ready.reject)
    return { name, ready: ready.promise, closed }
  })
  const opened = new Map<string, T>()
  const unopened = new Map<string, HoldfastError>()
  try {
    const outcomes = await Promise.allSettled(openings.map(({ ready }) => ready))
    context.signal.throwIfAborted()
    for (const [i, outcome] of outcomes.entries()) {
      const { name } = openings[i]!
      if (outcome.status === 'fulfilled') {
        opened.set(name, outcome.value)
        continue
      }
      const error: unknown = outcome.reason
      if (!isHoldfastError(error)) throw error
      unopened.set(name, error)
    }
    const [error] = unopened.values()
    if (opened.size === 0 && error !== undefined) throw error
    for (const [name, { message, hint }] of unopened)
      context.output.warn(`repository ${name}: ${message}${hint === undefined ? '' : `\n  ${hint}`}`)
    return await work({ opened, unopened })
  } finally {
    release.resolve()
    const ends = await Promise.allSettled(openings.map(({ closed }) => closed))
    for (const [i, end] of ends.entries()) {
      const { name } = openings[i]!
      if (end.status === 'rejected' && opened.has(name) && !context.signal.aborted)
        context.output.warn(`Warning: repository ${name} could not be closed: ${(end.reason as Error).message}`)
    }
  }
}
