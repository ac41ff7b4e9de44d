import type { RestoredItem, RestoreTotals } from './restore-plan.ts'

/** How far a restore has come, in restic's terms: files are everything with a name, whatever is skipped is not among them. */
export interface RestoreProgress {
  readonly files: number
  readonly bytes: number
  readonly deletedFiles: number
  readonly errors: number
  readonly totals: RestoreTotals
}

/** What a restore tells while it runs. All calls come from the main thread; none may throw. */
export interface RestoreObserver {
  /** An item could not be restored, or not whole; the restore goes on. `item` is its path in the snapshot, or in the target. */
  onError(item: string, error: Error): void
  /** Something this machine cannot do, or what has to be waited for; each told once. */
  onWarning?(message: string): void
  /** An item is done. */
  onItem?(item: RestoredItem): void
  /** Called often; the object is the same each time and changes. */
  onProgress?(progress: RestoreProgress): void
}
