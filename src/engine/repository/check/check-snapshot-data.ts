import { HoldfastError } from '../../../lib/errors.ts'
import type { Id } from '../../../lib/id.ts'
import { noProgress, type Progress } from '../../../lib/progress.ts'
import type { Repository } from '../repository.ts'
import type { StoredSnapshot } from '../snapshot.ts'
import { checkIndex } from './check-index.ts'
import { listPacks } from './check-pack-files.ts'
import { checkTrees } from './check-trees.ts'
import { DataCheck } from './data-check.ts'
import type { Finding } from './finding.ts'
import { packsInUse } from './packs-in-use.ts'

export interface SnapshotDataOptions {
  /** Packs that this snapshot needs as well are not read: they were when it was checked. */
  readonly alreadyChecked?: StoredSnapshot | undefined
  readonly progress: Progress
  readonly threads?: number | undefined
  readonly signal?: AbortSignal | undefined
}

export interface SnapshotDataResult {
  /** What is damaged or missing of what the snapshot needs; empty is as it should be. */
  readonly findings: readonly Finding[]
  /** What was read. */
  readonly packs: number
  readonly bytes: number
  /** Packs that were left out as `alreadyChecked`. */
  readonly packsLeftOut: number
  readonly trees: number
}

/**
 * Reads every pack a snapshot needs, whole, and verifies each blob, the packs' names, and that the trees refer to nothing that is not
 * there. Others may add to the repository meanwhile: a shared lock will do. The repository must have been opened without a cache.
 *
 * @throws HoldfastError HF_INDEX_INCOMPLETE when no index can be read, HF_INTERRUPTED, storage errors while listing
 */
export async function checkSnapshotData(
  repository: Repository,
  snapshot: StoredSnapshot,
  { alreadyChecked, progress, threads, signal }: SnapshotDataOptions,
): Promise<SnapshotDataResult> {
  const findings: Finding[] = []
  const report = (finding: Finding): void => {
    if (finding.severity === 'error') findings.push(finding)
  }
  const listings = await checkIndex(repository, report, progress, signal)
  if (listings === undefined)
    throw new HoldfastError('HF_INDEX_INCOMPLETE', 'the index of the repository cannot be read', {
      hint: 'run "holdfast repair index"',
    })
  const trees = await checkTrees(repository, [snapshot], report, progress, signal)
  const present = await listPacks(repository, signal)
  const needed = packsInUse(repository, trees.packsInUse)
  const earlier = await packsOf(repository, alreadyChecked, signal)
  const readable = new Map<Id, number>()
  let packsLeftOut = 0
  for (const id of needed) {
    const size = present.get(id)
    if (size !== undefined && earlier.has(id)) packsLeftOut++
    else if (size !== undefined) readable.set(id, size)
    else
      report({
        kind: 'pack-missing',
        severity: 'error',
        object: { type: 'data', id },
        message: `pack ${id} is missing`,
        details: [],
        hint: 'bring it back from a copy of the repository',
      })
  }
  await using data = new DataCheck(repository, { threads, report, progress, signal })
  data.begin(readable)
  data.useIndex(listings)
  await data.finish()
  let bytes = 0
  for (const size of readable.values()) bytes += size
  return { findings, packs: readable.size, bytes, packsLeftOut, trees: trees.trees }
}

async function packsOf(
  repository: Repository,
  snapshot: StoredSnapshot | undefined,
  signal: AbortSignal | undefined,
): Promise<ReadonlySet<Id>> {
  if (snapshot === undefined) return new Set()
  // What is wrong with it is not what is asked here; what cannot be read of it leads to no pack that is left out.
  const { packsInUse: marks } = await checkTrees(repository, [snapshot], () => undefined, noProgress, signal)
  return packsInUse(repository, marks)
}
