import { readdirSync } from 'node:fs'
import { resolve } from 'node:path'
import { executeRestore, planRestore } from '../../../engine/restore/index.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import { formatSize } from '../../../lib/sizes.ts'
import type { PlannedRestore, RestoreJob } from '../../restore.ts'
import type { LogicalSnapshot } from './snapshot.ts'

/** The dump itself, for PostgreSQL's own programs. @throws HoldfastError HF_USAGE when only a part of it is asked for */
export async function planDirectory(snapshot: LogicalSnapshot, job: RestoreJob, path: string): Promise<PlannedRestore> {
  if (job.include.length > 0 || job.exclude.length > 0 || job.rename.length > 0)
    throw new HoldfastError('HF_USAGE', 'parts of a logical snapshot are restored to a server, not to a directory', {
      hint: '"holdfast restore SNAPSHOT:/SOURCE/data/DATABASE --target FOLDER" brings the files of one database',
    })
  const target = resolve(path)
  const { repository, signal, overwrite } = job
  const plan = await planRestore(repository, snapshot.dataTree, { target, overwrite: 'always', signal })
  const { files, bytes } = plan.totals
  const isRefused = (): boolean => !overwrite && isFilled(target)
  const what = `${target} is not empty`
  const remedy = 'name a new folder, or allow it to be overwritten with --overwrite'
  const { databases, dumpFormat } = snapshot.manifest
  return {
    plan: {
      steps: [`write ${files} files, ${formatSize(bytes)}, to ${target}`],
      files,
      bytes,
      overwrites: isFilled(target) ? [`files of the same names in ${target}`] : [],
      problems: isRefused() ? [{ severity: 'error', what, remedy }] : [],
      afterwards: databases.map(({ name, dump }) =>
        dumpFormat === 'plain'
          ? `the script of database ${name} is ${target}/${dump.path}`
          : `restore database ${name}: pg_restore --create --dbname=postgres '${target}/${dump.path.replace(/\/toc\.dat$/, '')}'`,
      ),
    },
    execute: async (observer, executeSignal = signal) => {
      if (isRefused()) throw new HoldfastError('HF_TARGET_INVALID', what, { hint: remedy })
      let errors = 0
      const { progress } = await executeRestore(repository, plan, {
        signal: executeSignal,
        observer: {
          onError: (item, error) => {
            errors++
            observer.onError(item, error)
          },
          onWarning: (message) => observer.onWarning(message),
          onProgress: (done) => observer.onProgress({ bytes: done.bytes, totalBytes: bytes }),
        },
      })
      return { files: progress.files, bytes: progress.bytes, errors, facts: {} }
    },
  }
}

function isFilled(path: string): boolean {
  try {
    return readdirSync(path).length > 0
  } catch {
    return false
  }
}
