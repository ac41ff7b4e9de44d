import type { CommandDescription } from '../command.ts'
import { type NoOptions, noOptions } from '../options/option.ts'

export const repairPacksDescription: CommandDescription<NoOptions> = {
  name: 'repair packs',
  group: 'maintenance',
  summary: 'Save what is intact in damaged packs',
  description:
    'Copies the intact blobs of the named packs to new ones, then removes the packs. What is lost can be cut out of the snapshots with "repair snapshots".',
  examples: [{ line: 'holdfast repair packs 1b3a7f0e…', does: 'with the full ids that "check" printed' }],
  options: noOptions,
  arguments: [{ name: 'pack', help: 'id of a damaged pack', required: true, repeatable: true }],
  exitCodes: [10, 11, 12],
}
