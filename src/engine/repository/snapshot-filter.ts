import { HoldfastError } from '../../lib/errors.ts'
import { compareTimes, type Timestamp } from '../../lib/go-time.ts'
import { type Id, isId } from '../../lib/id.ts'
import type { StoredSnapshot } from './snapshot.ts'

/** Tags that must all be there; an empty tag stands for a snapshot without tags. */
export type TagList = readonly string[]

/** Which snapshots are meant. Each empty list matches all. */
export interface SnapshotFilter {
  /** One of these hosts. */
  readonly hosts: readonly string[]
  /** All tags of at least one of these lists. */
  readonly tags: readonly TagList[]
  /** All of these paths, absolute and clean as snapshots hold them; more paths in the snapshot do not matter. */
  readonly paths: readonly string[]
}

export const everySnapshot: SnapshotFilter = { hosts: [], tags: [], paths: [] }

export const isEveryFilter = ({ hosts, tags, paths }: SnapshotFilter): boolean =>
  hosts.length + tags.length + paths.length === 0

export const matchesFilter = (snapshot: StoredSnapshot, { hosts, tags, paths }: SnapshotFilter): boolean =>
  (hosts.length === 0 || hosts.includes(snapshot.hostname)) &&
  (tags.length === 0 || tags.some((list) => hasTags(snapshot, list))) &&
  paths.every((path) => snapshot.paths.includes(path))

/** Whether a snapshot has all tags of a list. An empty tag is one that a snapshot without tags has, whatever follows it. */
export function hasTags(snapshot: StoredSnapshot, list: TagList): boolean {
  for (const tag of list) {
    if (tag === '' && snapshot.tags.length === 0) return true
    if (!snapshot.tags.includes(tag)) return false
  }
  return true
}

/** The newest snapshot that matches, not newer than `limit`; of several of the same time the last in the list. */
export function findLatest(
  snapshots: readonly StoredSnapshot[],
  filter: SnapshotFilter,
  limit?: Timestamp,
): StoredSnapshot | undefined {
  let latest: StoredSnapshot | undefined
  for (const snapshot of snapshots) {
    if (limit !== undefined && compareTimes(snapshot.time, limit) > 0) continue
    if (latest !== undefined && compareTimes(snapshot.time, latest.time) < 0) continue
    if (matchesFilter(snapshot, filter)) latest = snapshot
  }
  return latest
}

/** A snapshot and a folder in it as the command line names them: `79766175:home/user`. */
export interface SnapshotReference {
  /** `latest`, an id or the beginning of one. */
  readonly name: string
  /** Empty for the whole snapshot. */
  readonly subfolder: string
}

export function parseSnapshotReference(text: string): SnapshotReference {
  const cut = text.indexOf(':')
  return cut < 0 ? { name: text, subfolder: '' } : { name: text.slice(0, cut), subfolder: text.slice(cut + 1) }
}

/**
 * The one id that begins with `prefix`.
 * @throws HoldfastError HF_SNAPSHOT_NOT_FOUND, HF_SNAPSHOT_AMBIGUOUS; an empty prefix is not found, so that an unset variable in a script
 * never names the only snapshot there is
 */
export function resolveSnapshotId(ids: Iterable<Id>, prefix: string): Id {
  const matches: Id[] = []
  if (prefix !== '') for (const id of ids) if (id.startsWith(prefix)) matches.push(id)
  const [match] = matches
  if (match === undefined)
    throw new HoldfastError('HF_SNAPSHOT_NOT_FOUND', `no snapshot has the id ${JSON.stringify(prefix)}`, {
      hint: isId(prefix) ? 'It may have been forgotten. "snapshots" lists all.' : '"snapshots" lists all.',
      context: { prefix },
    })
  if (matches.length > 1)
    throw new HoldfastError(
      'HF_SNAPSHOT_AMBIGUOUS',
      `${matches.length} snapshots have ids that begin with ${JSON.stringify(prefix)}`,
      {
        hint: `Give more digits: ${matches
          .slice(0, 4)
          .map((id) => id.slice(0, prefix.length + 4))
          .join(', ')}.`,
        context: { prefix },
      },
    )
  return match
}

/**
 * The snapshot `reference` names, `latest` being the newest that matches `filter`, and the folder in it.
 * @throws HoldfastError HF_SNAPSHOT_NOT_FOUND, HF_SNAPSHOT_AMBIGUOUS
 */
export function resolveSnapshot(
  snapshots: readonly StoredSnapshot[],
  reference: string,
  filter: SnapshotFilter = everySnapshot,
): { readonly snapshot: StoredSnapshot; readonly subfolder: string } {
  const { name, subfolder } = parseSnapshotReference(reference)
  if (name === 'latest') return { snapshot: requireLatest(snapshots, filter), subfolder }
  const id = resolveSnapshotId(
    snapshots.map((snapshot) => snapshot.id),
    name,
  )
  return { snapshot: snapshots.find((snapshot) => snapshot.id === id)!, subfolder }
}

function requireLatest(snapshots: readonly StoredSnapshot[], filter: SnapshotFilter): StoredSnapshot {
  const latest = findLatest(snapshots, filter)
  if (latest !== undefined) return latest
  if (isEveryFilter(filter)) throw new HoldfastError('HF_SNAPSHOT_NOT_FOUND', 'the repository has no snapshot')
  throw new HoldfastError('HF_SNAPSHOT_NOT_FOUND', `no snapshot matches ${describeFilter(filter)}`, {
    hint: '"snapshots" without options lists all.',
  })
}

const describeFilter = ({ hosts, tags, paths }: SnapshotFilter): string =>
  [
    hosts.length > 0 && `host ${hosts.join(' or ')}`,
    tags.length > 0 && `tags ${tags.map((list) => list.join(',')).join(' or ')}`,
    paths.length > 0 && `paths ${paths.join(' and ')}`,
  ]
    .filter((part) => part !== false)
    .join(', ')

/** What a command that takes several snapshots works on. */
export interface SnapshotSelection {
  readonly snapshots: readonly StoredSnapshot[]
  /** References that led nowhere, and a filter given in vain beside ids. Commands that remove must stop; those that list may go on. */
  readonly problems: readonly HoldfastError[]
}

/**
 * The snapshots `references` name, each once, or all that match `filter` when there are none. `latest` obeys the filter, ids do not.
 * A folder in a reference is a problem: commands that take several snapshots take them whole.
 */
export function selectSnapshots(
  snapshots: readonly StoredSnapshot[],
  references: readonly string[],
  filter: SnapshotFilter = everySnapshot,
): SnapshotSelection {
  if (references.length === 0)
    return { snapshots: snapshots.filter((snapshot) => matchesFilter(snapshot, filter)), problems: [] }
  const selected = new Set<StoredSnapshot>()
  const problems: HoldfastError[] = []
  for (const reference of references) {
    try {
      const { snapshot, subfolder } = resolveSnapshot(snapshots, reference, filter)
      if (subfolder === '') selected.add(snapshot)
      else problems.push(new HoldfastError('HF_USAGE', `a folder is not possible here: ${JSON.stringify(reference)}`))
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error
      problems.push(error)
    }
  }
  if (!isEveryFilter(filter) && !references.includes('latest'))
    problems.push(
      new HoldfastError('HF_USAGE', 'filters by host, tag or path have no effect beside snapshot ids', {
        hint: 'Give either ids or filters.',
      }),
    )
  return { snapshots: [...selected], problems }
}
