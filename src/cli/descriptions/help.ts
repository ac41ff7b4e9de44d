import type { CommandDescription } from '../command.ts'
import { type NoOptions, noOptions } from '../options/option.ts'

export const helpDescription: CommandDescription<NoOptions> = {
  name: 'help',
  group: 'program',
  summary: 'Print help about a command',
  description: 'Lists the commands, or explains one of them. The same as --help after the command.',
  examples: [{ line: 'holdfast help key add', does: 'how to add a password' }],
  options: noOptions,
  arguments: [{ name: 'command', help: 'name of a command', repeatable: true }],
}
