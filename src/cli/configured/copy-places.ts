import { statSync } from 'node:fs'
import type { ConfiguredRepository } from '../../config/configuration.ts'
import type { CopyPlace } from '../../control/copy-status.ts'
import { askLocation, isWithin } from '../../control/location.ts'
import { openForLook } from '../../control/run-repository.ts'
import { storeKindOf } from '../../engine/storage/locations.ts'
import type { Storage } from '../../engine/storage/storage.ts'
import { shortId } from '../../lib/id.ts'
import type { CommandContext } from '../context.ts'
import type { RepositorySession } from '../repository-session.ts'

const DAY_MS = 24 * 60 * 60 * 1000

/** Looks at a repository as a place for copies. */
export async function lookAtPlace(
  { output }: CommandContext,
  configured: ConfiguredRepository,
  { repository, signal }: RepositorySession,
): Promise<CopyPlace> {
  const { name } = configured
  const { snapshots } = await openForLook({ name, repository, signal }, ({ id, error }) =>
    output.warn(`Warning: snapshot ${shortId(id)} in ${name} is damaged and was passed over: ${error.message}`),
  )
  const { storage } = repository
  const problem = await misplaced(configured, storage, signal)
  return { ...placeOf(configured), immutable: immutableBy(storage), snapshots, problem }
}

/** A place that could not be looked into. */
export const closedPlace = (configured: ConfiguredRepository, error: Error): CopyPlace => ({
  ...placeOf(configured),
  immutable: undefined,
  snapshots: undefined,
  problem: error.message,
})

function placeOf({ name, url, place }: ConfiguredRepository): Pick<CopyPlace, 'repository' | 'medium' | 'offsite'> {
  const kind = storeKindOf(url)
  // A folder here is where the machine is, unless somebody says that its disk is carried away or mounted from afar.
  const offsite = place.offsite ?? (kind === 'local' ? false : undefined)
  return { repository: name, medium: kind === 'local' ? localMedium(url.replace(/^local:/, '')) : kind, offsite }
}

/** Folders of one file system are one medium. */
function localMedium(path: string): string {
  const device = statSync(path, { throwIfNoEntry: false })?.dev
  return device === undefined ? 'local disk' : `local disk ${device}`
}

/** What the store really gives to what is written, not what was wished for. */
function immutableBy({ features }: Storage): string | undefined {
  const written = features.retention?.written
  return written && `${written.mode}, ${Math.floor(written.forMs / DAY_MS)} days`
}

/** Where it lies, when that is not where it may (S3-55). */
async function misplaced(
  { place: { location } }: ConfiguredRepository,
  storage: Storage,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (location === undefined) return undefined
  const told = await askLocation(storage, signal)
  if (told.kind === 'unknown' || isWithin(told.region, location)) return undefined
  return `it lies in ${told.region}, and may lie only in ${location}`
}
