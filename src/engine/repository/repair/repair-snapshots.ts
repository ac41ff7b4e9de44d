import type { Id } from '../../../lib/id.ts'
import type { Progress } from '../../../lib/progress.ts'
import { removeSnapshot } from '../forget.ts'
import type { Repository } from '../repository.ts'
import { addTags, type StoredSnapshot } from '../snapshot.ts'
import { saveSnapshot } from '../snapshots.ts'
import { TreeLoader } from '../tree-loader.ts'
import { BlobWriter } from '../write/blob-writer.ts'
import { type TreeChange, TreeRepairer } from './tree-repairer.ts'

/** What new snapshots that stand beside the damaged ones are marked with. */
const REPAIRED_TAG = 'repaired'

export interface RepairSnapshotsOptions {
  readonly snapshots: readonly StoredSnapshot[]
  /** Snapshot files that cannot be read and are to be removed; only with `forget`. */
  readonly unreadable?: readonly Id[]
  /** Remove the damaged snapshots once there are new ones. */
  readonly forget?: boolean
  /** Find out what would change and write nothing. */
  readonly dryRun?: boolean
  readonly progress: Progress
  /** Called for each snapshot when all is done for it. */
  readonly onSnapshot?: (repair: SnapshotRepair) => void
  readonly signal?: AbortSignal | undefined
}

/** What a repair does, or in a dry run would do, about a snapshot. */
export interface SnapshotRepair {
  readonly snapshot: StoredSnapshot
  readonly changes: readonly TreeChange[]
  /** `lost`: nothing of it can be read, so there is nothing to make a new one of; it is removed with `forget`. */
  readonly outcome: 'whole' | 'repaired' | 'lost'
  /** The new snapshot as it was stored; undefined in a dry run. */
  readonly saved: StoredSnapshot | undefined
}

export interface RepairSnapshotsResult {
  readonly repairs: readonly SnapshotRepair[]
  /** Unreadable snapshot files that are gone, or in a dry run would be. */
  readonly removed: readonly Id[]
}

/**
 * Makes new snapshots without what is lost: files lose missing parts, directories that cannot be read become empty. What the index lists
 * counts as there, so damaged packs have to be taken out of it first, by `repairPacks`. New trees are stored before snapshots that need
 * them, and a damaged snapshot is removed only once its successor is stored.
 *
 * restic removes a snapshot whose root cannot be read even without `forget`; here it then stays, as the pack with its root may come back.
 *
 * The index must be loaded. Wants the exclusive lock, except for a dry run.
 *
 * @throws HoldfastError storage errors: what merely cannot be fetched is not taken for lost
 */
export async function repairSnapshots(
  repository: Repository,
  options: RepairSnapshotsOptions,
): Promise<RepairSnapshotsResult> {
  const { snapshots, unreadable = [], forget = false, dryRun = false, progress, signal } = options
  const planned = await repairTrees(repository, options)
  const repairs: SnapshotRepair[] = []
  for (const [i, { tree, changes }] of planned.entries()) {
    const snapshot = snapshots[i]!
    const outcome = tree === undefined ? 'lost' : tree === snapshot.tree ? 'whole' : 'repaired'
    let saved: StoredSnapshot | undefined
    if (outcome === 'repaired' && !dryRun) {
      const { id, ...fields } = snapshot
      const tags = forget ? snapshot.tags : addTags(snapshot.tags, [REPAIRED_TAG])
      saved = await saveSnapshot(repository, { ...fields, tree, tags, original: id }, signal)
    }
    if (outcome !== 'whole' && forget && !dryRun) await removeSnapshot(repository, snapshot.id, signal)
    const repair = { snapshot, changes, outcome, saved } as const
    repairs.push(repair)
    options.onSnapshot?.(repair)
  }
  const removed = forget ? unreadable : []
  for (const id of removed) {
    if (!dryRun) await removeSnapshot(repository, id, signal)
    progress.note(`${dryRun ? 'would remove' : 'removed'} unreadable snapshot ${id}`)
  }
  return { repairs, removed }
}

/** The trees the snapshots should have, all of them stored when it returns, unless it is a dry run. */
async function repairTrees(
  repository: Repository,
  { snapshots, dryRun = false, progress, signal }: RepairSnapshotsOptions,
): Promise<{ readonly tree: Id | undefined; readonly changes: readonly TreeChange[] }[]> {
  const writer = new BlobWriter(repository, signal)
  const loader = new TreeLoader(repository)
  const repairer = new TreeRepairer(
    repository,
    loader,
    async (id, bytes, damaged) => {
      if (!dryRun) await writer.save('tree', bytes, id, { duplicate: damaged })
    },
    signal,
  )
  const step = progress.step('snapshots', snapshots.length, 'brief')
  const repaired: { readonly tree: Id | undefined; readonly changes: readonly TreeChange[] }[] = []
  try {
    for (const { tree } of snapshots) {
      const { id, changes } = await repairer.repairRoot(tree)
      repaired.push({ tree: id, changes })
      step.add()
    }
    await writer.flush()
  } finally {
    loader.close()
  }
  step.done()
  return repaired
}
