import { mkdirSync } from 'node:fs'
import type { Repository } from '../../src/engine/repository/repository.ts'
import type { StoredSnapshot } from '../../src/engine/repository/snapshot.ts'
import { systemClock } from '../../src/lib/clock.ts'
import type { RestoreJob, SourceRestoreObserver } from '../../src/sources/restore.ts'
import type { Source, SourceKind } from '../../src/sources/source.ts'
import { newRepository, plainOptions, scratchFolder } from './test-repository.ts'

/** For tests: a folder to back up, a repository beside it, and room for what is restored. */
export interface FilesStage extends Disposable {
  readonly repository: Repository
  /** The folder that is backed up. */
  readonly folder: string
  /** Path of something in it. */
  file(...names: readonly string[]): string
  /** Path of something beside it. */
  beside(...names: readonly string[]): string
}

export async function filesStage(): Promise<FilesStage> {
  const scratch = scratchFolder()
  const folder = scratch.join('shop')
  mkdirSync(folder)
  return {
    repository: await newRepository(scratch.join('repository')),
    folder,
    file: (...names) => scratch.join('shop', ...names),
    beside: scratch.join,
    [Symbol.dispose]: () => scratch[Symbol.dispose](),
  }
}

/** A source of a kind, called as its type. */
export const openSource = <Settings>(kind: SourceKind<Settings>, settings: object): Source =>
  kind.open(kind.type, kind.settings.parse(settings), { clock: systemClock, secret: async () => '' })

/** The snapshot that a backup of the source makes now. */
export async function snapshotOf(repository: Repository, source: Source): Promise<StoredSnapshot> {
  const options = plainOptions(repository, [`source=${source.name}`, 'kind=backup'])
  const { result } = await source.backup({ repository, type: 'full', require: [], options })
  return result.snapshot!
}

/** Everything of a snapshot into a folder. */
export const restoreJob = (
  repository: Repository,
  snapshot: StoredSnapshot,
  path: string,
  more: Partial<RestoreJob> = {},
): RestoreJob => ({
  repository,
  snapshot,
  target: { kind: 'directory', path },
  include: [],
  exclude: [],
  rename: [],
  overwrite: false,
  ...more,
})

/** Keeps what a restore tells, a line each. */
export function restoreObserver(): SourceRestoreObserver & { readonly told: string[]; readonly errors: string[] } {
  const told: string[] = []
  const errors: string[] = []
  return {
    told,
    errors,
    onStep: (step) => told.push(step),
    onProgress: () => undefined,
    onWarning: (message) => told.push(message),
    onError: (item, error) => errors.push(`${item}: ${error.message}`),
  }
}
