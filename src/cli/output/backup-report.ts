import { availableParallelism } from 'node:os'
import type { BackupObserver, ItemEvent } from '../../engine/archive/backup-observer.ts'
import type { ScanTotals } from '../../engine/archive/scan.ts'
import { type SnapshotSummary, summaryJson } from '../../engine/repository/snapshot.ts'
import { monotonicMilliseconds } from '../../lib/clock.ts'
import { formatElapsed } from '../../lib/durations.ts'
import { type Id, shortId } from '../../lib/id.ts'
import { formatSize } from '../../lib/sizes.ts'
import { type BackupState, showBackupProgress } from './backup-progress.ts'
import { type ProgressContext, progressIntervalMs } from './progress.ts'
import { quoteUnprintable } from './width.ts'

const words = { new: 'new', changed: 'modified', unmodified: 'unchanged' } as const

/** Tells how a backup goes on and what came of it, as restic does. */
export class BackupReport implements BackupState {
  files = 0
  folders = 0
  bytes = 0
  errors = 0
  total: ScanTotals | undefined
  scanFinished = false
  readonly #context: ProgressContext
  readonly #showsItems: boolean
  readonly #progress: { stop(): void }
  /** Files given to the threads, in the order they are read. */
  readonly #reading = new Set<string>()
  readonly #startedAt = new Map<string, number>()

  constructor(context: ProgressContext) {
    this.#context = context
    // restic tells programs about each item at -v, people at -vv.
    this.#showsItems = context.output.verbosity >= (context.output.json ? 2 : 3)
    this.#progress = showBackupProgress(context, this)
  }

  /** The first of the files that wait: those that the threads are at. */
  get currentFiles(): readonly string[] {
    return [...this.#reading].slice(0, availableParallelism())
  }

  /** Whether somebody looks at the totals of a scan. */
  get wantsTotals(): boolean {
    const { output, environment } = this.#context
    return progressIntervalMs(environment, output) > 0 || output.verbosity >= 2
  }

  /** What the backup is asked to tell: paths cost the walk time, so they are asked for only when they are shown. */
  observer(): BackupObserver {
    const { output, environment } = this.#context
    const showsFiles = progressIntervalMs(environment, output) > 0
    return {
      onError: (item, error) => this.#itemFailed(item, error, 'archival'),
      onUnstable: (item) => this.warn(`${quoteUnprintable(item)} changed while it was being read`, item),
      onBytes: (bytes) => {
        this.bytes += bytes
      },
      onCounted: (type) => {
        if (type === 'dir') this.folders++
        else this.files++
      },
      ...((showsFiles || this.#showsItems) && {
        onFileStarted: (path: string) => {
          this.#reading.add(path)
          if (this.#showsItems) this.#startedAt.set(path, monotonicMilliseconds())
        },
        onFileFinished: (path: string) => this.#reading.delete(path),
      }),
      ...(this.#showsItems && {
        onDirectoryStarted: (path: string) => this.#startedAt.set(path, monotonicMilliseconds()),
        onItem: (event: ItemEvent) => this.#showItem(event),
        onExcluded: (path: string) => this.#showExcluded(path),
      }),
    }
  }

  scanned(totals: ScanTotals, elapsedMs: number): void {
    const { output } = this.#context
    this.total = totals
    this.scanFinished = true
    const { files, bytes } = totals
    if (!output.json)
      output.detail(`scan finished in ${(elapsedMs / 1000).toFixed(3)}s: ${files} files, ${formatSize(bytes)}`)
    else if (this.#showsItems)
      output.message({ ...statusOf('scan_finished', '', elapsedMs), data_size: bytes, total_files: files })
  }

  scanFailed(item: string, error: Error): void {
    const { output } = this.#context
    if (output.json) this.#itemFailed(item, error, 'scan')
    else if (output.verbosity >= 2) output.warn(`scan: ${messageOf(item, error)}`)
  }

  warn(message: string, item?: string): void {
    const { output } = this.#context
    if (output.json) output.warnMessage({ message_type: 'warning', message, item })
    else output.warn(`Warning: ${message}`)
  }

  stop(): void {
    this.#progress.stop()
  }

  /** The end of a backup; no snapshot when it was skipped. */
  finish(summary: SnapshotSummary, snapshot: Id | undefined, dryRun: boolean): void {
    this.stop()
    const { output } = this.#context
    if (output.json) output.message(summaryMessage(summary, snapshot, dryRun))
    else this.#printSummary(summary, snapshot, dryRun)
  }

  #printSummary(summary: SnapshotSummary, snapshot: Id | undefined, dryRun: boolean): void {
    const { output } = this.#context
    const five = (count: number): string => String(count).padStart(5)
    output.print(`
Files:       ${five(summary.filesNew)} new, ${five(summary.filesChanged)} changed, ${five(summary.filesUnmodified)} unmodified
Dirs:        ${five(summary.dirsNew)} new, ${five(summary.dirsChanged)} changed, ${five(summary.dirsUnmodified)} unmodified`)
    output.detail(`Data Blobs:  ${five(summary.dataBlobs)} new`)
    output.detail(`Tree Blobs:  ${five(summary.treeBlobs)} new`)
    const added = formatSize(summary.dataAddedBytes).padEnd(5)
    const stored = formatSize(summary.dataAddedPackedBytes).padEnd(5)
    const size = formatSize(summary.totalBytesProcessed)
    output.print(`${dryRun ? 'Would add' : 'Added'} to the repository: ${added} (${stored} stored)

processed ${summary.totalFilesProcessed} files, ${size} in ${formatElapsed(secondsOf(summary))}`)
    if (!dryRun)
      output.print(snapshot === undefined ? 'skipped creating snapshot' : `snapshot ${shortId(snapshot)} saved`)
  }

  #itemFailed(item: string, error: Error, during: 'archival' | 'scan'): void {
    const { output } = this.#context
    if (during === 'archival') this.errors++
    const message = messageOf(item, error)
    if (output.json) output.warnMessage({ message_type: 'error', error: { message }, during, item })
    else output.warn(`error: ${quoteUnprintable(message)}`)
  }

  #showItem({ path, type, change, added }: ItemEvent): void {
    const { output } = this.#context
    const action = words[change]
    const elapsedMs = monotonicMilliseconds() - (this.#startedAt.get(path) ?? monotonicMilliseconds())
    this.#startedAt.delete(path)
    const isFolder = type === 'dir'
    if (output.json) {
      const [data, metadata] = isFolder ? [nothing, added] : [added, nothing]
      const sizes = {
        data_size: data.newBytes,
        data_size_in_repo: data.storedBytes,
        metadata_size: metadata.newBytes,
        metadata_size_in_repo: metadata.storedBytes,
      }
      const changed = change !== 'unmodified'
      output.message({ ...statusOf(action, path, changed ? elapsedMs : 0), ...(changed ? sizes : {}) })
      return
    }
    const name = quoteUnprintable(path)
    if (change === 'unmodified') {
      output.debug(`${action} ${name}`)
      return
    }
    const stored = formatSize(added.storedBytes)
    const sizes = isFolder
      ? `${formatSize(0)} added, ${formatSize(0)} stored, ${stored} metadata`
      : `${formatSize(added.newBytes)} added, ${stored} stored`
    output.debug(`${action.padEnd(9)} ${name}, saved in ${(elapsedMs / 1000).toFixed(3)}s (${sizes})`)
  }

  #showExcluded(path: string): void {
    const { output } = this.#context
    if (output.json) output.message({ message_type: 'excluded_item', item: path })
    else output.debug(`excluded  ${quoteUnprintable(path)}`)
  }
}

const nothing = { newBytes: 0, storedBytes: 0 } as const

/** A `verbose_status` message about nothing stored. */
const statusOf = (action: string, item: string, elapsedMs: number) => ({
  message_type: 'verbose_status',
  action,
  item,
  duration: elapsedMs / 1000,
  data_size: 0,
  data_size_in_repo: 0,
  metadata_size: 0,
  metadata_size_in_repo: 0,
  total_files: 0,
})

/** restic's names and order: what the snapshot keeps, with the duration and the snapshot itself. */
function summaryMessage(summary: SnapshotSummary, snapshot: Id | undefined, dryRun: boolean): object {
  const { backup_start, backup_end, ...counts } = summaryJson(summary)
  return {
    message_type: 'summary',
    ...counts,
    total_duration: secondsOf(summary),
    backup_start,
    backup_end,
    snapshot_id: snapshot,
    dry_run: dryRun || undefined,
  }
}

const secondsOf = ({ backupStart, backupEnd }: SnapshotSummary): number =>
  backupEnd.seconds - backupStart.seconds + (backupEnd.nanoseconds - backupStart.nanoseconds) / 1e9

/** System errors name the call, not always the file. */
const messageOf = (item: string, { message }: Error): string =>
  message.includes(item) ? message : `${item}: ${message}`
