import type { CopyOutcome } from '../../control/copies.ts'
import type { RunObserver, RunPhase, SourceResult } from '../../control/source-run.ts'
import type { BackupObserver } from '../../engine/archive/backup-observer.ts'
import { summaryJson } from '../../engine/repository/snapshot.ts'
import { formatElapsed } from '../../lib/durations.ts'
import { isHoldfastError } from '../../lib/errors.ts'
import { shortId } from '../../lib/id.ts'
import { formatSize } from '../../lib/sizes.ts'
import type { Source } from '../../sources/source.ts'
import { type ProgressContext, ProgressTicker, progressIntervalMs } from './progress.ts'
import { quoteUnprintable } from './width.ts'

interface Running {
  phase: RunPhase
  files: number
  bytes: number
}

/** Tells how a run of several sources goes on and what came of each. */
export class RunReport implements RunObserver {
  readonly #context: ProgressContext
  readonly #ticker: ProgressTicker
  readonly #running = new Map<string, Running>()

  constructor(context: ProgressContext) {
    this.#context = context
    const { output, environment } = context
    this.#ticker = new ProgressTicker(progressIntervalMs(environment, output), (elapsedMs) => this.#show(elapsedMs))
  }

  stop(): void {
    this.#ticker.stop()
    if (!this.#context.output.json) this.#context.output.status([])
  }

  onPhase({ name }: Source, phase: RunPhase): void {
    const { output } = this.#context
    const running = this.#running.get(name)
    if (running === undefined) this.#running.set(name, { phase, files: 0, bytes: 0 })
    else running.phase = phase
    if (output.json) output.message({ message_type: 'phase', source: name, phase })
    else output.detail(`${name}: ${phase}`)
  }

  backupObserver({ name }: Source): BackupObserver {
    const { output } = this.#context
    const running = this.#running.get(name)!
    return {
      onError: (item, error) => {
        if (output.json)
          output.warnMessage({ message_type: 'error', source: name, item, error: { message: error.message } })
        else output.warn(`${name}: error: ${quoteUnprintable(`${item}: ${error.message}`)}`)
      },
      onUnstable: (item) => output.warn(`${name}: ${quoteUnprintable(item)} changed while it was being read`),
      onCounted: (type) => {
        if (type === 'file') running.files++
      },
      onBytes: (bytes) => {
        running.bytes += bytes
      },
    }
  }

  onHookLine({ name }: Source, line: string): void {
    const { output } = this.#context
    if (output.json) output.message({ message_type: 'hook_output', source: name, line })
    else output.print(`${name}: ${quoteUnprintable(line)}`)
  }

  onFinished(result: SourceResult): void {
    this.#running.delete(result.source.name)
    const { output } = this.#context
    if (output.json) output.message(resultMessage(result))
    else
      for (const line of resultLines(result))
        (result.outcome === 'failed' ? output.warn : output.print).call(output, line)
  }

  #show(elapsedMs: number): void {
    const { output } = this.#context
    if (output.json) {
      for (const [source, { phase, files, bytes }] of this.#running)
        output.message({ message_type: 'status', source, phase, files_done: files, bytes_done: bytes })
      return
    }
    const time = formatElapsed(elapsedMs / 1000)
    output.status(
      [...this.#running].map(
        ([source, { phase, files, bytes }]) => `[${time}] ${source}: ${phase}, ${files} files, ${formatSize(bytes)}`,
      ),
    )
  }
}

function resultLines({ source, outcome, backup, copies, error, phases }: SourceResult): string[] {
  const lines: string[] = []
  // Where it went is worth a word when there are several places.
  const written = copies.find((copy) => copy.outcome === 'written')
  const place = copies.length > 1 && written !== undefined ? ` in ${written.repository}` : ''
  if (backup !== undefined) {
    const { result, type, reason, point } = backup
    const { summary, snapshot } = result
    const seconds = phases.reduce((sum, { milliseconds }) => sum + milliseconds, 0) / 1000
    lines.push(
      [
        `${source.name}: ${outcome === 'incomplete' ? 'incomplete' : 'backed up'} (${type}${reason === undefined ? '' : `: ${reason}`})`,
        `${summary.totalFilesProcessed} files`,
        formatSize(summary.totalBytesProcessed),
        `${formatSize(summary.dataAddedPackedBytes)} stored`,
        ...(point === undefined ? [] : [`at ${point}`]),
        `in ${formatElapsed(seconds)}`,
        ...(snapshot === undefined ? [] : [`snapshot ${shortId(snapshot.id)}${place}`]),
      ].join(', '),
    )
  }
  for (const copy of copies)
    lines.push(...copyLines(source.name, copy, { isFirst: copy === written, sourceError: error }))
  if (error !== undefined) {
    lines.push(`${source.name}: failed: ${failureText(error)}`)
  }
  return lines
}

function copyLines(
  source: string,
  { repository, outcome, snapshot, storedBytes, caughtUp, error }: CopyOutcome,
  { isFirst, sourceError }: { readonly isFirst: boolean; readonly sourceError: unknown },
): readonly string[] {
  const also =
    caughtUp === 0 ? '' : `, with ${caughtUp} earlier ${caughtUp === 1 ? 'snapshot' : 'snapshots'} it had missed`
  const lines: string[] = []
  if (snapshot !== undefined && (!isFirst || caughtUp > 0)) {
    const how = outcome === 'copied' ? 'copied to' : isFirst ? 'written to' : 'read once more and written to'
    lines.push(
      `${source}: ${how} ${repository}: ${formatSize(storedBytes)} stored, snapshot ${shortId(snapshot.id)}${also}`,
    )
  }
  // What keeps the whole source from being backed up is told once.
  if (error !== undefined && error !== sourceError) {
    const what = snapshot === undefined ? 'not in' : 'earlier snapshots are still missing in'
    lines.push(`${source}: ${what} ${repository}: ${failureText(error)}`)
  }
  return lines
}

function failureText(error: unknown): string {
  const hint = isHoldfastError(error) && error.hint !== undefined ? `\n  ${error.hint}` : ''
  return `${error instanceof Error ? error.message : String(error)}${hint}`
}

function failureMessage(error: unknown): object | undefined {
  if (error === undefined) return undefined
  if (isHoldfastError(error)) return { code: error.code, message: error.message, hint: error.hint }
  return { message: error instanceof Error ? error.message : String(error) }
}

/** One source of a run, for programs. */
function resultMessage({ source, outcome, backup, copies, error, phases }: SourceResult): object {
  return {
    message_type: 'source_result',
    source: source.name,
    type: source.type,
    outcome,
    snapshot_id: backup?.result.snapshot?.id,
    backup_type: backup?.type,
    reason: backup?.reason,
    point: backup?.point,
    errors: backup?.result.errors,
    summary: backup && summaryJson(backup.result.summary),
    phases: phases.map(({ phase, milliseconds }) => ({ phase, seconds: milliseconds / 1000 })),
    copies: copies.map((copy) => ({
      repository: copy.repository,
      outcome: copy.outcome,
      snapshot_id: copy.snapshot?.id,
      stored_bytes: copy.storedBytes,
      caught_up: copy.caughtUp,
      error: failureMessage(copy.error),
    })),
    error: failureMessage(error),
  }
}
