import type { AnyDescription, Argument } from '../command.ts'
import { sortedOptions } from '../help.ts'
import { globalOptions } from '../options/global.ts'
import type { Completion, Option } from '../options/option.ts'
import type { Registry } from '../registry.ts'

/** An option as a shell sees it. */
export interface CompletedOption {
  readonly long: string
  readonly short: string | undefined
  readonly takesValue: boolean
  readonly completes: Completion | undefined
  readonly help: string
}

/** A command as a shell sees it: one or two words, options and arguments. */
export interface CompletedCommand {
  readonly words: readonly string[]
  readonly summary: string
  readonly options: readonly CompletedOption[]
  readonly arguments: readonly Argument[]
}

export interface CompletionModel {
  readonly commands: readonly CompletedCommand[]
  /** First words of commands of two words. */
  readonly folders: readonly { readonly name: string; readonly summary: string }[]
  /** Options of every command. */
  readonly globals: readonly CompletedOption[]
}

export async function completionModel(registry: Registry): Promise<CompletionModel> {
  const described = await Promise.all(registry.commands.map((entry) => entry.describe()))
  const verbs = await Promise.all(
    registry.nouns.flatMap((noun) =>
      noun.verbs.map(async (verb) => ({ ...(await verb.describe()), name: `${noun.name} ${verb.name}` })),
    ),
  )
  return {
    commands: [...described, ...verbs].map(completedCommand),
    folders: [...registry.folders, ...registry.nouns].map(({ name, summary }) => ({ name, summary })),
    globals: sortedOptions(globalOptions.options).map(completedOption),
  }
}

const completedCommand = (description: AnyDescription): CompletedCommand => ({
  words: description.name.split(' '),
  summary: description.summary,
  options: sortedOptions(description.options).map(completedOption),
  arguments: description.arguments,
})

const completedOption = (option: Option<unknown>): CompletedOption => {
  const takesValue = option.arity === 'value' || option.arity === 'list'
  return {
    long: option.long,
    short: option.short,
    takesValue,
    completes: takesValue ? option.kind.completes : undefined,
    help: option.help,
  }
}
