import type { CommandContext } from './context.ts'
import type { GlobalOptions } from './options/global.ts'
import type { Completion, OptionTable, RefusedOption, RetiredOption } from './options/option.ts'

/**
 * Which conventions a command follows: `repository` commands are restic's in name, options, JSON and exit codes; `configured` commands
 * (noun and verb) work on what holdfast.yaml describes and use the exit codes 2, 4 and 5 too.
 */
export type CommandFamily = 'repository' | 'configured'

/** Where help lists a command. */
export type CommandGroup = 'everyday' | 'maintenance' | 'inspection' | 'program'

export interface Example {
  /** A complete command line. */
  readonly line: string
  /** What it does. */
  readonly does: string
}

/** An argument that is not an option. */
export interface Argument {
  readonly name: string
  readonly help: string
  readonly required?: boolean
  readonly repeatable?: boolean
  readonly completes?: Completion
}

/** Everything about a command except what it does: the source of parsing, help, completion and the reference. */
export interface CommandDescription<T> {
  /** As typed: `backup`, `key add`. */
  readonly name: string
  readonly group: CommandGroup
  /** One line without a full stop. */
  readonly summary: string
  /** Paragraphs separated by blank lines. */
  readonly description: string
  readonly examples: readonly Example[]
  readonly options: OptionTable<T>
  readonly refused?: readonly RefusedOption[]
  readonly retired?: readonly RetiredOption[]
  readonly arguments: readonly Argument[]
  /** Which exit codes it can end with, besides 0, 1 and 130. */
  readonly exitCodes?: readonly number[]
  /**
   * Checks what the table cannot say: options that exclude each other, a wrong number of arguments.
   * @throws HoldfastError HF_USAGE
   */
  check?(options: T, args: readonly string[], global: GlobalOptions): void
}

/** A command. `run` resolves to the exit code; failures are thrown as HoldfastErrors. */
export interface Command<T> extends CommandDescription<T> {
  run(context: CommandContext, options: T, args: readonly string[]): Promise<number>
}

// Commands of all option types stand in one table; each gets what its own option table parsed.
// biome-ignore lint/suspicious/noExplicitAny: see above
export type AnyDescription = CommandDescription<any>
// biome-ignore lint/suspicious/noExplicitAny: see above
export type AnyCommand = Command<any>
