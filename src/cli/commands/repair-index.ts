import { repairIndex } from '../../engine/repository/repair/repair-index.ts'
import type { Command } from '../command.ts'
import { type RepairIndexOptions, repairIndexDescription } from '../descriptions/repair-index.ts'
import { progressOf, withRepository } from '../repository-session.ts'

export const repairIndexCommand: Command<RepairIndexOptions> = {
  ...repairIndexDescription,
  run(context, { readAllPacks }) {
    const { output } = context
    return withRepository(context, { lock: 'exclusive', withoutCache: true }, async ({ repository, signal }) => {
      const result = await repairIndex(repository, { readAllPacks, progress: progressOf(context), signal })
      if (output.json)
        output.message({
          message_type: 'summary',
          removed_indexes: result.removedIndexes.length,
          added_packs: result.addedPacks.length,
          removed_packs: result.removedPacks.length,
          damaged_packs: result.damagedPacks,
          unreadable_packs: result.unreadablePacks,
        })
      else output.print('done')
      return 0
    })
  },
}
