import type { Id } from '../../lib/id.ts'
import type { PatternSource } from '../archive/filter/pattern.ts'
import type { RestoreSelector } from '../archive/filter/restore-selector.ts'
import { type ByteString, byteStringToText } from '../repository/tree/node.ts'
import type { ContentPlan } from './content-plan.ts'
import type { DataBlobs } from './data-blobs.ts'
import { type EntryAction, type EntryKind, type EntryTable, ROOT } from './entry-table.ts'
import type { WriteRules } from './threads/entry-writer.ts'

/**
 * What happens to files that are there already:
 * - `always`: they are compared by content and rewritten where they differ
 * - `if-changed`: the same, but equal size and time of modification count as equal content
 * - `if-newer`: only when the snapshot's is newer
 * - `never`: they stay
 */
export type OverwriteMode = 'always' | 'if-changed' | 'if-newer' | 'never'

/** A user and a group, by number. */
export interface Owner {
  readonly uid: number
  readonly gid: number
}

export interface RestorePlanOptions {
  /** Folder to restore to; it need not exist. */
  readonly target: string
  /** Absent: everything. */
  readonly selector?: RestoreSelector | undefined
  readonly overwrite?: OverwriteMode
  /** Remove from the target what is selected and not in the snapshot. */
  readonly deleteOthers?: boolean
  readonly sparse?: boolean
  /** Give files to the users and groups called as at backup time, where they exist; else by number. */
  readonly ownershipByName?: boolean
  /** Give everything to this user and group, whoever the snapshot names. */
  readonly owner?: Owner | undefined
  /** Extended attributes to leave alone, or the only ones to touch; at most one of the two. */
  readonly excludeXattrs?: readonly PatternSource[]
  readonly includeXattrs?: readonly PatternSource[]
  readonly signal?: AbortSignal | undefined
}

/** An item of the snapshot that cannot be restored, or not as it should be. */
export interface RestoreProblem {
  /** Path within the snapshot, as text. */
  readonly path: string
  readonly error: Error
}

/** Something in the target that is not in the snapshot and is to be removed. */
export interface Deletion {
  /** The directory it lies in. */
  readonly directory: number
  readonly name: Uint8Array
  readonly isDirectory: boolean
  /** Paths in the target of everything that goes with it and of itself, as text, contents before their directory. */
  readonly paths: readonly string[]
}

/** Sums as restic counts them: directories and everything else with a name are files; what is skipped is in no total. */
export interface RestoreTotals {
  readonly files: number
  readonly bytes: number
  readonly skippedFiles: number
  readonly skippedBytes: number
  readonly deletedFiles: number
  /** Part of `bytes` that is in the target already. */
  readonly presentBytes: number
}

/** Everything a restore will do. */
export interface RestorePlan {
  /** The snapshot's tree, or a folder's of it. */
  readonly tree: Id
  /** Absolute path of the target. */
  readonly target: string
  readonly entries: EntryTable
  /** Rows of the blobs of all files, in the order of entries. */
  readonly content: Uint32Array
  readonly rows: DataBlobs
  readonly writing: ContentPlan
  readonly deletions: readonly Deletion[]
  readonly problems: readonly RestoreProblem[]
  readonly totals: RestoreTotals
  readonly rules: WriteRules
}

/** What a restore does to one item: `unchanged` files keep their content, their attributes may be corrected. */
export type RestoreAction = 'restored' | 'updated' | 'unchanged' | 'deleted'

/** An item of a plan, or one that has been dealt with. */
export interface RestoredItem {
  /** Within the snapshot, beginning with `/`; of what is deleted the path in the target. As text. */
  readonly path: string
  readonly type: 'file' | 'dir' | 'other'
  readonly action: RestoreAction
  readonly sizeBytes: number
}

/** Every item of a plan with what will be done to it, deletions last. */
export function* plannedItems(plan: RestorePlan): IterableIterator<RestoredItem> {
  for (let entry = ROOT + 1; entry < plan.entries.count; entry++) yield itemOf(plan.entries, entry)
  for (const deletion of plan.deletions) yield* deletedItems(deletion)
}

/** An entry as an item. */
export function itemOf(table: EntryTable, entry: number): RestoredItem {
  const kind = table.kind(entry)
  const type = itemTypeOf(kind)
  return {
    path: byteStringToText(table.path(entry)),
    type,
    action: actionOf(type, table.action(entry)),
    sizeBytes: kind === 'file' ? table.memory.number[entry]! : 0,
  }
}

const itemTypeOf = (kind: EntryKind): RestoredItem['type'] =>
  kind === 'dir' ? 'dir' : kind === 'file' ? 'file' : 'other'

function actionOf(type: RestoredItem['type'], action: EntryAction): RestoreAction {
  if (action === 'skip' || (action === 'adjust' && type === 'file')) return 'unchanged'
  return type === 'file' && action === 'update' ? 'updated' : 'restored'
}

export function* deletedItems({ paths, isDirectory }: Deletion): IterableIterator<RestoredItem> {
  for (const [i, path] of paths.entries())
    yield {
      path,
      type: isDirectory && i === paths.length - 1 ? 'dir' : 'other',
      action: 'deleted',
      sizeBytes: 0,
    }
}

/** Path of an entry in the target. */
export const targetPathOf = (target: string, path: ByteString): string =>
  `${target === '/' ? '' : target}${byteStringToText(path)}`
