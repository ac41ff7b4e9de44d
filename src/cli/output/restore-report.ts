import type { RestoreObserver, RestoreProgress } from '../../engine/restore/restore-observer.ts'
import type { RestoredItem, RestoreTotals } from '../../engine/restore/restore-plan.ts'
import { formatSize } from '../../lib/sizes.ts'
import type { ProgressContext } from './progress.ts'
import { type RestoreState, showRestoreProgress } from './restore-progress.ts'
import { quoteUnprintable } from './width.ts'

/** Tells how a restore goes on and what came of it, as restic does. */
export class RestoreReport implements RestoreState {
  files = 0
  filesTotal = 0
  filesSkipped = 0
  filesDeleted = 0
  bytes = 0
  bytesTotal = 0
  bytesSkipped = 0
  errors = 0
  /** Whether each item is told. */
  readonly showsItems: boolean
  readonly #context: ProgressContext
  readonly #progress: { stop(): void; finish(): void }

  constructor(context: ProgressContext) {
    this.#context = context
    this.showsItems = context.output.verbosity >= 3
    this.#progress = showRestoreProgress(context, this)
  }

  /** What the plan says there is to do. */
  begin({ files, bytes, skippedFiles, skippedBytes }: RestoreTotals): void {
    this.filesTotal = files
    this.bytesTotal = bytes
    this.filesSkipped = skippedFiles
    this.bytesSkipped = skippedBytes
  }

  update({ files, bytes, deletedFiles }: Pick<RestoreProgress, 'files' | 'bytes' | 'deletedFiles'>): void {
    this.files = files
    this.bytes = bytes
    this.filesDeleted = deletedFiles
  }

  observer(): RestoreObserver {
    return {
      onError: (item, error) => this.itemFailed(item, error),
      onWarning: (message) => this.#warn(message),
      onProgress: (progress) => this.update(progress),
      ...(this.showsItems && { onItem: (item: RestoredItem) => this.showItem(item) }),
    }
  }

  itemFailed(item: string, error: Error): void {
    const { output } = this.#context
    this.errors++
    if (output.json)
      output.warnMessage({ message_type: 'error', error: { message: error.message }, during: 'restore', item })
    else output.warn(`ignoring error for ${quoteUnprintable(item)}: ${error.message}`)
  }

  showItem({ path, type, action, sizeBytes }: RestoredItem): void {
    const { output } = this.#context
    if (output.json) {
      output.message({ message_type: 'verbose_status', action, item: path, size: sizeBytes })
      return
    }
    const hasSize = action !== 'deleted' && (type === 'file' || action !== 'restored')
    const size = hasSize ? ` with size ${formatSize(sizeBytes)}` : ''
    output.debug(`${action.padEnd(9)} ${quoteUnprintable(path)}${size}`)
  }

  stop(): void {
    this.#progress.stop()
  }

  finish(): void {
    this.#progress.finish()
  }

  #warn(message: string): void {
    const { output } = this.#context
    if (output.json) output.warnMessage({ message_type: 'warning', message })
    else output.warn(`Warning: ${message}`)
  }
}
