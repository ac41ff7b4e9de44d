import { formatElapsed } from '../../lib/durations.ts'
import { formatPercent } from '../../lib/sizes.ts'
import { type ProgressContext, ProgressTicker, progressIntervalMs } from './progress.ts'

/** Counts things done, of a total that may become known later, and shows `[0:01] 50.00%  3 / 6 packs`. */
export interface Counter {
  add(count: number): void
  setTotal(total: number): void
  /** Prints the last state as a line that stays. */
  done(): void
}

/** A counter for `what` (`packs`, `files deleted`). Silent with --quiet and in JSON mode, and in pipes when `terminalOnly`. */
export function createCounter(
  context: ProgressContext,
  what: string,
  options: { readonly terminalOnly?: boolean } = {},
): Counter {
  const { output } = context
  let value = 0
  let total = 0
  const silent =
    output.json || output.verbosity === 0 || (options.terminalOnly === true && !output.terminal.outputIsTerminal)
  const text = (elapsedMs: number): string => {
    const time = formatElapsed(elapsedMs / 1000)
    return total === 0
      ? `[${time}]          ${value} ${what}`
      : `[${time}] ${formatPercent(value, total)}  ${value} / ${total} ${what}`
  }
  const ticker = silent
    ? undefined
    : new ProgressTicker(progressIntervalMs(context.environment, output), (elapsedMs) =>
        output.status([text(elapsedMs)]),
      )
  return {
    add(count) {
      value += count
    },
    setTotal(newTotal) {
      total = newTotal
    },
    done() {
      if (ticker === undefined) return
      ticker.stop()
      output.status([])
      output.print(text(ticker.elapsedMs))
    },
  }
}
