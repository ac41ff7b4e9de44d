import { isHoldfastError } from '../../../lib/errors.ts'
import type { Id } from '../../../lib/id.ts'
import type { Repository } from '../repository.ts'
import { TreeLoader } from '../tree-loader.ts'

/**
 * Adds to `shared` the trees that `root` and `settledRoot` have in the same places. What differs is walked side by side; what they share is not
 * read at all.
 * @throws HoldfastError errors of reading trees
 */
export async function sharedTrees(
  repository: Repository,
  root: Id,
  settledRoot: Id,
  shared: Set<Id>,
  signal?: AbortSignal,
): Promise<void> {
  const loader = new TreeLoader(repository)
  const load = async (id: Id) => loader.loadAtHand(id) ?? (await loader.load(id, signal))
  const pairs: (readonly [Id, Id])[] = [[root, settledRoot]]
  try {
    for (let pair = pairs.pop(); pair !== undefined; pair = pairs.pop()) {
      signal?.throwIfAborted()
      const [id, settledId] = pair
      if (id === settledId) {
        shared.add(id)
        continue
      }
      // What the settled snapshot consists of need not be whole here; then there is nothing to leave out.
      const settledTree = await load(settledId).catch((error: unknown) => {
        if (isHoldfastError(error, 'HF_INTERRUPTED')) throw error
      })
      if (settledTree === undefined) continue
      const settled = new Map(settledTree.nodes.map(({ name, subtree }) => [name, subtree]))
      for (const { name, subtree } of (await load(id)).nodes) {
        const other = settled.get(name)
        if (subtree !== undefined && other !== undefined) pairs.push([subtree, other])
      }
    }
  } finally {
    loader.close()
  }
}
