import { checkRepository, type CheckOptions as EngineOptions } from '../../engine/repository/check/check.ts'
import type { PackSubset } from '../../engine/repository/check/choose-packs.ts'
import { HoldfastError } from '../../lib/errors.ts'
import type { Command } from '../command.ts'
import type { CommandContext } from '../context.ts'
import { type CheckOptions, checkDescription } from '../descriptions/check.ts'
import { printFinding, printOutcome, printUnchecked } from '../output/check-report.ts'
import { progressOf, withRepository } from '../repository-session.ts'
import { chooseForCheck } from '../snapshot-choice.ts'

export const checkCommand: Command<CheckOptions> = {
  ...checkDescription,
  async run(context, options, references) {
    const { output, global } = context
    try {
      if (!global.noLock) output.print('create exclusive lock for repository')
      const lock = global.noLock ? 'none' : 'exclusive'
      const session = { lock, early: true, withoutCache: !options.withCache } as const
      const { errors } = await withRepository(context, session, async ({ repository, signal, settled }) => {
        const result = await checkRepository(repository, { ...engineOptions(context, options, references), signal })
        await settled
        // What looks like damage may be the work of somebody who ended before our lock was certain.
        if (lock !== 'none') await repository.requireIndexStays(signal)
        printOutcome(output, result)
        return result
      })
      if (errors === 0) return 0
    } catch (error) {
      printUnchecked(output)
      throw error
    }
    throw new HoldfastError('HF_DATA_DAMAGED', 'repository contains errors')
  },
}

function engineOptions(context: CommandContext, options: CheckOptions, references: readonly string[]): EngineOptions {
  const { output } = context
  const isFiltered = [references, options.hosts, options.tags, options.paths].some((list) => list.length > 0)
  return {
    read: subsetOf(options),
    select: isFiltered ? (all) => chooseForCheck(all, references, options, output) : undefined,
    onFinding: (finding) => printFinding(output, finding),
    progress: progressOf(context),
  }
}

function subsetOf({ readData, readDataSubset }: CheckOptions): PackSubset | undefined {
  return readData ? { kind: 'all' } : readDataSubset
}
