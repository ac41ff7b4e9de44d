import { utf8 } from '../../lib/bytes.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { goJson } from '../../lib/go-json.ts'
import { formatTime, type Timestamp } from '../../lib/go-time.ts'
import { type Id, shortId } from '../../lib/id.ts'
import { JsonFields } from './json-fields.ts'

/** What a backup run did, in numbers; absent before restic 0.17. */
export interface SnapshotSummary {
  readonly backupStart: Timestamp
  readonly backupEnd: Timestamp
  readonly filesNew: number
  readonly filesChanged: number
  readonly filesUnmodified: number
  readonly dirsNew: number
  readonly dirsChanged: number
  readonly dirsUnmodified: number
  readonly dataBlobs: number
  readonly treeBlobs: number
  /** Plaintext of new blobs. */
  readonly dataAddedBytes: number
  /** What new blobs take in packs: sealed, with their header entries. */
  readonly dataAddedPackedBytes: number
  readonly totalFilesProcessed: number
  readonly totalBytesProcessed: number
}

/** The content of a snapshot file. Empty text, 0 and empty lists are left out when stored; `parent` and `original` when undefined. */
export interface Snapshot {
  /** In the zone of the machine that made it, which retention counts in. */
  readonly time: Timestamp
  readonly parent: Id | undefined
  /** undefined only in a file that lost it. */
  readonly tree: Id | undefined
  /** What was backed up, absolute. */
  readonly paths: readonly string[]
  readonly hostname: string
  readonly username: string
  readonly uid: number
  readonly gid: number
  readonly excludes: readonly string[]
  readonly tags: readonly string[]
  /** The snapshot this one is a changed copy of. */
  readonly original: Id | undefined
  readonly programVersion: string
  readonly summary: SnapshotSummary | undefined
}

/** A snapshot in a repository. */
export interface StoredSnapshot extends Snapshot {
  readonly id: Id
}

/** The tree of a snapshot; HF_DATA_DAMAGED when it has lost it. */
export function rootOf({ tree, id }: StoredSnapshot): Id {
  if (tree !== undefined) return tree
  throw new HoldfastError('HF_DATA_DAMAGED', `snapshot ${shortId(id)} has no tree`, {
    hint: 'remove it: "holdfast forget" with its id',
    context: { id },
  })
}

/** The bytes of a snapshot file before compression and sealing, as restic writes them. */
export const encodeSnapshot = (snapshot: Snapshot): Uint8Array => utf8(goJson(snapshotJson(snapshot)))

/** The fields of a snapshot under restic's names and in restic's order, empty ones undefined: for storing and for `--json` output. */
export function snapshotJson(snapshot: Snapshot): Readonly<Record<string, unknown>> {
  const { summary } = snapshot
  return {
    time: formatTime(snapshot.time),
    parent: snapshot.parent,
    tree: snapshot.tree ?? null,
    paths: snapshot.paths,
    hostname: snapshot.hostname || undefined,
    username: snapshot.username || undefined,
    uid: snapshot.uid || undefined,
    gid: snapshot.gid || undefined,
    excludes: unlessEmpty(snapshot.excludes),
    tags: unlessEmpty(snapshot.tags),
    original: snapshot.original,
    program_version: snapshot.programVersion || undefined,
    summary: summary && summaryJson(summary),
  }
}

/** The same with `id` and `short_id`, as `snapshots --json` and `forget --json` list snapshots. */
export const storedSnapshotJson = (snapshot: StoredSnapshot): Readonly<Record<string, unknown>> => ({
  ...snapshotJson(snapshot),
  id: snapshot.id,
  short_id: shortId(snapshot.id),
})

/** The numbers of a summary under restic's names and in restic's order. */
export const summaryJson = (summary: SnapshotSummary): Readonly<Record<string, unknown>> => ({
  backup_start: formatTime(summary.backupStart),
  backup_end: formatTime(summary.backupEnd),
  files_new: summary.filesNew,
  files_changed: summary.filesChanged,
  files_unmodified: summary.filesUnmodified,
  dirs_new: summary.dirsNew,
  dirs_changed: summary.dirsChanged,
  dirs_unmodified: summary.dirsUnmodified,
  data_blobs: summary.dataBlobs,
  tree_blobs: summary.treeBlobs,
  data_added: summary.dataAddedBytes,
  data_added_packed: summary.dataAddedPackedBytes,
  total_files_processed: summary.totalFilesProcessed,
  total_bytes_processed: summary.totalBytesProcessed,
})

const unlessEmpty = (list: readonly string[]): readonly string[] | undefined => (list.length === 0 ? undefined : list)

/**
 * Reads a snapshot file. Unknown fields are ignored, as restic does, and are gone when the snapshot is written again.
 * @throws HoldfastError HF_DATA_DAMAGED when it is no JSON object or a known field has a wrong type
 */
export function decodeSnapshot(json: Uint8Array, id: Id): StoredSnapshot {
  const fields = JsonFields.parse(json, `snapshot ${shortId(id)}`)
  return {
    time: fields.time('time'),
    parent: fields.id('parent'),
    tree: fields.id('tree'),
    paths: fields.texts('paths'),
    hostname: fields.text('hostname'),
    username: fields.text('username'),
    uid: fields.count('uid'),
    gid: fields.count('gid'),
    excludes: fields.texts('excludes'),
    tags: fields.texts('tags'),
    original: fields.id('original'),
    programVersion: fields.text('program_version'),
    summary: fields.has('summary') ? decodeSummary(fields.object('summary')) : undefined,
    id,
  }
}

const decodeSummary = (fields: JsonFields): SnapshotSummary => ({
  backupStart: fields.time('backup_start'),
  backupEnd: fields.time('backup_end'),
  filesNew: fields.count('files_new'),
  filesChanged: fields.count('files_changed'),
  filesUnmodified: fields.count('files_unmodified'),
  dirsNew: fields.count('dirs_new'),
  dirsChanged: fields.count('dirs_changed'),
  dirsUnmodified: fields.count('dirs_unmodified'),
  dataBlobs: fields.count('data_blobs'),
  treeBlobs: fields.count('tree_blobs'),
  dataAddedBytes: fields.count('data_added'),
  dataAddedPackedBytes: fields.count('data_added_packed'),
  totalFilesProcessed: fields.count('total_files_processed'),
  totalBytesProcessed: fields.count('total_bytes_processed'),
})

/** `tags` with those of `added` that are not among them yet at the end. */
export const addTags = (tags: readonly string[], added: readonly string[]): readonly string[] => [
  ...new Set([...tags, ...added]),
]

/** `tags` without those of `removed`. */
export const removeTags = (tags: readonly string[], removed: readonly string[]): readonly string[] =>
  tags.filter((tag) => !removed.includes(tag))
