import type { Id } from '../../../lib/id.ts'
import type { Repository } from '../../repository/repository.ts'
import type { StoredSnapshot } from '../../repository/snapshot.ts'
import type { ByteString } from '../../repository/tree/node.ts'
import type { FindPattern } from '../find-pattern.ts'
import { type FoundNode, walkSnapshot } from './walk-snapshot.ts'

export interface FindObserver {
  /** In the order of the snapshots, and within each in the order of its entries. */
  onFound(snapshot: StoredSnapshot, found: FoundNode): void
  /** A directory that cannot be searched. */
  onUnreadable(snapshot: StoredSnapshot, tree: Id, error: Error): void
}

/**
 * Looks for entries in all `snapshots`. A directory without any is searched once, however many snapshots hold it unchanged in the same
 * place.
 */
export async function findFiles(
  repository: Repository,
  snapshots: readonly StoredSnapshot[],
  pattern: FindPattern,
  observer: FindObserver,
  signal?: AbortSignal,
): Promise<void> {
  const barren = new BarrenTrees()
  for (const snapshot of snapshots) {
    if (snapshot.tree === undefined) continue
    let found = 0
    const foundBefore: number[] = [0]
    await walkSnapshot(
      repository,
      snapshot.tree,
      {
        onNode: (entry) => {
          const { node, path } = entry
          const isDirectory = node.type === 'dir'
          const match = pattern(path, isDirectory, node.mtime)
          if (match.found) {
            found++
            observer.onFound(snapshot, entry)
          }
          if (!match.descend || (node.subtree !== undefined && barren.has(path, node.subtree))) return false
          foundBefore.push(found)
          return true
        },
        isBarren: (path, tree) => barren.has(path, tree),
        onLeave: (path, tree) => {
          if (foundBefore.pop() === found) barren.add(path, tree)
        },
        onUnreadable: (_, tree, error) => {
          // Counts as something found: it is told again for the next snapshot.
          foundBefore.pop()
          found++
          observer.onUnreadable(snapshot, tree, error)
        },
      },
      signal,
    )
  }
}

/** Trees in which nothing is found, at the place where they were searched: patterns look at whole paths. */
class BarrenTrees {
  readonly #trees = new Map<Id, Set<ByteString>>()

  has(path: ByteString, tree: Id): boolean {
    return this.#trees.get(tree)?.has(path) ?? false
  }

  add(path: ByteString, tree: Id): void {
    const paths = this.#trees.get(tree)
    if (paths === undefined) this.#trees.set(tree, new Set([path]))
    else paths.add(path)
  }
}
