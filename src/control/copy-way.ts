import type { SnapshotCopyOptions } from '../engine/repository/copy/snapshot-copier.ts'
import type { Id } from '../lib/id.ts'
import { isBackupOf } from './missed-snapshots.ts'
import type { RunRepository } from './run-repository.ts'

/** Snapshots of a source on their way from one repository to another. */
export interface CopyWay {
  readonly from: RunRepository
  readonly to: RunRepository
  readonly source: string
}

/** Names as the parent of a copy the copy of its parent, also when that comes on the way. */
export function parentFinder({ from, to }: CopyWay): Required<Pick<SnapshotCopyOptions, 'parentOf' | 'observer'>> {
  const here = new Map<Id, Id>()
  for (const { original, id } of to.snapshots) here.set(original ?? id, id)
  const origins = new Map(from.snapshots.map(({ id, original }) => [id, original ?? id]))
  return {
    parentOf: ({ parent }) => (parent === undefined ? undefined : here.get(origins.get(parent) ?? parent)),
    observer: { onSaved: ({ copy }) => here.set(copy.original!, copy.id) },
  }
}

/** The tree of the newest snapshot of the source there whose trees can be read here: a new one has most in common with it. */
export const settledRootOf = ({ from, to, source }: CopyWay): Id | undefined =>
  to.snapshots.findLast(
    (one) => isBackupOf(one, source) && one.tree !== undefined && from.repository.index.has('tree', one.tree),
  )?.tree
