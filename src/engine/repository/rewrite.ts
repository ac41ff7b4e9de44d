import { HoldfastError } from '../../lib/errors.ts'
import { type Timestamp, zeroTime } from '../../lib/go-time.ts'
import { shortId } from '../../lib/id.ts'
import type { Progress } from '../../lib/progress.ts'
import { removeSnapshot } from './forget.ts'
import type { Repository } from './repository.ts'
import { addTags, rootOf, type Snapshot, type SnapshotSummary, type StoredSnapshot, summaryJson } from './snapshot.ts'
import { saveSnapshot } from './snapshots.ts'
import { byteStringToText } from './tree/node.ts'
import { TreeLoader } from './tree-loader.ts'
import { type RewriteSelector, TreeRewriter } from './tree-rewriter.ts'
import { BlobWriter } from './write/blob-writer.ts'

/** Rewritten snapshots are stored this many at a time: each time also writes a pack and an index file. */
const SNAPSHOTS_AT_ONCE = 20

/** What new snapshots that stand beside their originals are marked with. */
const REWRITE_TAG = 'rewrite'

export interface RewriteOptions {
  /** What stays of each snapshot; everything when absent. */
  readonly selector?: RewriteSelector | undefined
  /**
   * A snapshot of which nothing is left becomes an empty one, as when all of it is excluded. Without this it stays as it is: patterns of what
   * to take may simply be meant for other snapshots.
   */
  readonly mayEmpty?: boolean
  readonly newHost?: string | undefined
  readonly newTime?: Timestamp | undefined
  /** Count files and bytes into the summary even when nothing is selected. */
  readonly summary?: boolean
  /** The new snapshots take the place of the old ones. */
  readonly forget?: boolean
  /** Find out what would change and write nothing. */
  readonly dryRun?: boolean
  readonly progress: Progress
  /** Called for each snapshot when all is done for it. */
  readonly onSnapshot?: (outcome: RewriteOutcome) => void
  readonly signal?: AbortSignal | undefined
}

export interface RewriteOutcome {
  readonly snapshot: StoredSnapshot
  /** What the new snapshot says; undefined when the old one can stay as it is. */
  readonly changed: Snapshot | undefined
  /** The new snapshot as it was stored; undefined in a dry run. */
  readonly saved: StoredSnapshot | undefined
}

/**
 * Makes changed copies of snapshots: without some of their files, with another host or time, with counts of files. Writes trees, index and
 * snapshots in this order and removes old snapshots last: wherever it is cut off, every snapshot is whole, and running it again does the
 * rest.
 *
 * The index must be loaded. Wants an append lock; with `forget` the exclusive one, held since before the snapshots were loaded.
 *
 * @throws HoldfastError HF_TREE_INVALID for a snapshot that cannot be written without losing something, errors of reading and storing; the
 * snapshots before that one are done then
 */
export async function rewriteSnapshots(
  repository: Repository,
  snapshots: readonly StoredSnapshot[],
  options: RewriteOptions,
): Promise<RewriteOutcome[]> {
  const { dryRun = false, progress, signal } = options
  const writer = new BlobWriter(repository, signal)
  const loader = new TreeLoader(repository)
  const rewriter = new TreeRewriter({
    loader,
    selector: options.selector ?? everything,
    mayEmpty: options.mayEmpty ?? options.selector === undefined,
    save: async (id, bytes) => {
      if (!dryRun) await writer.save('tree', bytes, id)
    },
    onRemoved: (path) => progress.note(`excluding ${JSON.stringify(byteStringToText(path))}`, 'detail'),
    signal,
  })
  const outcomes: RewriteOutcome[] = []
  const pending: { readonly snapshot: StoredSnapshot; readonly changed: Snapshot | undefined }[] = []
  const finish = async (): Promise<void> => {
    if (!dryRun) await writer.flush()
    for (const { snapshot, changed } of pending.splice(0)) {
      const saved = changed && !dryRun ? await saveSnapshot(repository, changed, signal) : undefined
      if (saved && options.forget) await removeSnapshot(repository, snapshot.id, signal)
      const outcome = { snapshot, changed, saved }
      outcomes.push(outcome)
      options.onSnapshot?.(outcome)
    }
  }
  const step = progress.step('snapshots', snapshots.length, 'brief')
  try {
    for (const snapshot of snapshots) {
      let changed: Snapshot | undefined
      try {
        changed = await changedSnapshot(snapshot, rewriter, options)
      } catch (error) {
        await finish()
        throw withSubject(snapshot, error)
      }
      pending.push({ snapshot, changed })
      step.add()
      if (pending.length === SNAPSHOTS_AT_ONCE) await finish()
    }
    await finish()
  } finally {
    loader.close()
  }
  step.done()
  return outcomes
}

const everything: RewriteSelector = (_path, isDirectory) => ({ selected: true, descend: isDirectory })

/** The fields of the new snapshot; undefined when they would be those of the old one. */
async function changedSnapshot(
  snapshot: StoredSnapshot,
  rewriter: TreeRewriter,
  { selector, newHost, newTime, summary: wantsSummary = false, forget = false }: RewriteOptions,
): Promise<Snapshot | undefined> {
  const root = rootOf(snapshot)
  let { tree, summary } = snapshot
  if (selector || wantsSummary) {
    const rewritten = await rewriter.rewrite(root)
    if (rewritten === undefined) return undefined
    tree = rewritten.id
    const counts = { totalFilesProcessed: rewritten.files, totalBytesProcessed: rewritten.bytes }
    summary = { ...(snapshot.summary ?? emptySummary), ...counts }
  }
  const isSame = tree === root && isSameSummary(summary, snapshot.summary)
  if (isSame && newHost === undefined && newTime === undefined) return undefined
  const { id, ...fields } = snapshot
  return {
    ...fields,
    tree,
    summary,
    time: newTime ?? snapshot.time,
    hostname: newHost ?? snapshot.hostname,
    tags: forget ? snapshot.tags : addTags(snapshot.tags, [REWRITE_TAG]),
    original: id,
  }
}

const emptySummary: SnapshotSummary = {
  backupStart: zeroTime,
  backupEnd: zeroTime,
  filesNew: 0,
  filesChanged: 0,
  filesUnmodified: 0,
  dirsNew: 0,
  dirsChanged: 0,
  dirsUnmodified: 0,
  dataBlobs: 0,
  treeBlobs: 0,
  dataAddedBytes: 0,
  dataAddedPackedBytes: 0,
  totalFilesProcessed: 0,
  totalBytesProcessed: 0,
}

const isSameSummary = (a: SnapshotSummary | undefined, b: SnapshotSummary | undefined): boolean =>
  a === b || (a !== undefined && b !== undefined && JSON.stringify(summaryJson(a)) === JSON.stringify(summaryJson(b)))

function withSubject({ id }: StoredSnapshot, error: unknown): unknown {
  if (!(error instanceof HoldfastError) || error.code === 'HF_INTERRUPTED') return error
  const { code, message, hint, context } = error
  return new HoldfastError(code, `unable to rewrite snapshot ${shortId(id)}: ${message}`, {
    cause: error,
    context: { ...context, snapshot: id },
    ...(hint === undefined ? {} : { hint }),
  })
}
