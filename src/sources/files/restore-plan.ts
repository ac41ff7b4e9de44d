import { readdirSync } from 'node:fs'
import { rootOf } from '../../engine/repository/snapshot.ts'
import { type OverwriteMode, planRestore, type RestorePlan } from '../../engine/restore/index.ts'
import { HoldfastError, systemErrorCode } from '../../lib/errors.ts'
import type { RestoreJob } from '../restore.ts'
import type { FileSourceIdentity } from './backup.ts'
import { fileSelector } from './restore-selection.ts'
import { type SecretNames, secretNames } from './secret-names.ts'
import { findFilesManifest } from './stored-manifest.ts'

/** A restore of files with what is needed to carry it out. */
export interface FileRestore {
  readonly job: RestoreJob
  readonly target: string
  readonly secrets: SecretNames
  readonly plan: RestorePlan
  /** Items of the target within the paths of the source that the snapshot does not have, and that stay. */
  readonly extras: readonly string[]
}

/** Reads the snapshot, looks at the target, and changes nothing. @throws HoldfastError HF_TARGET_INVALID, HF_PATTERN_INVALID, what reading the snapshot throws */
export async function planFiles(job: RestoreJob, identity: FileSourceIdentity, target: string): Promise<FileRestore> {
  const { repository, snapshot, overwrite, include, exclude, signal } = job
  const manifest = await findFilesManifest(repository, snapshot, identity.name, signal)
  const secrets = secretNames([...new Set([...identity.secrets.patterns, ...(manifest?.secrets ?? [])])])
  const listsExtras = overwrite && identity.type === 'config'
  const mode: OverwriteMode = identity.type === 'logs' ? 'if-newer' : 'always'
  const plan = await planRestore(repository, rootOf(snapshot), {
    target,
    selector: fileSelector(manifest?.paths ?? snapshot.paths, { include, exclude }),
    overwrite: mode,
    deleteOthers: listsExtras,
    signal,
  })
  return {
    job,
    target,
    secrets,
    // Nothing is deleted: what would be is only told.
    plan: {
      ...plan,
      deletions: [],
      totals: { ...plan.totals, deletedFiles: 0 },
      rules: { ...plan.rules, removeTrees: false },
    },
    extras: plan.deletions.flatMap(({ paths }) => paths.at(-1) ?? []),
  }
}

/** Whether what is in the target may be changed, or nothing is. @throws HoldfastError HF_TARGET_INVALID when it cannot be looked at */
export function isEmptyOrOverwritable({ job, target }: Pick<FileRestore, 'job' | 'target'>): boolean {
  if (job.overwrite) return true
  try {
    return readdirSync(target).length === 0
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return true
    throw new HoldfastError('HF_TARGET_INVALID', `${target} cannot be restored to: ${(error as Error).message}`, {
      cause: error,
      hint: 'name a folder that you may write to, or one that does not exist yet',
    })
  }
}
