import { repositoryLockFiles } from '../../engine/repository/lock-files.ts'
import { removeAllLocks, removeStaleLocks } from '../../engine/repository/unlock.ts'
import type { Command } from '../command.ts'
import { type UnlockOptions, unlockDescription } from '../descriptions/unlock.ts'
import { withRepository } from '../repository-session.ts'

export const unlockCommand: Command<UnlockOptions> = {
  ...unlockDescription,
  run(context, { removeAll }) {
    const { output, clock } = context
    return withRepository(context, { lock: 'none' }, async ({ repository }) => {
      const files = repositoryLockFiles(repository)
      const removed = removeAll ? await removeAllLocks(files) : await removeStaleLocks(files, { clock })
      if (output.json) output.message({ message_type: 'summary', removed_locks: removed.length })
      else if (removed.length > 0) output.print(`successfully removed ${removed.length} locks`)
      return 0
    })
  },
}
