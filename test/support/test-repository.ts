import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { backupFiles, type FileBackupOptions } from '../../src/engine/archive/backup.ts'
import { createSelector } from '../../src/engine/archive/filter/selector.ts'
import type { BackupOptions, BackupResult } from '../../src/engine/archive/run-backup.ts'
import {
  type InitOptions,
  initRepository,
  openRepository,
  Repository,
  type RepositoryOptions,
} from '../../src/engine/repository/repository.ts'
import { findParent } from '../../src/engine/repository/snapshot-group.ts'
import { loadSnapshots } from '../../src/engine/repository/snapshots.ts'
import { openLocalStorage } from '../../src/engine/storage/local/local-storage.ts'
import { openMemoryStorage } from '../../src/engine/storage/memory/memory-storage.ts'
import type { Storage } from '../../src/engine/storage/storage.ts'
import { localTimestamp } from '../../src/lib/go-time.ts'

export const PASSWORD = 'correct horse'

/** For tests whose subject is not the key: opens in a millisecond. */
export const CHEAP_KDF = { N: 1024, r: 8, p: 1 }

/** A folder that is gone at the end of the block: `using scratch = scratchFolder()`. */
export function scratchFolder(): Disposable & { readonly path: string; join(...parts: string[]): string } {
  const path = mkdtempSync(join(tmpdir(), 'holdfast-test-'))
  return {
    path,
    join: (...parts) => join(path, ...parts),
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  }
}

/** A new repository in a folder, with its index loaded. */
export async function newRepository(path: string, options: InitOptions = {}): Promise<Repository> {
  const storage = await openLocalStorage(path)
  const repository = await initRepository(storage, { password: PASSWORD }, { key: { kdf: CHEAP_KDF }, ...options })
  await repository.loadIndex()
  return repository
}

/** A new repository in memory, with its index loaded: for tests that need no files and no threads that read them. */
export async function memoryRepository(options: InitOptions = {}): Promise<Repository> {
  const repository = await initRepository(
    openMemoryStorage(),
    { password: PASSWORD },
    { key: { kdf: CHEAP_KDF }, ...options },
  )
  await repository.loadIndex()
  return repository
}

/** The same repository over another storage, such as one with faults. Its index is not loaded. */
export const overStorage = (repository: Repository, storage: Storage, options: RepositoryOptions = {}): Repository =>
  new Repository(storage, repository.config, repository.masterKey, repository.keyId, options)

/** The repository in a folder, opened anew, with its index loaded. */
export async function reopen(path: string, options: RepositoryOptions = {}): Promise<Repository> {
  const repository = await openRepository(await openLocalStorage(path), { password: PASSWORD }, options)
  await repository.loadIndex()
  return repository
}

/** What every backup needs, for those that are not of a folder; errors fail the test. */
export const plainOptions = (repository: Repository, tags: readonly string[] = []): BackupOptions => ({
  labels: {
    time: localTimestamp(repository.clock.now()),
    host: 'test-host',
    username: 'tester',
    uid: 0,
    gid: 0,
    tags,
    excludes: [],
    programVersion: 'holdfast test',
  },
  parent: undefined,
  threads: 2,
  observer: {
    onError: (item, error) => {
      throw new Error(`${item}: ${error.message}`)
    },
  },
})

/** Backs up one folder as the command line would, with the newest fitting snapshot as parent; errors fail the test. */
export async function backUp(
  repository: Repository,
  folder: string,
  options: Partial<FileBackupOptions> & { readonly tags?: readonly string[] } = {},
): Promise<BackupResult> {
  const common = plainOptions(repository, options.tags)
  const { labels } = common
  const groupBy = { host: true, paths: true, tags: false }
  const target = Buffer.from(folder).toString('latin1')
  const criteria = { groupBy, host: labels.host, paths: [folder], tags: [], time: labels.time }
  return await backupFiles(repository, {
    ...common,
    parent: findParent(await loadSnapshots(repository), criteria),
    targets: [target],
    selector: createSelector({
      targets: [Buffer.from(folder)],
      warn: (message) => {
        throw new Error(message)
      },
    }),
    ...options,
  })
}

/** Runs the restic on this machine (RESTIC names another) on a repository of these tests. */
export function restic(
  repository: string,
  ...args: readonly string[]
): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr, error } = spawnSync(
    process.env.RESTIC ?? 'restic',
    ['-r', repository, '--no-cache', ...args],
    {
      env: { ...process.env, RESTIC_PASSWORD: PASSWORD },
      encoding: 'utf8',
      maxBuffer: 1 << 30,
    },
  )
  if (error) throw error
  return { status, stdout, stderr }
}

/** Fails unless restic finds the repository whole, every byte read. */
export function expectResticContent(repository: string): void {
  const { status, stdout, stderr } = restic(repository, 'check', '--read-data')
  if (status !== 0) throw new Error(`restic check --read-data exits with ${status}:\n${stdout}\n${stderr}`)
}
