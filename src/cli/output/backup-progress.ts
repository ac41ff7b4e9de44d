import { monotonicMilliseconds } from '../../lib/clock.ts'
import { formatElapsed } from '../../lib/durations.ts'
import { formatPercent, formatSize } from '../../lib/sizes.ts'
import { type ProgressContext, ProgressTicker, progressIntervalMs } from './progress.ts'
import { RateEstimator } from './rate.ts'

// Below this rate the remaining time says nothing.
const MIN_BYTES_PER_SECOND = 1024

/** How far a backup has come. */
export interface BackupState {
  readonly files: number
  readonly folders: number
  readonly bytes: number
  readonly errors: number
  /** What is to be backed up, as far as the scan knows; undefined before. */
  readonly total: { readonly files: number; readonly folders: number; readonly bytes: number } | undefined
  readonly scanFinished: boolean
  readonly currentFiles: Iterable<string>
}

/** The status lines of a backup: totals first, then the files being read. `remainingSeconds` is 0 when unknown. */
export function backupStatusLines(state: BackupState, elapsedMs: number, remainingSeconds: number): string[] {
  const time = formatElapsed(elapsedMs / 1000)
  const files = [...state.currentFiles].sort()
  const { total } = state
  if (total === undefined || (total.files === 0 && total.folders === 0))
    return [`[${time}] ${state.files} files, ${formatSize(state.bytes)}, ${state.errors} errors`, ...files]
  const estimates = remainingSeconds > 0 && state.bytes < total.bytes
  const percent = estimates ? `${formatPercent(state.bytes, total.bytes)}  ` : ''
  const eta = estimates ? ` ETA ${formatElapsed(remainingSeconds)}` : ''
  const all = `total ${total.files} files ${formatSize(total.bytes)}`
  return [
    `[${time}] ${percent}${state.files} files ${formatSize(state.bytes)}, ${all}, ${state.errors} errors${eta}`,
    ...files,
  ]
}

/** The `status` message of restic's JSON output; zeros and empty lists are left out as there. */
export function backupStatusMessage(state: BackupState, elapsedMs: number, remainingSeconds: number): object {
  const files = [...state.currentFiles].sort()
  const totalBytes = state.total?.bytes ?? 0
  return {
    message_type: 'status',
    seconds_elapsed: Math.floor(elapsedMs / 1000) || undefined,
    seconds_remaining: remainingSeconds || undefined,
    percent_done: totalBytes > 0 ? state.bytes / totalBytes : 0,
    total_files: state.total?.files || undefined,
    files_done: state.files || undefined,
    total_bytes: totalBytes || undefined,
    bytes_done: state.bytes || undefined,
    error_count: state.errors || undefined,
    current_files: files.length > 0 ? files : undefined,
  }
}

/** Shows `state` until stopped; the caller changes it as the backup goes on. */
export function showBackupProgress(context: ProgressContext, state: BackupState): { stop(): void } {
  const { output } = context
  const rate = new RateEstimator(monotonicMilliseconds())
  let seenBytes = 0
  const ticker = new ProgressTicker(progressIntervalMs(context.environment, output), (elapsedMs) => {
    const now = monotonicMilliseconds()
    rate.add(now, state.bytes - seenBytes)
    seenBytes = state.bytes
    if (state.total === undefined && state.files + state.folders + state.bytes + state.errors === 0) return
    const bytesPerSecond = rate.bytesPerSecond(now)
    const known = state.scanFinished && state.total !== undefined && bytesPerSecond > MIN_BYTES_PER_SECOND
    const remaining = known ? Math.max(0, Math.floor((state.total.bytes - state.bytes) / bytesPerSecond)) : 0
    if (output.json) output.message(backupStatusMessage(state, elapsedMs, remaining))
    else output.status(backupStatusLines(state, elapsedMs, remaining))
  })
  return {
    stop() {
      ticker.stop()
      output.status([])
    },
  }
}
