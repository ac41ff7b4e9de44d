import type { CommandDescription } from '../command.ts'
import { flag } from '../options/option.ts'

export interface UnlockOptions {
  readonly removeAll: boolean
}

export const unlockDescription: CommandDescription<UnlockOptions> = {
  name: 'unlock',
  group: 'maintenance',
  summary: 'Remove locks that were left behind',
  description:
    'Removes the locks of processes that are gone. With --remove-all all locks are removed: do this only when nothing else uses the repository.',
  examples: [{ line: 'holdfast unlock', does: 'remove stale locks' }],
  options: { removeAll: flag('remove-all', 'also locks that are in use') },
  arguments: [],
}
