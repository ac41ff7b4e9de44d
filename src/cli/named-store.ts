import { scratchLocation } from '../engine/storage/scratch-location.ts'
import type { Storage } from '../engine/storage/storage.ts'
import { type AccessOptions, type ConfiguredAccess, mainAccess } from './access.ts'
import type { CommandContext } from './context.ts'
import { configuredAccess, openStorageAt, resolveRepository } from './repository-session.ts'

/** The store that an argument means, or -r when there is none: a location, or the name of a configured repository. */
export interface NamedStore {
  /** For commands that open the repository in it, with `access`. */
  readonly context: CommandContext
  readonly access: AccessOptions | ConfiguredAccess
  readonly configured: ConfiguredAccess | undefined
  /** As its owner set it up. Close it. */
  open(): Promise<Storage>
  /**
   * A new place within the store for files that are removed again: without retention, and in the class that is read at once, whatever is
   * configured. Close it.
   */
  openScratch(purpose: string): Promise<Storage>
}

/** @throws HoldfastError HF_USAGE, HF_CONFIG_INVALID, HF_NOT_MOUNTED */
export async function findStore(context: CommandContext, place: string | undefined): Promise<NamedStore> {
  const asked: AccessOptions =
    place === undefined ? mainAccess(context.global) : { ...mainAccess(context.global), repo: place }
  const sources = new Map(context.sources)
  if (place !== undefined) sources.set('repo', { rank: 0, name: 'the argument' })
  const within = { ...context, sources }
  const configured = await configuredAccess(within, asked)
  const access = configured ?? asked
  const { location, store } = await resolveRepository(within, access)
  return {
    context: within,
    access,
    configured,
    open: () => openStorageAt(within, { location, store }),
    openScratch: (purpose) =>
      openStorageAt(within, { location: scratchLocation(location, purpose), store: { region: store.region } }),
  }
}
