import type { Repository } from '../../engine/repository/repository.ts'
import type { ByteString, Node } from '../../engine/repository/tree/node.ts'
import { TreeLoader } from '../../engine/repository/tree-loader.ts'
import { throwIfInterrupted } from '../../engine/storage/interruption.ts'
import type { Id } from '../../lib/id.ts'

export interface SnapshotWalkOptions {
  /** A folder whose list cannot be had; the walk goes on without it. */
  readonly onUnreadable: (path: ByteString, error: Error) => void
  readonly signal?: AbortSignal | undefined
}

/** Every entry of a tree with its path, folders before what is in them. Only the lists of the folders it is in are held. */
export async function* walkSnapshot(
  repository: Repository,
  root: Id,
  { onUnreadable, signal }: SnapshotWalkOptions,
): AsyncGenerator<{ readonly path: ByteString; readonly node: Node }> {
  const loader = new TreeLoader(repository)
  const levels: { readonly path: ByteString; readonly nodes: readonly Node[]; next: number }[] = []
  const enter = async (path: ByteString, tree: Id): Promise<void> => {
    throwIfInterrupted(signal)
    try {
      const { nodes } = loader.loadAtHand(tree) ?? (await loader.load(tree, signal))
      levels.push({ path, nodes, next: 0 })
    } catch (error) {
      throwIfInterrupted(signal)
      onUnreadable(path === '' ? '/' : path, error as Error)
    }
  }
  try {
    await enter('', root)
    for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
      const node = level.nodes[level.next++]
      if (node === undefined) {
        levels.pop()
        continue
      }
      const path = `${level.path}/${node.name}`
      yield { path, node }
      if (node.type === 'dir' && node.subtree !== undefined) await enter(path, node.subtree)
    }
  } finally {
    loader.close()
  }
}
