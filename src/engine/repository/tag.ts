import { isHoldfastError } from '../../lib/errors.ts'
import type { Id } from '../../lib/id.ts'
import type { Progress } from '../../lib/progress.ts'
import { removeSnapshot } from './forget.ts'
import type { Repository } from './repository.ts'
import { divideByRetention, type RetainedSnapshots } from './retention/retained-files.ts'
import { addTags, removeTags, type StoredSnapshot } from './snapshot.ts'
import { saveSnapshot } from './snapshots.ts'

/** What is done to tags: all replaced, or some added and then some removed. */
export type TagChange =
  | { readonly set: readonly string[] }
  | { readonly add: readonly string[]; readonly remove: readonly string[] }

/** A snapshot that took the place of another. */
export interface ReplacedSnapshot {
  readonly old: StoredSnapshot
  readonly replacement: StoredSnapshot
}

export interface TagResult {
  readonly changed: readonly ReplacedSnapshot[]
  /** Snapshots that kept their tags, since the store lets nobody remove the file with the old ones yet. */
  readonly retained: RetainedSnapshots
  /** Snapshots that kept their tags, each warned of; a replacement that was stored already may stand beside its original. */
  readonly failed: readonly { readonly id: Id; readonly error: Error }[]
}

export interface TagOptions {
  readonly progress: Progress
  readonly onChanged?: (change: ReplacedSnapshot) => void
  readonly signal?: AbortSignal | undefined
}

/**
 * Changes the tags of snapshots. A snapshot file never changes, so each gets a new one, which remembers as `original` the first of its
 * line; the old one is removed once the new one is stored. A snapshot whose old file the store retains keeps its tags: both would be
 * there until then. Wants the exclusive lock.
 */
export async function changeTags(
  repository: Repository,
  snapshots: readonly StoredSnapshot[],
  change: TagChange,
  options: TagOptions,
): Promise<TagResult> {
  const { progress, onChanged, signal } = options
  const changed: ReplacedSnapshot[] = []
  const failed: { id: Id; error: Error }[] = []
  const meant = snapshots.filter(({ tags }) => changedTags(tags, change) !== undefined)
  const { free, retained } = await divideByRetention(repository, meant, signal)
  for (const old of free) {
    try {
      const { id, ...fields } = old
      const tags = changedTags(old.tags, change)!
      const replacement = await saveSnapshot(repository, { ...fields, tags, original: old.original ?? id }, signal)
      await removeSnapshot(repository, id, signal)
      const replaced = { old, replacement }
      changed.push(replaced)
      onChanged?.(replaced)
    } catch (error) {
      if (!isHoldfastError(error) || signal?.aborted) throw error
      failed.push({ id: old.id, error })
      progress.warn(`unable to modify the tags for snapshot ID ${JSON.stringify(old.id)}, ignoring: ${error.message}`)
    }
  }
  return { changed, retained, failed }
}

/** A line of `tag --json`. */
export const replacedSnapshotJson = ({ old, replacement }: ReplacedSnapshot): Readonly<Record<string, unknown>> => ({
  message_type: 'changed',
  old_snapshot_id: old.id,
  new_snapshot_id: replacement.id,
})

/** The tags after the change; undefined when the snapshot can stay as it is. Setting counts as a change in any case, as with restic. */
function changedTags(tags: readonly string[], change: TagChange): readonly string[] | undefined {
  if ('set' in change) return change.set.length === 1 && change.set[0] === '' ? [] : change.set
  const result = removeTags(addTags(tags, change.add), change.remove)
  return result.length === tags.length && result.every((tag, i) => tag === tags[i]) ? undefined : result
}
