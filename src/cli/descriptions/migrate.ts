import type { CommandDescription } from '../command.ts'
import { flag } from '../options/option.ts'

export interface MigrateOptions {
  readonly force: boolean
}

export const migrateDescription: CommandDescription<MigrateOptions> = {
  name: 'migrate',
  group: 'maintenance',
  summary: 'Convert the repository to a newer format',
  description: 'Lists the conversions that are possible, or applies the named ones.',
  examples: [
    { line: 'holdfast migrate', does: 'list what is possible' },
    {
      line: 'holdfast migrate upgrade_repo_v2',
      does: 'allow compression; old programs cannot read the repository afterwards',
    },
  ],
  options: { force: flag('force', 'apply even if it was applied before', { short: 'f' }) },
  arguments: [{ name: 'migration', help: 'name of a conversion', repeatable: true }],
  exitCodes: [10, 11, 12],
}
