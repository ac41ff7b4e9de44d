import type { CommandDescription } from '../command.ts'
import type { NoOptions } from '../options/option.ts'

export const copyListDescription: CommandDescription<NoOptions> = {
  name: 'copy:list',
  group: 'everyday',
  summary: 'Show where the copies of configured sources are, and how they stand by 3-2-1-1-0',
  description: `Shows each copy of each source: what it lies on, its newest snapshot and how many newer ones other repositories have, whether it is offsite and immutable, and how far its newest snapshot was proved, when.

Below stands the rule, for the newest backup of the source: three copies, counting the source itself; two media, where folders of one disk are one; one copy offsite ("offsite: true" in holdfast.yaml); one that nobody can delete or change, as the store itself grants it; no errors, which means that each copy was verified and passed. What nobody said, or what could not be seen, is unknown and never a yes.

The exit code is 1 when a repository could not be looked at.`,
  examples: [{ line: 'holdfast copy:list', does: 'show all copies' }],
  options: {},
  arguments: [{ name: 'source', help: 'name of a source in holdfast.yaml; none: all', repeatable: true }],
  exitCodes: [2, 10, 11, 12],
}
