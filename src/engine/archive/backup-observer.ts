import type { NodeOf } from '../repository/tree/node.ts'
import type { NewData } from './saver/messages.ts'

/** How an item compares with the parent snapshot. */
export type ItemChange = 'new' | 'changed' | 'unmodified'

export interface ItemEvent {
  /** Path in the snapshot, as text; directories end in `/`. */
  readonly path: string
  readonly type: 'file' | 'dir'
  readonly change: ItemChange
  readonly node: NodeOf<unknown>
  /** What the item's content (a file) or list (a directory) added to the repository. */
  readonly added: Readonly<NewData>
}

/** What a backup tells while it runs. All calls come from the main thread; none may throw. */
export interface BackupObserver {
  /** `item` could not be read whole; it is left out or kept with what is known, and the backup is incomplete. */
  onError(item: string, error: Error): void
  /** `item` changed each time it was read; what was read last is kept. */
  onUnstable?(item: string): void
  /** A file or directory is dealt with; `onItem` says more and costs more. */
  onCounted?(type: ItemEvent['type']): void
  onItem?(event: ItemEvent): void
  onExcluded?(path: string): void
  /** A file is going to be read, by whichever thread is free; unchanged files are not. `path` is that of its ItemEvent. */
  onFileStarted?(path: string): void
  /** A file that was begun is read, or could not be. */
  onFileFinished?(path: string): void
  /** A directory is about to be listed. */
  onDirectoryStarted?(path: string): void
  /** Content bytes dealt with: read and saved, or known to be unchanged. */
  onBytes?(bytes: number): void
}

export interface BackupSummary {
  readonly files: Record<ItemChange, number>
  readonly dirs: Record<ItemChange, number>
  readonly data: Readonly<NewData>
  readonly trees: Readonly<NewData>
  readonly totalFiles: number
  readonly totalBytes: number
  readonly errors: number
}
