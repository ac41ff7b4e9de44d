import type { Repository } from '../engine/repository/repository.ts'
import type { StoredSnapshot } from '../engine/repository/snapshot.ts'
import { loadSnapshots, type UnreadableSnapshot } from '../engine/repository/snapshots.ts'

/** A repository that a run writes: its index is loaded, and an append lock is held. */
export interface RunRepository {
  readonly name: string
  readonly repository: Repository
  /** As they were when the run began. */
  readonly snapshots: readonly StoredSnapshot[]
  /** Aborted when the lock is lost, with the reason. */
  readonly signal?: AbortSignal | undefined
}

type OpenRepository = Omit<RunRepository, 'snapshots'>

/** Loads what a run has to know of a repository that is open and locked. @throws HoldfastError storage errors, damage of the index */
export async function openForRun(
  opened: OpenRepository,
  onUnreadable: (snapshot: UnreadableSnapshot) => void,
): Promise<RunRepository> {
  const withSnapshots = await openForLook(opened, onUnreadable)
  await opened.repository.loadIndex(opened.signal)
  return withSnapshots
}

/** The same without the index, which has to be loaded before anything is read or written. */
export async function openForLook(
  { name, repository, signal }: OpenRepository,
  onUnreadable: (snapshot: UnreadableSnapshot) => void,
): Promise<RunRepository> {
  return { name, repository, snapshots: await loadSnapshots(repository, { onUnreadable, signal }), signal }
}

/**
 * The order in which a run writes repositories: what lies on this machine first, since the others are fed from the one that is written first.
 */
export const inWritingOrder = (repositories: readonly RunRepository[]): readonly RunRepository[] => {
  const isHere = ({ repository }: RunRepository): boolean => repository.storage.properties.directory !== undefined
  return [...repositories.filter(isHere), ...repositories.filter((one) => !isHere(one))]
}

/** Repositories that cut content alike, and so can be fed from one reading; in order. */
export const byCutting = (repositories: readonly RunRepository[]): readonly (readonly RunRepository[])[] => [
  ...Map.groupBy(repositories, ({ repository }) => repository.config.chunkerPolynomial).values(),
]
