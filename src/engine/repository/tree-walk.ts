import { setImmediate } from 'node:timers/promises'
import { monotonicMilliseconds } from '../../lib/clock.ts'
import { HoldfastError } from '../../lib/errors.ts'
import type { Id } from '../../lib/id.ts'
import { forEachParallel } from '../../lib/parallel.ts'
import { throwIfInterrupted } from '../storage/interruption.ts'
import type { Repository } from './repository.ts'
import type { Tree } from './tree/decode-tree.ts'
import { TreeLoader } from './tree-loader.ts'

export interface TreeWalkOptions {
  /** Called once for each tree reachable from the roots, in no particular order. */
  readonly onTree: (id: Id, tree: Tree) => void
  /** A tree that cannot be loaded. Without it the walk ends with that error. */
  readonly onError?: (id: Id, error: Error) => void
  /** Trees that are left out, with what lies below them, because of walks before this one; those visited now are added. */
  readonly seen?: Set<Id>
  readonly signal?: AbortSignal | undefined
}

/** How many trees of a remote repository are under way at a time, for each connection it makes sense to open. */
const LOADS_PER_CONNECTION = 2

/** After so long a stretch without waiting, everything else of the process gets its turn: signals, timers, messages of threads. */
const TURN_MS = 40

/** Visits every tree reachable from `roots`, each once however many snapshots share it. */
export async function walkTrees(repository: Repository, roots: Iterable<Id>, options: TreeWalkOptions): Promise<void> {
  const { onTree, onError, seen = new Set<Id>(), signal } = options
  const waiting: Id[] = []
  const discover = (id: Id): void => {
    if (seen.has(id)) return
    seen.add(id)
    waiting.push(id)
  }
  const visit = (id: Id, tree: Tree): void => {
    onTree(id, tree)
    for (const node of tree.nodes) if (node.type === 'dir' && node.subtree !== undefined) discover(node.subtree)
  }
  for (const root of roots) discover(root)
  const loader = new TreeLoader(repository)
  let turnStart = monotonicMilliseconds()
  try {
    while (waiting.length > 0) {
      const remote: Id[] = []
      // What lies on this machine is read at once, depth first, so that neighbours in a pack are read together.
      for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
        if (monotonicMilliseconds() - turnStart > TURN_MS) {
          await setImmediate()
          turnStart = monotonicMilliseconds()
        }
        throwIfInterrupted(signal)
        const tree = loader.loadAtHand(id)
        if (tree) visit(id, tree)
        else remote.push(id)
      }
      await forEachParallel(remote, repository.storage.properties.connections * LOADS_PER_CONNECTION, async (id) => {
        try {
          visit(id, await loader.load(id, signal))
        } catch (error) {
          if (!onError || !(error instanceof HoldfastError) || error.code === 'HF_INTERRUPTED') throw error
          onError(id, error)
        }
      })
    }
  } finally {
    loader.close()
  }
}
