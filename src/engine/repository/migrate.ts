import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import type { Progress } from '../../lib/progress.ts'
import { checkRepository } from './check/check.ts'
import type { Repository } from './repository.ts'

/** A conversion of a repository to a newer format. */
export interface Migration {
  readonly name: string
  readonly description: string
}

interface MigrationCode extends Migration {
  /** Why it cannot be applied; undefined when it can. */
  readonly obstacle: (repository: Repository) => string | undefined
  readonly apply: (repository: Repository, options: MigrationOptions) => Promise<void>
}

const migrations: readonly MigrationCode[] = [
  {
    name: 'upgrade_repo_v2',
    description: 'upgrade a repository to version 2',
    obstacle: ({ config }) =>
      config.version === 1 ? undefined : `repository is already upgraded to version ${config.version}`,
    apply: upgradeToVersion2,
  },
]

/** What `migrate` lists: the conversions that can be applied. */
export const applicableMigrations = (repository: Repository): readonly Migration[] =>
  migrations.filter(({ obstacle }) => obstacle(repository) === undefined)

export interface MigrationOptions {
  /** Try it although it cannot be applied. */
  readonly force?: boolean
  readonly progress: Progress
  readonly signal?: AbortSignal | undefined
}

/**
 * Checks the repository and converts it. Wants the exclusive lock, and a repository that was opened without a cache, since it is checked.
 * Returns why the conversion cannot be applied; undefined when it was.
 *
 * @throws HoldfastError HF_USAGE for an unknown name, HF_DATA_DAMAGED when the check finds errors: nothing is changed then; HF_REPO_VERSION
 * for a forced conversion of a repository it is not for
 */
export async function applyMigration(
  repository: Repository,
  name: string,
  options: MigrationOptions,
): Promise<string | undefined> {
  const { force = false, progress, signal } = options
  const migration = migrations.find((candidate) => candidate.name === name)
  if (!migration)
    throw new HoldfastError('HF_USAGE', `unknown migration ${name}`, {
      hint: `there is ${migrations.map((known) => known.name).join(', ')}`,
    })
  const obstacle = migration.obstacle(repository)
  if (obstacle !== undefined) {
    if (!force) return obstacle
    progress.warn(`check for migration ${name} failed, continuing anyway`)
  }
  progress.note('checking repository integrity...')
  const { errors } = await checkRepository(repository, { progress, signal })
  if (errors > 0)
    throw new HoldfastError('HF_DATA_DAMAGED', `the repository has ${errors} errors and is left as it is`, {
      hint: 'run "holdfast check" and repair it first',
    })
  progress.note(`applying migration ${name}...`)
  await migration.apply(repository, options)
  return undefined
}

/**
 * Only the config file says which version a repository has. A copy of it stays in a folder for temporary files until the new one is stored.
 */
async function upgradeToVersion2(repository: Repository, { signal }: MigrationOptions): Promise<void> {
  const { storage, config } = repository
  if (config.version !== 1)
    throw new HoldfastError(
      'HF_REPO_VERSION',
      `repository has version ${config.version}, only upgrades from version 1 are supported`,
    )
  const stored = await storage.get({ kind: 'config' }, undefined, { signal })
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-migrate-upgrade-repo-v2-'))
  const copy = join(folder, 'config')
  await writeFile(copy, stored, { mode: 0o600, flush: true })
  try {
    // Not to be cancelled: in between there may be no config on a storage that cannot replace a file at once.
    await repository.replaceConfig({ ...config, version: 2 })
  } catch (cause) {
    throw new HoldfastError('HF_STORAGE_IO', `the new config file could not be stored; ${await putBack()}`, {
      cause,
      retry: 'after-fix',
      hint: `the old config file is in ${copy}; keep it until the repository opens again`,
    })
  }
  await rm(folder, { recursive: true, force: true })

  async function putBack(): Promise<string> {
    try {
      await storage.put({ kind: 'config' }, stored, { replace: true })
      return 'the old one was put back'
    } catch (error) {
      return `the old one could not be put back either: ${isHoldfastError(error) ? error.message : String(error)}`
    }
  }
}
