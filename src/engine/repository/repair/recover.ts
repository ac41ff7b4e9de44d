import { HoldfastError } from '../../../lib/errors.ts'
import type { Timestamp } from '../../../lib/go-time.ts'
import { type Id, shortId } from '../../../lib/id.ts'
import type { Progress } from '../../../lib/progress.ts'
import { throwIfInterrupted } from '../../storage/interruption.ts'
import type { BlobTable } from '../index/blob-table.ts'
import type { Repository } from '../repository.ts'
import type { StoredSnapshot } from '../snapshot.ts'
import { loadSnapshots, saveSnapshot } from '../snapshots.ts'
import { encodeTree, sortNodes } from '../tree/encode-tree.ts'
import { goMode } from '../tree/mode.ts'
import { createNode, type Node } from '../tree/node.ts'
import { TreeLoader } from '../tree-loader.ts'
import { BlobWriter } from '../write/blob-writer.ts'
import { repairIndex } from './repair-index.ts'

export interface RecoverOptions {
  /** What the new snapshot says about itself. */
  readonly labels: {
    readonly time: Timestamp
    readonly host: string
    readonly username: string
    readonly uid: number
    readonly gid: number
    readonly programVersion: string
  }
  readonly progress: Progress
  readonly signal?: AbortSignal | undefined
}

export interface RecoverResult {
  /** Directories that belong to no snapshot and lie in no other directory. */
  readonly roots: readonly Id[]
  /** The snapshot with all of them; undefined when there are none. */
  readonly snapshot: StoredSnapshot | undefined
}

/**
 * Makes one snapshot, with path `/recover` and tag `recovered`, of all directories no snapshot refers to, each under the beginning of its
 * id: what forgotten or lost snapshots had, as long as nobody has pruned. Repairs the index first, so that packs of an interrupted run
 * count as well.
 *
 * Wants the exclusive lock.
 */
export async function recover(repository: Repository, options: RecoverOptions): Promise<RecoverResult> {
  const { labels, progress, signal } = options
  // As everywhere, snapshots before the index.
  const snapshots = await loadSnapshots(repository, {
    onUnreadable: ({ id, error }) => progress.warn(`snapshot ${id} cannot be read: ${error.message}`),
    signal,
  })
  progress.note('ensuring index is complete')
  await repairIndex(repository, { progress, signal })
  const roots = await findRoots(repository, snapshots, progress, signal)
  if (roots.length === 0) return { roots, snapshot: undefined }

  const writer = new BlobWriter(repository, signal)
  const { id: tree } = await writer.save('tree', encodeTree(sortNodes(nodesFor(roots, labels.time))))
  await writer.flush()
  const { time, host: hostname, username, uid, gid, programVersion } = labels
  const snapshot = await saveSnapshot(
    repository,
    {
      time,
      parent: undefined,
      tree,
      paths: ['/recover'],
      hostname,
      username,
      uid,
      gid,
      excludes: [],
      tags: ['recovered'],
      original: undefined,
      programVersion,
      summary: undefined,
    },
    signal,
  )
  return { roots, snapshot }
}

async function findRoots(
  repository: Repository,
  snapshots: readonly StoredSnapshot[],
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<readonly Id[]> {
  const table = repository.index.table('tree')
  /** By row: not a root, because something refers to it or it cannot be read. */
  const ruledOut = new Uint8Array(table.count)
  const scratch = Buffer.alloc(32)
  const ruleOut = (id: Id): void => {
    scratch.write(id, 'hex')
    const row = table.find(scratch)
    if (row >= 0) ruledOut[row] = 1
  }
  for (const { tree } of snapshots) if (tree !== undefined) ruleOut(tree)
  progress.note(`load ${table.count} trees`)
  const step = progress.step('trees loaded', table.count)
  const loader = new TreeLoader(repository)
  try {
    for (const row of inPackOrder(table)) {
      throwIfInterrupted(signal)
      const id = table.idHex(row)
      try {
        for (const { type, subtree } of (await loader.load(id, signal)).nodes)
          if (type === 'dir' && subtree !== undefined) ruleOut(subtree)
      } catch (error) {
        if (!(error instanceof HoldfastError) || error.code === 'HF_INTERRUPTED') throw error
        progress.warn(`unable to load tree ${shortId(id)}: ${error.message}`)
        ruledOut[row] = 1
      }
      step.add()
    }
  } finally {
    loader.close()
  }
  step.done()
  const roots: Id[] = []
  for (let row = 0; row < table.count; row++)
    if (ruledOut[row] !== 1 && !table.repeats(row)) roots.push(table.idHex(row))
  return roots
}

/** Rows of the table in the order in which their blobs lie in packs, so that neighbours are read together. Copies are left out. */
function inPackOrder(table: BlobTable): readonly number[] {
  const rows: number[] = []
  for (let row = 0; row < table.count; row++) if (!table.repeats(row)) rows.push(row)
  return rows.sort((a, b) => table.pack(a) - table.pack(b) || table.offset(a) - table.offset(b))
}

/** Entries named by as many digits of the ids as tell them apart, eight or more. */
function nodesFor(roots: readonly Id[], time: Timestamp): Node[] {
  let digits = 8
  while (new Set(roots.map((id) => id.slice(0, digits))).size < roots.length) digits++
  return roots.map((id) =>
    createNode({
      name: id.slice(0, digits),
      type: 'dir',
      mode: goMode.directory + 0o755,
      mtime: time,
      atime: time,
      ctime: time,
      subtree: id,
    }),
  )
}
