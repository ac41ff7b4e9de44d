import type { Id } from '../../lib/id.ts'
import type { Progress } from '../../lib/progress.ts'
import { type BlobType, blobTypes } from './blob.ts'
import type { BlobTable } from './index/blob-table.ts'
import type { Repository } from './repository.ts'
import { walkTrees } from './tree-walk.ts'

/** The blobs that snapshots need, as marks on the rows of the index. */
export interface UsedBlobs {
  /** One table per type holds the whole index. */
  readonly tables: Readonly<Record<BlobType, BlobTable>>
  /** 1 for the first row of each blob in use; further rows of the same blob (duplicates) are not marked. */
  readonly marks: Readonly<Record<BlobType, Uint8Array>>
  /** Blobs that snapshots need and no index knows. */
  readonly missing: readonly { readonly type: BlobType; readonly id: Id }[]
}

/** Walks all trees below `roots` and marks what they need. Fails on the first tree that cannot be read. */
export async function findUsedBlobs(
  repository: Repository,
  roots: readonly Id[],
  progress: Progress,
  signal?: AbortSignal,
): Promise<UsedBlobs> {
  const tables = { data: repository.index.table('data'), tree: repository.index.table('tree') }
  const marks = { data: new Uint8Array(tables.data.count), tree: new Uint8Array(tables.tree.count) }
  const missing = new Map<string, { type: BlobType; id: Id }>()
  const scratch = Buffer.alloc(32)
  const mark = (type: BlobType, id: Id): void => {
    scratch.write(id, 'hex')
    const row = tables[type].find(scratch)
    if (row >= 0) marks[type][row] = 1
    else missing.set(`${type} ${id}`, { type, id })
  }
  const step = progress.step('trees', undefined)
  for (const root of roots) mark('tree', root)
  await walkTrees(repository, roots, {
    onTree: (_, tree) => {
      step.add()
      for (const node of tree.nodes) {
        if (node.type === 'dir' && node.subtree !== undefined) mark('tree', node.subtree)
        if (node.content) for (const id of node.content) mark('data', id)
      }
    },
    // Trees that no index knows are in `missing` already; any other unreadable tree ends it.
    onError: (id, error) => {
      if (!missing.has(`tree ${id}`)) throw error
    },
    signal,
  })
  step.done()
  return { tables, marks, missing: [...missing.values()] }
}

/** Number of distinct blobs marked. */
export const countUsed = ({ marks }: UsedBlobs): number =>
  blobTypes.reduce((sum, type) => sum + marks[type].reduce((count, mark) => count + mark, 0), 0)
