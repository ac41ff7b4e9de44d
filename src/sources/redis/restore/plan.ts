import { resolve } from 'node:path'
import { HoldfastError } from '../../../lib/errors.ts'
import type { PlannedRestore, RestoreJob } from '../../restore.ts'
import { selectionOf } from '../selection.ts'
import { openSnapshot } from '../snapshot.ts'
import { survey } from '../survey.ts'
import { planDirectory } from './directory.ts'

/**
 * Plans a restore into a data folder or into a running server.
 * @throws HoldfastError HF_USAGE for a selection that is none, HF_TARGET_INVALID, what opening the snapshot or reaching the server throws
 */
export async function planRestore(job: RestoreJob): Promise<PlannedRestore> {
  const { repository, target, overwrite, signal } = job
  const selection = selectionOf(job)
  const snapshot = await openSnapshot(repository, job.snapshot, signal)
  if (target.kind !== 'directory')
    throw new HoldfastError('HF_TARGET_INVALID', 'a Redis server is restored into a folder', { hint: 'name a folder' })
  const found = selection.isPartial ? await survey(snapshot.rdb(signal), selection) : undefined
  return planDirectory({ snapshot, selection, survey: found, path: resolve(target.path), overwrite })
}
