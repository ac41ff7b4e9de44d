import { monotonicMilliseconds } from '../../lib/clock.ts'
import type { CommandContext } from '../context.ts'
import { type Environment, readEnvironment } from '../environment.ts'
import type { Output } from './output.ts'

/** What of the context of a command progress needs. */
export type ProgressContext = Pick<CommandContext, 'output' | 'environment'>

const MAX_RATE = 60
const DEFAULT_INTERVAL_MS = 100

/**
 * How often progress is shown, in milliseconds; 0: never, except when asked by SIGUSR1. HOLDFAST_PROGRESS_FPS (or restic's name) sets it;
 * else it is ten times a second on a terminal and in JSON, and never in pipes and with --quiet.
 */
export function progressIntervalMs(environment: Environment, output: Output): number {
  const rate = Number(readEnvironment(environment, 'PROGRESS_FPS')?.value)
  if (rate > 0) return 1000 / Math.min(rate, MAX_RATE)
  if (output.verbosity === 0 || (!output.json && !output.terminal.canUpdateStatus)) return 0
  return DEFAULT_INTERVAL_MS
}

/** Shows progress at intervals until stopped. */
export class ProgressTicker {
  readonly #startMs = monotonicMilliseconds()
  readonly #timer: NodeJS.Timeout | undefined
  readonly #show: () => void

  /** `show` gets the milliseconds since the start. */
  constructor(intervalMs: number, show: (elapsedMs: number) => void) {
    this.#show = () => show(this.elapsedMs)
    if (intervalMs > 0) this.#timer = setInterval(this.#show, intervalMs).unref()
    process.on('SIGUSR1', this.#show)
  }

  get elapsedMs(): number {
    return monotonicMilliseconds() - this.#startMs
  }

  stop(): void {
    clearInterval(this.#timer)
    process.off('SIGUSR1', this.#show)
  }
}
