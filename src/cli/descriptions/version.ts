import type { CommandDescription } from '../command.ts'
import { type NoOptions, noOptions } from '../options/option.ts'

export const versionDescription: CommandDescription<NoOptions> = {
  name: 'version',
  group: 'program',
  summary: 'Print the version',
  description: 'Prints the version of Holdfast, of Node and of the machine.',
  examples: [{ line: 'holdfast version --json', does: 'for a program' }],
  options: noOptions,
  arguments: [],
}
