import { freeBytes } from '../../engine/posix/free-space.ts'
import { formatElapsed } from '../../lib/durations.ts'
import { isHoldfastError } from '../../lib/errors.ts'
import { shortId } from '../../lib/id.ts'
import { formatSize } from '../../lib/sizes.ts'
import type {
  CopySwitch,
  PlannedItem,
  RestoreItem,
  RestoreItemObserver,
  RestoreItemResult,
} from '../../recovery/restore-run.ts'
import type { RestoreTarget } from '../../sources/restore.ts'
import { formatLocalTime } from './local-time.ts'
import type { Output } from './output.ts'
import { type ProgressContext, ProgressTicker, progressIntervalMs } from './progress.ts'
import { quoteUnprintable } from './width.ts'

/** The place, without the password a URL may hold. */
const shownTarget = (target: RestoreTarget): string =>
  target.kind === 'directory' ? target.path : target.url.replace(/^([^/]*\/\/[^/@]*?):[^/@]*@/, '$1:***@')

/** Prints what a restore is going to do. */
export function printRestorePlan(output: Output, { item, copy, others, planned }: PlannedItem): void {
  const { source, request } = item
  const { snapshot } = copy
  const { steps, files, bytes, overwrites, problems, afterwards } = planned.plan
  const target = shownTarget(request.target)
  const free = request.target.kind === 'directory' ? freeBytes(request.target.path) : undefined
  if (output.json) {
    output.message({
      message_type: 'plan',
      source: source.name,
      snapshot_id: snapshot.id,
      repository: copy.name,
      other_copies: others.map(({ name, reason }) => ({ repository: name, reason })),
      target,
      steps,
      files,
      bytes,
      free_bytes: free,
      overwrites,
      problems,
      afterwards,
    })
    return
  }
  const place = others.length === 0 ? '' : ` in ${copy.name}`
  output.print(
    `${source.name}: snapshot ${shortId(snapshot.id)} of ${formatLocalTime(snapshot.time)}${place}, to ${target}`,
  )
  if (others.length > 0) {
    const shown = [copy, ...others].map(({ name, reason }) => `${name} (${reason})`)
    output.print(`  copies, the best first: ${quoteUnprintable(shown.join(', '))}`)
  }
  for (const step of steps) output.print(`  - ${quoteUnprintable(step)}`)
  if (free !== undefined) output.print(`  room: ${formatSize(bytes)} at most, ${formatSize(free)} are free there`)
  for (const what of overwrites) output.print(`  overwrites: ${quoteUnprintable(what)}`)
  for (const { severity, what, remedy } of problems) {
    const line = `  ${severity}: ${quoteUnprintable(what)}${remedy === undefined ? '' : `\n    ${remedy}`}`
    if (severity === 'note') output.print(line)
    else output.warn(line)
  }
}

/** Says that another copy is taken, and why. */
export function printSwitch(output: Output, source: string, { from, to, error }: CopySwitch): void {
  if (output.json)
    output.warnMessage({
      message_type: 'switched',
      source,
      from: from.name,
      repository: to.name,
      error: { message: error.message },
    })
  else
    output.warn(
      `${source}: the copy in ${from.name} failed (${quoteUnprintable(error.message)}); going on with ${to.name}`,
    )
}

/** Tells how a run of restores goes on. */
export class RestoreRunReport {
  readonly #output: Output
  readonly #ticker: ProgressTicker
  #current: { readonly source: string; step: string; bytes: number; totalBytes: number } | undefined

  constructor(context: ProgressContext) {
    const { output, environment } = context
    this.#output = output
    this.#ticker = new ProgressTicker(progressIntervalMs(environment, output), (elapsedMs) => this.#show(elapsedMs))
  }

  stop(): void {
    this.#ticker.stop()
    if (!this.#output.json) this.#output.status([])
  }

  observerOf({ source: { name } }: RestoreItem, afterwards: readonly string[]): RestoreItemObserver {
    const output = this.#output
    const current = { source: name, step: '', bytes: 0, totalBytes: 0 }
    this.#current = current
    return {
      onStep: (step) => {
        current.step = step
        if (output.json) output.message({ message_type: 'step', source: name, step })
        else output.detail(`${name}: ${quoteUnprintable(step)}`)
      },
      onProgress: ({ bytes, totalBytes }) => {
        current.bytes = bytes
        current.totalBytes = totalBytes
      },
      onWarning: (message) => {
        if (output.json) output.warnMessage({ message_type: 'warning', source: name, message })
        else output.warn(`${name}: warning: ${quoteUnprintable(message)}`)
      },
      onError: (item, error) => {
        if (output.json)
          output.warnMessage({ message_type: 'error', source: name, item, error: { message: error.message } })
        else output.warn(`${name}: error: ${quoteUnprintable(`${item}: ${error.message}`)}`)
      },
      onSwitch: (change) => printSwitch(output, name, change),
      onFinished: (result) => {
        this.#current = undefined
        this.#finished(result, afterwards)
      },
    }
  }

  #finished(
    { item, copy, outcome, result, error, milliseconds }: RestoreItemResult,
    afterwards: readonly string[],
  ): void {
    const output = this.#output
    const { source, request } = item
    const target = shownTarget(request.target)
    const hint = isHoldfastError(error) ? error.hint : undefined
    const message = error instanceof Error ? error.message : error === undefined ? undefined : String(error)
    if (output.json) {
      output.message({
        message_type: 'restore_result',
        source: source.name,
        snapshot_id: copy.snapshot.id,
        repository: copy.name,
        target,
        outcome,
        ...result,
        afterwards,
        seconds: milliseconds / 1000,
        error:
          message === undefined ? undefined : { code: isHoldfastError(error) ? error.code : undefined, message, hint },
      })
      return
    }
    if (result === undefined) {
      output.warn(`${source.name}: failed: ${message}${hint === undefined ? '' : `\n  ${hint}`}`)
      return
    }
    const { files, bytes, errors, facts } = result
    const line = [
      `${source.name}: ${outcome === 'incomplete' ? `incomplete, ${errors} items failed` : 'restored'} to ${target}${copy === item.copies[0] ? '' : ` from ${copy.name}`}`,
      `${files} files`,
      formatSize(bytes),
      ...Object.entries(facts).map(([name, value]) => `${name} ${value}`),
      `in ${formatElapsed(milliseconds / 1000)}`,
    ].join(', ')
    if (outcome === 'complete') output.print(line)
    else output.warn(line)
    for (const what of afterwards) output.print(`  next: ${what}`)
  }

  #show(elapsedMs: number): void {
    const current = this.#current
    if (current === undefined) return
    const { source, step, bytes, totalBytes } = current
    if (this.#output.json) {
      this.#output.message({ message_type: 'status', source, step, bytes_done: bytes, total_bytes: totalBytes })
      return
    }
    const share = totalBytes > 0 ? `, ${formatSize(bytes)} of ${formatSize(totalBytes)}` : ''
    this.#output.status([`[${formatElapsed(elapsedMs / 1000)}] ${source}: ${step}${share}`])
  }
}
