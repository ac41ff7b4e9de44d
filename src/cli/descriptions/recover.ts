import type { CommandDescription } from '../command.ts'
import { type NoOptions, noOptions } from '../options/option.ts'

export const recoverDescription: CommandDescription<NoOptions> = {
  name: 'recover',
  group: 'maintenance',
  summary: 'Find folders that belong to no snapshot',
  description:
    'Makes one snapshot of all folders in the repository that no snapshot refers to, for example after a snapshot was forgotten by mistake and before "prune".',
  examples: [{ line: 'holdfast recover', does: 'make a snapshot of what is left' }],
  options: noOptions,
  arguments: [],
  exitCodes: [10, 11, 12],
}
