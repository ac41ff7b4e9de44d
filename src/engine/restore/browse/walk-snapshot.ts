import { HoldfastError } from '../../../lib/errors.ts'
import type { Id } from '../../../lib/id.ts'
import type { Repository } from '../../repository/repository.ts'
import type { ByteString, Node } from '../../repository/tree/node.ts'
import { throwIfInterrupted } from '../../storage/interruption.ts'
import { TreePrefetcher } from '../tree-prefetcher.ts'

/** Somewhere in a snapshot. */
export interface FoundNode {
  /** Beginning with `/`. Names are as stored: whoever makes file names of them checks them first. */
  readonly path: ByteString
  readonly node: Node
  /** The tree it is listed in. */
  readonly parentTree: Id
}

export interface SnapshotVisitor {
  /** Called for every entry, a directory before what is in it. A directory is entered when the answer is true. */
  onNode(found: FoundNode): boolean
  /** Whether a directory will not be entered in any case, so that it need not be fetched ahead. */
  isBarren?(path: ByteString, tree: Id): boolean
  /** Called when everything in an entered directory has been visited. */
  onLeave?(path: ByteString, tree: Id): void
  /** A directory that cannot be read. Without this the walk ends with the error. */
  onUnreadable?(path: ByteString, tree: Id, error: Error): void
}

interface Level {
  readonly path: ByteString
  readonly tree: Id
  readonly nodes: readonly Node[]
  next: number
}

/**
 * Visits the entries of a tree in its own order, depth first.
 * @throws HoldfastError when a directory cannot be read and the visitor does not take that, HF_INTERRUPTED
 */
export async function walkSnapshot(
  repository: Repository,
  root: Id,
  visitor: SnapshotVisitor,
  signal?: AbortSignal,
): Promise<void> {
  using trees = new TreePrefetcher(repository, signal)
  const levels: Level[] = []
  const enter = async (path: ByteString, tree: Id): Promise<void> => {
    const nodes = await nodesOf(trees, path, tree, visitor, signal)
    if (nodes === undefined) return
    for (const { name, subtree } of nodes)
      if (subtree !== undefined && !visitor.isBarren?.(pathBelow(path, name), subtree)) trees.announce(subtree)
    levels.push({ path, tree, nodes, next: 0 })
  }
  await enter('/', root)
  for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
    const node = level.nodes[level.next++]
    if (node === undefined) {
      levels.pop()
      visitor.onLeave?.(level.path, level.tree)
      continue
    }
    const path = pathBelow(level.path, node.name)
    if (!visitor.onNode({ path, node, parentTree: level.tree }) || node.type !== 'dir') continue
    throwIfInterrupted(signal)
    if (node.subtree !== undefined) await enter(path, node.subtree)
    else
      report(
        visitor,
        path,
        level.tree,
        new HoldfastError('HF_TREE_INVALID', 'a directory has no list of what is in it'),
      )
  }
}

const pathBelow = (path: ByteString, name: ByteString): ByteString => (path === '/' ? `/${name}` : `${path}/${name}`)

async function nodesOf(
  trees: TreePrefetcher,
  path: ByteString,
  tree: Id,
  visitor: SnapshotVisitor,
  signal: AbortSignal | undefined,
): Promise<readonly Node[] | undefined> {
  try {
    return (trees.loadAtHand(tree) ?? (await trees.load(tree))).nodes
  } catch (error) {
    throwIfInterrupted(signal)
    report(visitor, path, tree, error as Error)
    return undefined
  }
}

function report(visitor: SnapshotVisitor, path: ByteString, tree: Id, error: Error): void {
  if (visitor.onUnreadable === undefined) throw error
  visitor.onUnreadable(path, tree, error)
}
