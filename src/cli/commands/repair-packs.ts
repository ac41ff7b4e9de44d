import { type RepairedPack, repairPacks } from '../../engine/repository/repair/repair-packs.ts'
import type { Repository } from '../../engine/repository/repository.ts'
import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import { type Id, isId } from '../../lib/id.ts'
import type { Command } from '../command.ts'
import { repairPacksDescription } from '../descriptions/repair-packs.ts'
import { usageError } from '../descriptions/usage.ts'
import type { NoOptions } from '../options/option.ts'
import type { Output } from '../output/output.ts'
import { progressOf, withRepository } from '../repository-session.ts'

export const repairPacksCommand: Command<NoOptions> = {
  ...repairPacksDescription,
  run(context, _options, packs) {
    const { output } = context
    for (const pack of packs)
      if (!isId(pack))
        throw usageError(`${JSON.stringify(pack)} is not the id of a pack`, 'give the full ids that "check" printed')
    return withRepository(context, { lock: 'exclusive' }, async ({ repository, signal }) => {
      await repository.loadIndex(signal)
      for (const pack of packs) await requireKnown(repository, pack, signal)
      const repaired = await repairPacks(repository, {
        packs,
        copyTo: process.cwd(),
        progress: progressOf(context),
        signal,
      })
      printRepaired(output, repaired)
      return 0
    })
  },
}

/** An id with a wrong digit must not look like a pack that was taken care of. */
async function requireKnown(repository: Repository, pack: Id, signal: AbortSignal): Promise<void> {
  if (repository.index.hasPack(pack)) return
  try {
    await repository.storage.stat({ kind: 'data', name: pack }, { signal })
  } catch (cause) {
    if (!isHoldfastError(cause, 'HF_STORAGE_NOT_FOUND')) throw cause
    throw new HoldfastError('HF_STORAGE_NOT_FOUND', `pack ${pack} is neither in the repository nor in its index`, {
      cause,
      hint: 'nothing was changed; "holdfast check" prints the ids of damaged packs',
    })
  }
}

function printRepaired(output: Output, repaired: readonly RepairedPack[]): void {
  const lost = repaired.reduce((sum, pack) => sum + pack.lost.length, 0)
  if (output.json) {
    for (const { pack, saved, lost } of repaired)
      output.message({ message_type: 'repaired', pack, saved_blobs: saved, lost_blobs: lost })
    output.message({ message_type: 'summary', repaired_packs: repaired.length, lost_blobs: lost })
    return
  }
  for (const { pack, saved, lost } of repaired) output.print(`pack ${pack}: ${saved} blobs saved, ${lost.length} lost`)
  if (lost > 0)
    output.warn(
      '\nBack up the same files again if they still exist: that brings lost data back. Otherwise use "holdfast repair snapshots --forget" to remove it from all snapshots',
    )
}
