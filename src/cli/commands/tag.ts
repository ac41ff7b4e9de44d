import { changeTags, replacedSnapshotJson, type TagChange } from '../../engine/repository/tag.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { isVerification } from '../../recovery/verification.ts'
import type { Command } from '../command.ts'
import { type TagOptions, tagDescription } from '../descriptions/tag.ts'
import { progressOf, withRepository } from '../repository-session.ts'
import { printRetained, refuseRetained } from '../retained-snapshots.ts'
import { loadChosenSnapshots } from '../snapshot-choice.ts'

export const tagCommand: Command<TagOptions> = {
  ...tagDescription,
  run(context, options, references) {
    const { output } = context
    output.print('create exclusive lock for repository')
    return withRepository(context, { lock: 'exclusive' }, async ({ repository, signal }) => {
      const { snapshots, exitCode } = await loadChosenSnapshots(repository, references, options, output, signal)
      // Records of verifications are found by their tags: they stay as they are unless they are named.
      const meant = references.length > 0 ? snapshots : snapshots.filter((snapshot) => !isVerification(snapshot))
      const { changed, retained, failed } = await changeTags(repository, meant, changeOf(options), {
        progress: progressOf(context),
        signal,
        onChanged: (change) => {
          if (output.json) output.message(replacedSnapshotJson(change))
          else output.detail(`old snapshot ID: ${change.old.id} -> new snapshot ID: ${change.replacement.id}`)
        },
      })
      if (output.json) output.message({ message_type: 'summary', changed_snapshots: changed.length })
      else output.print(changed.length === 0 ? 'no snapshots were modified' : `modified ${changed.length} snapshots`)
      printRetained(output, retained, 'keep their tags')
      if (failed.length > 0)
        throw new HoldfastError('HF_INCOMPLETE', `${failed.length} snapshots could not be changed`, {
          hint: 'they are named above and kept their tags',
        })
      refuseRetained(retained, 'changed')
      return exitCode
    })
  },
}

function changeOf({ set, add, remove }: TagOptions): TagChange {
  if (set.length > 0) return { set: set.flat() }
  return { add: add.flat(), remove: remove.flat() }
}
