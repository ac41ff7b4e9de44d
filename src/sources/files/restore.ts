import { resolve } from 'node:path'
import { sha256Hex } from '../../engine/kernels/sha256.ts'
import { executeRestore, RestoreThreads, verifyRestore } from '../../engine/restore/index.ts'
import { HoldfastError } from '../../lib/errors.ts'
import {
  type PlannedRestore,
  type RestoreJob,
  refuseObstacles,
  type SourceRestoreObserver,
  type SourceRestoreResult,
} from '../restore.ts'
import type { FileSourceIdentity } from './backup.ts'
import { type FileRestore, isEmptyOrOverwritable, planFiles } from './restore-plan.ts'
import { describeRestore } from './restore-text.ts'

/**
 * Plans a restore of files below a folder, each at its real path in it; `/` puts them back where they were. Logs that are newer in the target
 * stay (S0-B18).
 *
 * @throws HoldfastError HF_TARGET_INVALID, HF_UNSUPPORTED, HF_PATTERN_INVALID, whatever reading the snapshot throws
 */
export async function planFileRestore(job: RestoreJob, identity: FileSourceIdentity): Promise<PlannedRestore> {
  if (job.target.kind !== 'directory')
    throw new HoldfastError('HF_TARGET_INVALID', 'files are restored into a folder, not into a server', {
      hint: 'name a folder',
    })
  if (job.rename.length > 0)
    throw new HoldfastError('HF_UNSUPPORTED', 'files are restored under the names they had', {
      hint: 'restore into another folder, and move them there',
    })
  const target = resolve(job.target.path)
  const restore = await planFiles(job, identity, target)
  const plan = describeRestore(restore)
  return {
    plan,
    execute: async (observer, signal = job.signal) => {
      refuseObstacles(plan.problems)
      const now = await planFiles({ ...job, signal }, identity, target)
      if (!isEmptyOrOverwritable(now) || fingerprintOf(now) !== fingerprintOf(restore))
        throw new HoldfastError('HF_TARGET_INVALID', `${target} has changed since the restore was planned`, {
          hint: 'plan it anew, and see to it that nobody else works there',
        })
      return await carryOut(now, plan.steps, observer, signal)
    },
  }
}

/** Changes when something else would be done than was planned. */
function fingerprintOf({ plan, extras }: FileRestore): string {
  const { entries, writing, totals } = plan
  const { placements } = writing
  const parts = [entries.memory.action, placements.entry, placements.offset, JSON.stringify([totals, extras])]
  return parts
    .map((part) =>
      sha256Hex(
        typeof part === 'string' ? Buffer.from(part) : Buffer.from(part.buffer, part.byteOffset, part.byteLength),
      ),
    )
    .join()
}

async function carryOut(
  { job, target, secrets, plan }: FileRestore,
  steps: readonly string[],
  observer: SourceRestoreObserver,
  signal: AbortSignal | undefined,
): Promise<SourceRestoreResult> {
  const { repository } = job
  let errors = 0
  const fail = (item: string, error: Error): void => {
    errors++
    const path = target !== '/' && item.startsWith(`${target}/`) ? item.slice(target.length) : item
    observer.onError(secrets.show(path), secrets.conceal(path, error))
  }
  await using threads = new RestoreThreads()
  // The last step is reading it all again.
  for (const step of steps.slice(0, -1)) observer.onStep(step)
  const { progress, failed } = await executeRestore(
    repository,
    plan,
    {
      observer: {
        onError: fail,
        onWarning: (message) => observer.onWarning(message),
        onProgress: ({ bytes, totals }) => observer.onProgress({ bytes, totalBytes: totals.bytes }),
      },
      signal,
    },
    threads,
  )
  const { files, bytes } = progress
  observer.onStep(steps.at(-1)!)
  const verified = await verifyRestore(repository, plan, { except: failed, onError: fail, signal }, threads)
  return { files, bytes, errors, facts: { target, 'read back and equal': `${verified.files} files` } }
}
