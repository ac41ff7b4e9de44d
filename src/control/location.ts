import type { Storage } from '../engine/storage/storage.ts'
import { HoldfastError } from '../lib/errors.ts'

/** Where a store says that it lies. */
export type ToldLocation =
  | { readonly kind: 'told'; readonly region: string }
  /** It has no words for it, or was not willing to say them. */
  | { readonly kind: 'unknown'; readonly reason: string }

/** Asks a store where it lies. @throws HoldfastError HF_INTERRUPTED */
export async function askLocation({ features }: Storage, signal?: AbortSignal): Promise<ToldLocation> {
  if (features.examine === undefined)
    return { kind: 'unknown', reason: 'a store of this kind does not say where it is' }
  const found = (await features.examine({ signal })).find(({ what }) => what === 'location')
  // Stores say their region first, some with more behind it: `europe-west1 (region)`.
  const region = /^([a-z0-9-]+)(?: \(|$)/.exec(found?.text.toLowerCase() ?? '')?.[1]
  if (region !== undefined && found?.state !== 'unknown') return { kind: 'told', region }
  return { kind: 'unknown', reason: found?.text ?? 'the store does not say where it is' }
}

/** Regions that are named as if they were of the European Union: London and Zurich. */
const outsideTheUnion: ReadonlySet<string> = new Set(['eu-west-2', 'eu-central-2', 'europe-west2', 'europe-west6'])

/** Whether a region is `location`, or one of those whose names begin with it. `eu` also stands for Google's `europe-`. */
export function isWithin(region: string, location: string): boolean {
  if (region === location) return true
  if (location === 'eu' && outsideTheUnion.has(region)) return false
  return region.startsWith(`${location}-`) || (location === 'eu' && region.startsWith('europe-'))
}

/** Something with a name, and where it may lie or lies by what its owner said. */
export interface Located {
  readonly name: string
  readonly location: string | undefined
}

/** Why snapshots of a source may not lie in a repository, by what the owner said of both (S3-55); undefined when they may. */
export function locationConflict(source: Located, repository: Located): HoldfastError | undefined {
  if (source.location === undefined) return undefined
  const { location } = repository
  if (location !== undefined && isWithin(location, source.location)) return undefined
  const where = location === undefined ? 'does not say where it lies' : `lies in ${location}`
  return new HoldfastError(
    'HF_LOCATION_FORBIDDEN',
    `snapshots of ${source.name} may lie only in ${source.location}, and ${repository.name} ${where}`,
    {
      hint: `take it from the repositories of ${source.name}, or say "location" of it in holdfast.yaml where it is missing`,
      context: { location: source.location, repository: repository.name },
    },
  )
}

/**
 * Nothing goes to a store that lies elsewhere than it may (S3-55).
 * @returns why it could not be looked at, where that is so
 * @throws HoldfastError HF_LOCATION_FORBIDDEN
 */
export async function requireLocation(
  repository: string,
  location: string,
  storage: Storage,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const told = await askLocation(storage, signal)
  if (told.kind === 'unknown') return told.reason
  if (isWithin(told.region, location)) return undefined
  throw new HoldfastError(
    'HF_LOCATION_FORBIDDEN',
    `${repository} may lie only in ${location}, and the store says that it is in ${told.region}`,
    {
      hint: 'nothing was written; move the repository, or correct "location" in holdfast.yaml',
      context: { location, region: told.region },
    },
  )
}
