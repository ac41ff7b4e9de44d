import { compareTimes, type Timestamp } from '../../lib/go-time.ts'
import type { StoredSnapshot } from './snapshot.ts'
import { findLatest, type TagList } from './snapshot-filter.ts'

/** What makes snapshots belong together. */
export interface Grouping {
  readonly host: boolean
  readonly paths: boolean
  readonly tags: boolean
}

/** What a group has in common: empty or null what it was not grouped by. Paths and tags are sorted. */
export interface GroupKey {
  readonly hostname: string
  readonly paths: readonly string[] | null
  readonly tags: readonly string[] | null
}

export interface SnapshotGroup {
  readonly key: GroupKey
  /** In the order they were given. Their paths, and tags when grouped by them, are sorted, as restic shows them. */
  readonly snapshots: readonly StoredSnapshot[]
}

/** Divides snapshots into groups, sorted by host, paths and tags. Without any criterion all are one group. */
export function groupSnapshots(snapshots: readonly StoredSnapshot[], by: Grouping): SnapshotGroup[] {
  const groups = new Map<string, { readonly key: GroupKey; readonly snapshots: StoredSnapshot[] }>()
  for (const snapshot of snapshots) {
    const paths = sortTexts(snapshot.paths)
    const tags = by.tags ? sortTexts(snapshot.tags) : snapshot.tags
    const key: GroupKey = {
      hostname: by.host ? snapshot.hostname : '',
      paths: by.paths ? paths : null,
      tags: by.tags && tags.length > 0 ? tags : null,
    }
    const name = JSON.stringify([key.hostname, key.paths, key.tags])
    const group = groups.get(name) ?? { key, snapshots: [] }
    groups.set(name, group)
    group.snapshots.push({ ...snapshot, paths, tags })
  }
  return [...groups].sort(([a], [b]) => compareTexts(a, b)).map(([, group]) => group)
}

/** The newest `count` of a list, newest first; of equal times those that came first in the list. */
export const newestSnapshots = (snapshots: readonly StoredSnapshot[], count: number): StoredSnapshot[] =>
  sortNewestFirst(snapshots).slice(0, count)

/** `--latest count` without groups: the newest `count` of each host and set of paths, newest first. */
export function newestOfEach(snapshots: readonly StoredSnapshot[], count: number): StoredSnapshot[] {
  const seen = new Map<string, number>()
  return sortNewestFirst(snapshots).filter((snapshot) => {
    const key = JSON.stringify([snapshot.hostname, sortTexts(snapshot.paths)])
    const before = seen.get(key) ?? 0
    seen.set(key, before + 1)
    return before < count
  })
}

/** Newest first; snapshots of the same time keep their order. */
export const sortNewestFirst = (snapshots: readonly StoredSnapshot[]): StoredSnapshot[] =>
  snapshots.toSorted((a, b) => compareTimes(b.time, a.time))

/** What a backup knows of itself when it looks for its parent. */
export interface ParentCriteria {
  readonly groupBy: Grouping
  readonly host: string
  readonly paths: readonly string[]
  readonly tags: TagList
  /** The time of the new snapshot: newer ones are no parents. */
  readonly time: Timestamp
}

/** The newest snapshot of the same group, which a backup compares with: it has at least the paths and tags of the new one. */
export const findParent = (
  snapshots: readonly StoredSnapshot[],
  { groupBy, host, paths, tags, time }: ParentCriteria,
): StoredSnapshot | undefined =>
  findLatest(
    snapshots,
    {
      hosts: groupBy.host ? [host] : [],
      paths: groupBy.paths ? paths : [],
      tags: groupBy.tags ? [tags.filter((tag) => tag !== '')] : [],
    },
    time,
  )

/** `host web1, path [/etc /home], tags [db]`: a group in messages. */
export const describeGroup = ({ hostname, paths, tags }: GroupKey): string =>
  [
    hostname !== '' && `host ${hostname}`,
    paths !== null && paths.length > 0 && `path [${paths.join(' ')}]`,
    tags !== null && tags.length > 0 && `tags [${tags.join(' ')}]`,
  ]
    .filter((part) => part !== false)
    .join(', ')

const sortTexts = (texts: readonly string[]): readonly string[] => texts.toSorted(compareTexts)

/** Order of UTF-8 bytes, as Go sorts. */
const compareTexts = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))
