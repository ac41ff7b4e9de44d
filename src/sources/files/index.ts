import { existsSync } from 'node:fs'
import { backupFiles } from '../../engine/archive/backup.ts'
import { createSelector, patternSources } from '../../engine/archive/filter/index.ts'
import { lstat } from '../../engine/posix/attributes.ts'
import { missingFeatures } from '../../engine/posix/missing-features.ts'
import { textToByteString } from '../../engine/repository/tree/node.ts'
import { HoldfastError, systemErrorCode } from '../../lib/errors.ts'
import { formatTime } from '../../lib/go-time.ts'
import { storeJson } from '../json-file.ts'
import type { BackupJob, Source, SourceBackup, SourceFacts, SourceKind, SourceProblem } from '../source.ts'
import type { FilesManifest } from './manifest.ts'
import { type FilesSettings, filesSettings } from './settings.ts'

/** Files and folders of this machine, at their real paths. */
export const filesKind: SourceKind<FilesSettings> = {
  type: 'files',
  summary: 'files and folders',
  settings: filesSettings,
  open: (name, settings) => new FilesSource(name, settings),
}

class FilesSource implements Source {
  readonly name: string
  readonly type = 'files'
  readonly #settings: FilesSettings

  constructor(name: string, settings: FilesSettings) {
    this.name = name
    this.#settings = settings
  }

  get paths(): readonly string[] {
    return this.#settings.paths
  }

  async test(): Promise<SourceFacts> {
    const { present } = this.#look()
    return {
      version: `${process.platform} ${process.arch}`,
      facts: { paths: `${present.length} of ${this.paths.length} there` },
    }
  }

  async examine(): Promise<readonly SourceProblem[]> {
    const problems: SourceProblem[] = []
    for (const { path, error } of this.#look().absent)
      problems.push({
        severity: 'error',
        what: `${path} ${whyAbsent(error)}`,
        remedy: systemErrorCode(error) === 'ENOENT' ? `mkdir -p ${path}` : undefined,
      })
    for (const feature of missingFeatures())
      problems.push({ severity: 'warning', what: `without native calls: ${feature}`, remedy: 'npm install koffi' })
    return problems
  }

  async backup(job: BackupJob): Promise<SourceBackup> {
    const { paths, exclude, iexclude, excludeCaches, excludeIfPresent, oneFileSystem } = this.#settings
    const { present, absent } = this.#look()
    if (present.length === 0)
      throw new HoldfastError('HF_SOURCE_UNREADABLE', `none of the paths of source ${this.name} can be read`, {
        hint: absent.map(({ path, error }) => `${path} ${whyAbsent(error)}`).join('; '),
      })
    const missing = job.require.filter((path) => !existsSync(path))
    if (missing.length > 0)
      throw new HoldfastError('HF_REQUIRED_MISSING', `source ${this.name} requires ${missing.join(', ')}`, {
        hint: 'bring back what is missing, or change "require" in the configuration',
      })
    const { observer, labels } = job.options
    for (const { path, error } of absent) observer.onError(path, error)
    const parent = job.type === 'full' ? undefined : job.options.parent
    const type = parent === undefined ? 'full' : job.type
    const manifest: FilesManifest = {
      format: 1,
      source: this.name,
      type: 'files',
      paths,
      exclude,
      iexclude,
      missing: absent.map(({ path }) => path),
      started: formatTime(labels.time),
    }
    const result = await backupFiles(job.repository, {
      ...job.options,
      labels: { ...labels, tags: [...labels.tags, `type=${type}`], excludes: exclude },
      parent,
      targets: present.map(textToByteString),
      selector: createSelector({
        targets: present.map((path) => Buffer.from(path)),
        exclude: patternSources(exclude),
        iexclude: patternSources(iexclude),
        excludeCaches,
        excludeIfPresent,
        oneFileSystem,
        warn: (message) => observer.onError(this.name, new Error(message)),
      }),
      beside: (entries) => {
        const { time: mtime, uid, gid } = labels
        return storeJson(entries, `/.holdfast/${this.name}/manifest.json`, manifest, { mtime, uid, gid })
      },
    })
    return {
      result: { ...result, errors: result.errors + absent.length },
      type,
      reason: type === job.type ? undefined : 'there is no earlier snapshot to compare with',
      point: undefined,
    }
  }

  #look(): { readonly present: readonly string[]; readonly absent: readonly AbsentPath[] } {
    const present: string[] = []
    const absent: AbsentPath[] = []
    for (const path of this.paths) {
      try {
        lstat(Buffer.from(path))
        present.push(path)
      } catch (error) {
        absent.push({ path, error: error as Error })
      }
    }
    return { present, absent }
  }
}

interface AbsentPath {
  readonly path: string
  readonly error: Error
}

const whyAbsent = (error: Error): string =>
  systemErrorCode(error) === 'ENOENT' ? 'does not exist' : `cannot be looked at: ${error.message}`
