import type { CommandDescription } from '../command.ts'
import { flag } from '../options/option.ts'

export interface RepairIndexOptions {
  readonly readAllPacks: boolean
}

export const repairIndexDescription: CommandDescription<RepairIndexOptions> = {
  name: 'repair index',
  group: 'maintenance',
  summary: 'Make the index fit the packs again',
  description:
    'Removes from the index what is not there, and adds packs the index does not know. With --read-all-packs the index is made anew from the packs alone.',
  examples: [{ line: 'holdfast repair index', does: 'after "check" told so' }],
  options: { readAllPacks: flag('read-all-packs', 'believe nothing in the present index') },
  arguments: [],
  exitCodes: [10, 11, 12],
}
