import type { CommandDescription } from '../command.ts'
import { type NoOptions, noOptions } from '../options/option.ts'

export const keyRemoveDescription: CommandDescription<NoOptions> = {
  name: 'key remove',
  group: 'maintenance',
  summary: 'Remove a password',
  description: 'Removes a key. The one in use cannot be removed: open the repository with another password for that.',
  examples: [{ line: 'holdfast key remove eb78040b', does: 'remove the key with this id' }],
  options: noOptions,
  arguments: [{ name: 'key', help: 'id of the key or its beginning', required: true }],
  exitCodes: [10, 11, 12],
}
