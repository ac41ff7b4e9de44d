import type { Command } from '../command.ts'
import { type PruneOptions, pruneDescription } from '../descriptions/prune.ts'
import { prune } from '../pruning.ts'
import { withRepository } from '../repository-session.ts'

export const pruneCommand: Command<PruneOptions> = {
  ...pruneDescription,
  run(context, options) {
    const lock = context.global.noLock ? 'none' : 'exclusive'
    return withRepository(context, { lock }, async (session) => {
      await prune(context, session, options)
      return 0
    })
  },
}
