import { readdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { isWithin } from '../../engine/archive/filter/clean-path.ts'
import { absolutePath } from '../../engine/archive/filter/index.ts'
import { rootOf } from '../../engine/repository/snapshot.ts'
import { textToByteString } from '../../engine/repository/tree/node.ts'
import { ROOT } from '../../engine/restore/entry-table.ts'
import { type OverwriteMode, planRestore, type RestorePlan } from '../../engine/restore/index.ts'
import { HoldfastError, systemErrorCode } from '../../lib/errors.ts'
import type { RestoreJob } from '../restore.ts'
import type { FileSourceIdentity } from './backup.ts'
import { lookAt } from './look-at.ts'
import { fileSelector } from './restore-selection.ts'
import { type SecretNames, secretNames } from './secret-names.ts'
import { findFilesManifest } from './stored-manifest.ts'

/** A restore of files with what is needed to carry it out. */
export interface FileRestore {
  readonly job: RestoreJob
  readonly target: string
  readonly secrets: SecretNames
  readonly plan: RestorePlan
  /** Links in the target in whose place the snapshot has folders that lead to the paths of the source. */
  readonly obstacles: readonly string[]
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
  const paths = manifest?.paths ?? snapshot.paths
  const plan = await planRestore(repository, rootOf(snapshot), {
    target,
    selector: fileSelector(paths, { include, exclude }),
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
      totals: { ...plan.totals, files: plan.totals.files - leaveFoldersAbove(plan, paths), deletedFiles: 0 },
      rules: { ...plan.rules, removeTrees: false },
    },
    obstacles: linksAbove(target, paths),
    extras: plan.deletions.flatMap(({ paths }) => paths.at(-1) ?? []),
  }
}

/** Leaves folders that only lead to the paths of the source as they are where they are there. Returns how many there are. */
function leaveFoldersAbove({ entries }: RestorePlan, paths: readonly string[]): number {
  const roots = paths.map((path) => absolutePath(textToByteString(path)))
  let count = 0
  for (let entry = ROOT + 1; entry < entries.count; entry++) {
    if (entries.kind(entry) !== 'dir' || entries.action(entry) !== 'adjust') continue
    const path = entries.path(entry)
    if (roots.some((root) => isWithin(root, path))) continue
    entries.setAction(entry, 'skip')
    count++
  }
  return count
}

function linksAbove(target: string, paths: readonly string[]): readonly string[] {
  const links = new Set<string>()
  for (const path of paths)
    for (let above = dirname(resolve(path)); above !== '/'; above = dirname(above)) {
      const place = join(target, above)
      const found = lookAt(place)
      if (found !== undefined && !found.isDirectory()) links.add(place)
    }
  return [...links]
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
