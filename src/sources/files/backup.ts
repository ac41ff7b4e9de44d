import { backupFiles } from '../../engine/archive/backup.ts'
import { createSelector, patternSources, type Selector } from '../../engine/archive/filter/index.ts'
import { textToByteString } from '../../engine/repository/tree/node.ts'
import { formatTime } from '../../lib/go-time.ts'
import { storeJson } from '../json-file.ts'
import type { BackupJob, SourceBackup } from '../source.ts'
import { type FileSourceType, type FilesManifest, manifestPath } from './manifest.ts'
import { requirePaths } from './paths.ts'
import { discreetObserver, type SecretNames } from './secret-names.ts'
import type { FilesSettings } from './settings.ts'

/** A configured source whose snapshots hold files at their real paths. */
export interface FileSourceIdentity {
  readonly name: string
  readonly type: FileSourceType
  readonly secrets: SecretNames
}

/** Backs up files and folders of this machine as they are. */
export async function backupFileSource(
  job: BackupJob,
  { name, type: sourceType, secrets }: FileSourceIdentity,
  settings: FilesSettings,
): Promise<SourceBackup> {
  const { paths, exclude, iexclude } = settings
  const { present, absent } = requirePaths(name, paths, job.require, secrets)
  const { labels } = job.options
  const observer = discreetObserver(job.options.observer, secrets)
  for (const { path, error } of absent) observer.onError(path, error)
  const parent = job.type === 'full' ? undefined : job.options.parent
  const type = parent === undefined ? 'full' : job.type
  const manifest: FilesManifest = {
    format: 1,
    source: name,
    type: sourceType,
    paths,
    exclude,
    iexclude,
    missing: absent.map(({ path }) => path),
    secrets: secrets.patterns,
    since: null,
    started: formatTime(labels.time),
  }
  const result = await backupFiles(job.repository, {
    ...job.options,
    observer,
    labels: { ...labels, tags: [...labels.tags, `type=${type}`], excludes: exclude },
    parent,
    targets: present.map(textToByteString),
    selector: selectorOf(settings, present, (message) => observer.onError(name, new Error(message))),
    beside: (entries) => {
      const { time: mtime, uid, gid } = labels
      return storeJson(entries, manifestPath(name), manifest, { mtime, uid, gid })
    },
  })
  return {
    result: { ...result, errors: result.errors + absent.length },
    type,
    reason: type === job.type ? undefined : NOTHING_EARLIER,
    point: undefined,
  }
}

/** Decides what of the files at `targets` is backed up. @throws HoldfastError HF_PATH_NOT_FOUND as `createSelector` does */
export function selectorOf(
  { exclude, iexclude, excludeCaches, excludeIfPresent, oneFileSystem }: FilesSettings,
  targets: readonly string[],
  warn: (message: string) => void,
): Selector {
  return createSelector({
    targets: targets.map((path) => Buffer.from(path)),
    exclude: patternSources(exclude),
    iexclude: patternSources(iexclude),
    excludeCaches,
    excludeIfPresent,
    oneFileSystem,
    warn,
  })
}

/** Why a run was a full one although another was asked for. */
export const NOTHING_EARLIER = 'there is no earlier snapshot to compare with'
