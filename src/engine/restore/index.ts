/**
 * From a repository back to files, and looking around in snapshots.
 *
 * A restore is a plan (`plan.ts`), which is data, and its execution (`execute.ts`); `verify.ts` reads everything again. Entries lie in
 * columns on shared memory (`entry-table.ts`); what threads do with them is in `threads/`. Trees are foreign input: names are checked when
 * a plan is made, and whatever is written is reached from open directories, never by a path or through a link.
 * `browse/` lists, finds and compares; `dump/` writes archives.
 */
export { type DiffCounts, type DiffObserver, type DiffStatistics, diffTrees, type Modifier } from './browse/diff.ts'
export { type FindObserver, findFiles } from './browse/find-files.ts'
export { blobsOfPacks, type FindObjectsObserver, type FoundObject, findObjects } from './browse/find-objects.ts'
export {
  type ListingObserver,
  type ListingOptions,
  type ListingOrder,
  listSnapshot,
  sortListing,
} from './browse/list.ts'
export type { FoundNode } from './browse/walk-snapshot.ts'
export { type ExecuteOptions, executeRestore, type RestoreOutcome } from './execute.ts'
export { createFindPattern, type FindOptions, type FindPattern } from './find-pattern.ts'
export { planRestore } from './plan.ts'
export type { RestoreObserver, RestoreProgress } from './restore-observer.ts'
export {
  type OverwriteMode,
  type Owner,
  plannedItems,
  type RestoredItem,
  type RestorePlan,
  type RestorePlanOptions,
  type RestoreTotals,
} from './restore-plan.ts'
export { RestoreThreads } from './restore-threads.ts'
export { resolveFolder } from './snapshot-folder.ts'
export { type VerifyOptions, type VerifyOutcome, verifyRestore } from './verify.ts'
