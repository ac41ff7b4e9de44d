import { formatElapsed } from '../../lib/durations.ts'
import { formatPercent, formatSize } from '../../lib/sizes.ts'
import { type ProgressContext, ProgressTicker, progressIntervalMs } from './progress.ts'

/** How far a restore has come; files includes folders and everything else with a name. */
export interface RestoreState {
  readonly files: number
  readonly filesTotal: number
  readonly filesSkipped: number
  readonly filesDeleted: number
  readonly bytes: number
  readonly bytesTotal: number
  readonly bytesSkipped: number
}

export function restoreStatusLine(state: RestoreState, elapsedMs: number): string {
  const percent = formatPercent(state.bytes, state.bytesTotal)
  const done = `${state.files} files/dirs ${formatSize(state.bytes)}`
  const total = `total ${state.filesTotal} files/dirs ${formatSize(state.bytesTotal)}`
  return `[${formatElapsed(elapsedMs / 1000)}] ${percent}  ${done}, ${total}${leftovers(state)}`
}

export function restoreSummaryLine(state: RestoreState, elapsedMs: number): string {
  const complete = state.files === state.filesTotal && state.bytes === state.bytesTotal
  const files = complete ? `${state.filesTotal}` : `${state.files} / ${state.filesTotal}`
  const bytes = complete ? formatSize(state.bytesTotal) : `${formatSize(state.bytes)} / ${formatSize(state.bytesTotal)}`
  return `Summary: Restored ${files} files/dirs (${bytes}) in ${formatElapsed(elapsedMs / 1000)}${leftovers(state)}`
}

/** The `status` and `summary` messages of restic's JSON output; zeros are left out as there. */
export function restoreMessage(type: 'status' | 'summary', state: RestoreState, elapsedMs: number): object {
  return {
    message_type: type,
    seconds_elapsed: Math.floor(elapsedMs / 1000) || undefined,
    percent_done: type === 'summary' ? undefined : state.bytesTotal > 0 ? state.bytes / state.bytesTotal : 0,
    total_files: state.filesTotal || undefined,
    files_restored: state.files || undefined,
    files_skipped: state.filesSkipped || undefined,
    files_deleted: state.filesDeleted || undefined,
    total_bytes: state.bytesTotal || undefined,
    bytes_restored: state.bytes || undefined,
    bytes_skipped: state.bytesSkipped || undefined,
  }
}

/** Shows `state` until finished; the caller changes it as the restore goes on. `finish` prints the summary. */
export function showRestoreProgress(context: ProgressContext, state: RestoreState): { stop(): void; finish(): void } {
  const { output } = context
  const ticker = new ProgressTicker(progressIntervalMs(context.environment, output), (elapsedMs) => {
    if (output.json) output.message(restoreMessage('status', state, elapsedMs))
    else output.status([restoreStatusLine(state, elapsedMs)])
  })
  const stop = (): void => {
    ticker.stop()
    output.status([])
  }
  return {
    stop,
    finish() {
      stop()
      if (output.json) output.message(restoreMessage('summary', state, ticker.elapsedMs))
      else output.print(restoreSummaryLine(state, ticker.elapsedMs))
    },
  }
}

function leftovers(state: RestoreState): string {
  const skipped =
    state.filesSkipped > 0 ? `, skipped ${state.filesSkipped} files/dirs ${formatSize(state.bytesSkipped)}` : ''
  const deleted = state.filesDeleted > 0 ? `, deleted ${state.filesDeleted} files/dirs` : ''
  return skipped + deleted
}
