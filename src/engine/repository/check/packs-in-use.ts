import type { Id } from '../../../lib/id.ts'
import type { Repository } from '../repository.ts'

/** The packs that hold something snapshots need, as `checkTrees` marks them by number. */
export function packsInUse({ index }: Repository, marks: Uint8Array): ReadonlySet<Id> {
  const ids = new Set<Id>()
  for (let number = 0; number < marks.length; number++) if (marks[number] === 1) ids.add(index.packId(number))
  return ids
}
