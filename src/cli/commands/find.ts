import type { BlobLocation } from '../../engine/repository/blob.ts'
import type { Repository } from '../../engine/repository/repository.ts'
import { findFiles } from '../../engine/restore/browse/find-files.ts'
import {
  blobsOfPacks,
  type FoundObject,
  findObjects,
  type ObjectIds,
} from '../../engine/restore/browse/find-objects.ts'
import { createFindPattern } from '../../engine/restore/find-pattern.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { compareTimes } from '../../lib/go-time.ts'
import type { Command } from '../command.ts'
import { type FindOptions, findDescription } from '../descriptions/find.ts'
import { FindReport } from '../output/find-report.ts'
import { withRepository } from '../repository-session.ts'
import { loadChosenSnapshots } from '../snapshot-choice.ts'

export const findCommand: Command<FindOptions> = {
  ...findDescription,
  run(context, options, args) {
    const { output } = context
    const { blob, tree, pack, oldest, newest, ignoreCase } = options
    // Before the repository is opened, as a pattern may be wrong.
    const pattern = blob || tree || pack ? undefined : createFindPattern({ patterns: args, oldest, newest, ignoreCase })
    return withRepository(context, { lock: 'read' }, async ({ repository, signal }) => {
      const chosen = await loadChosenSnapshots(repository, options.snapshots, options, output, signal)
      await repository.loadIndex(signal)
      const order = options.reverse ? 1 : -1
      const snapshots = chosen.snapshots.toSorted((a, b) => order * compareTimes(a.time, b.time))
      const report = new FindReport(output, {
        ...options,
        locate: options.showPackId ? (found) => locate(repository, found) : undefined,
      })
      if (pattern !== undefined) await findFiles(repository, snapshots, pattern, report.files(), signal)
      else await findObjects(repository, snapshots, idsOf(repository, options, args), report.objects(), signal)
      report.end()
      if (report.unreadable > 0)
        throw new HoldfastError('HF_DATA_DAMAGED', `${report.unreadable} folders could not be searched`, {
          hint: 'they are named above; run "holdfast check"',
        })
      return chosen.exitCode
    })
  },
}

function idsOf(repository: Repository, { pack, tree }: FindOptions, args: readonly string[]): ObjectIds {
  if (pack) return blobsOfPacks(repository, args)
  return tree ? { blobs: [], trees: args } : { blobs: args, trees: [] }
}

const locate = ({ index }: Repository, { type, id }: FoundObject): BlobLocation | undefined =>
  index.find(type === 'blob' ? 'data' : 'tree', id)
