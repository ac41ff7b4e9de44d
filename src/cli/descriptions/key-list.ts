import type { CommandDescription } from '../command.ts'
import { type NoOptions, noOptions } from '../options/option.ts'

export const keyListDescription: CommandDescription<NoOptions> = {
  name: 'key list',
  group: 'maintenance',
  summary: 'List the keys',
  description: 'Lists the keys of the repository: id, user, host and time of making. A star marks the one in use.',
  examples: [{ line: 'holdfast key list', does: 'list all keys' }],
  options: noOptions,
  arguments: [],
  exitCodes: [10, 11, 12],
}
