import type { Clock } from '../lib/clock.ts'
import type { Environment } from './environment.ts'
import type { GlobalOptions } from './options/global.ts'
import type { ValueSource } from './options/parse.ts'
import type { Output } from './output/output.ts'
import type { Registry } from './registry.ts'
import type { InputStream, Terminal } from './terminal.ts'

/** What a command works with. */
export interface CommandContext {
  readonly global: GlobalOptions
  /** Where each option that was given comes from, by its long name. */
  readonly sources: ReadonlyMap<string, ValueSource>
  readonly output: Output
  readonly environment: Environment
  readonly clock: Clock
  /** Fires on SIGINT, SIGTERM and when standard output is closed; the reason is a HoldfastError. Release locks, then rethrow it. */
  readonly signal: AbortSignal
  readonly terminal: Terminal
  readonly stdin: InputStream
  /** For commands about commands. */
  readonly registry: Registry
}
