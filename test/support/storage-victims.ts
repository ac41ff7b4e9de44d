import { createCipheriv } from 'node:crypto'
import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { copySnapshots } from '../../src/engine/repository/copy/copy-snapshots.ts'
import { executeForget, planForgetOf } from '../../src/engine/repository/forget.ts'
import { rewriteIndex } from '../../src/engine/repository/index/rewrite-index.ts'
import { addKey, changePassword, removeKey } from '../../src/engine/repository/key-management.ts'
import { applyMigration } from '../../src/engine/repository/migrate.ts'
import { executePrune } from '../../src/engine/repository/prune/execute-prune.ts'
import { planPrune } from '../../src/engine/repository/prune/plan-prune.ts'
import type { PruneOptions } from '../../src/engine/repository/prune/prune-plan.ts'
import { recover } from '../../src/engine/repository/repair/recover.ts'
import { repairIndex } from '../../src/engine/repository/repair/repair-index.ts'
import { repairPacks } from '../../src/engine/repository/repair/repair-packs.ts'
import { repairSnapshots } from '../../src/engine/repository/repair/repair-snapshots.ts'
import { openRepository, type Repository } from '../../src/engine/repository/repository.ts'
import { rewriteSnapshots } from '../../src/engine/repository/rewrite.ts'
import type { StoredSnapshot } from '../../src/engine/repository/snapshot.ts'
import { loadSnapshots } from '../../src/engine/repository/snapshots.ts'
import { changeTags } from '../../src/engine/repository/tag.ts'
import type { RewriteSelector } from '../../src/engine/repository/tree-rewriter.ts'
import type { Storage } from '../../src/engine/storage/storage.ts'
import { localTimestamp } from '../../src/lib/go-time.ts'
import type { Progress } from '../../src/lib/progress.ts'
import { backUp, CHEAP_KDF, PASSWORD } from './test-repository.ts'

export const OTHER_PASSWORD = 'battery staple'

/** Small, so that a few files make several packs. */
export const SMALL_PACK_BYTES: number = 120_000

/** Removes all that is not needed, however little it is. */
export const pruneAll: PruneOptions = {
  maxUnusedBytes: () => 0,
  maxRepackBytes: Number.POSITIVE_INFINITY,
  smallPackBytes: 0,
  repackCacheableOnly: false,
  repackUncompressed: false,
  unsafeRecovery: false,
}

/** What a person would be told of besides a failure. */
export interface Reports {
  readonly texts: string[]
  readonly progress: Progress
}

export function newReports(): Reports {
  const texts: string[] = []
  return {
    texts,
    progress: {
      step: () => ({ add: () => undefined, done: () => undefined }),
      note: () => undefined,
      warn: (text) => texts.push(text),
    },
  }
}

/** What operations need besides the repository. */
export interface World {
  /** A folder to back up, whose past states are in the repository. */
  readonly data: string
  /** Another repository, to copy from. */
  readonly source: Storage
}

/** An operation that the storage may fail at any call. */
export interface Victim {
  readonly name: string
  readonly startsThreads?: boolean
  /** Of the repository; 2 by default. */
  readonly version?: 1
  /** What is done to a copy of the history before. */
  readonly prepare?: (repository: Repository, world: World) => Promise<unknown>
  readonly run: (repository: Repository, world: World, reports: Reports) => Promise<unknown>
  /** Of the snapshots there are before, those that must be there afterwards, as they are or as a changed copy. */
  readonly keeps?: (before: readonly StoredSnapshot[]) => readonly StoredSnapshot[]
  /** Whether the snapshots that stay may be given other trees. */
  readonly changesTrees?: boolean
  /** Whether the work is done, for a run that tells of no failure. */
  readonly isDone: (repository: Repository, before: readonly StoredSnapshot[]) => Promise<boolean>
}

const keepNewest = async (repository: Repository, progress: Progress): Promise<void> => {
  const older = (await loadSnapshots(repository)).slice(0, -1)
  await executeForget(repository, planForgetOf(older), progress)
}

export const opens = (storage: Storage, password: string): Promise<boolean> =>
  openRepository(storage, { password }).then(
    () => true,
    () => false,
  )

const withoutB: RewriteSelector = (path, isDirectory) => ({
  selected: !path.endsWith('/b'),
  descend: isDirectory && !path.endsWith('/b'),
})

const recoverLabels = {
  time: localTimestamp(1_700_000_000_000_000_000n),
  host: 'test-host',
  username: 'tester',
  uid: 0,
  gid: 0,
  programVersion: 'holdfast test',
}

export const victims: readonly Victim[] = [
  {
    name: 'backup',
    startsThreads: true,
    run: async (repository, { data }, { texts }) => {
      const onError = (item: string, error: Error): unknown => texts.push(`${item}: ${error.message}`)
      await backUp(repository, data, { observer: { onError } })
    },
    isDone: async (repository, before) => (await repository.list('snapshot')).length === before.length + 1,
  },
  {
    name: 'forget',
    run: (repository, _, { progress }) => keepNewest(repository, progress),
    keeps: (before) => before.slice(-1),
    isDone: async (repository) => (await repository.list('snapshot')).length === 1,
  },
  {
    name: 'prune',
    prepare: (repository) => keepNewest(repository, newReports().progress),
    run: async (repository, _, { progress }) =>
      await executePrune(repository, await planPrune(repository, pruneAll, progress), progress),
    isDone: async (repository) => {
      const { stats } = await planPrune(repository, pruneAll, newReports().progress)
      return stats.bytes.unused === 0 && stats.packfiles.unreferenced === 0 && stats.packfiles.unused === 0
    },
  },
  {
    name: 'rewriting the index',
    run: (repository, _, { progress }) => rewriteIndex(repository, { removePacks: new Set(), progress }),
    isDone: async (repository) => (await repository.list('index')).length === 1,
  },
  {
    name: 'tag',
    run: async (repository, _, { progress }) =>
      await changeTags(repository, await loadSnapshots(repository), { add: ['kept'], remove: [] }, { progress }),
    isDone: async (repository) => (await loadSnapshots(repository)).every(({ tags }) => tags.includes('kept')),
  },
  {
    name: 'key add',
    run: (repository) => addKey(repository, OTHER_PASSWORD, { kdf: CHEAP_KDF }),
    isDone: ({ storage }) => opens(storage, OTHER_PASSWORD),
  },
  {
    name: 'key passwd',
    run: (repository) => changePassword(repository, OTHER_PASSWORD, { kdf: CHEAP_KDF }),
    isDone: async ({ storage }) => (await opens(storage, OTHER_PASSWORD)) && !(await opens(storage, PASSWORD)),
  },
  {
    name: 'key remove',
    prepare: (repository) => addKey(repository, OTHER_PASSWORD, { kdf: CHEAP_KDF }),
    run: async (repository) => {
      const other = (await repository.list('key')).find((id) => id !== repository.keyId)
      if (other !== undefined) await removeKey(repository, other)
    },
    isDone: async ({ storage }) => !(await opens(storage, OTHER_PASSWORD)),
  },
  {
    name: 'migrate',
    version: 1,
    run: (repository, _, { progress }) => applyMigration(repository, 'upgrade_repo_v2', { progress }),
    isDone: async (repository) => repository.config.version === 2,
  },
  {
    name: 'rewrite',
    run: async (repository, _, { progress }) => {
      const snapshots = await loadSnapshots(repository)
      await rewriteSnapshots(repository, snapshots, { selector: withoutB, forget: true, progress })
    },
    changesTrees: true,
    isDone: async (repository) => (await loadSnapshots(repository)).every(({ original }) => original !== undefined),
  },
  {
    name: 'copy',
    startsThreads: true,
    run: async (repository, { source }, { progress }) => {
      const from = await openRepository(source, { password: PASSWORD })
      const snapshots = await loadSnapshots(from)
      await from.loadIndex()
      await copySnapshots(from, repository, snapshots, { threads: 2, progress })
    },
    isDone: async (repository, before) => (await repository.list('snapshot')).length === before.length + 1,
  },
  {
    name: 'repair index',
    run: async (repository, _, { progress }) => {
      const { unreadablePacks } = await repairIndex(repository, { readAllPacks: true, progress })
      if (unreadablePacks.length > 0) progress.warn(`packs ${unreadablePacks.join()} cannot be read`)
    },
    isDone: async (repository) => (await repository.list('index')).length === 1,
  },
  {
    name: 'repair packs',
    run: async (repository, _, { progress }) => {
      const packs = [...repository.index.packs()].slice(0, 2).map(({ id }) => id)
      for (const { pack, lost } of await repairPacks(repository, { packs, progress }))
        if (lost.length > 0) progress.warn(`${lost.length} blobs of pack ${pack} are lost`)
    },
    isDone: async () => true,
  },
  {
    name: 'repair snapshots',
    run: async (repository, _, { progress }) => {
      const snapshots = await loadSnapshots(repository)
      const { repairs } = await repairSnapshots(repository, { snapshots, forget: true, progress })
      for (const { snapshot, outcome } of repairs)
        if (outcome !== 'whole') progress.warn(`snapshot ${snapshot.id} is ${outcome}`)
    },
    isDone: async () => true,
  },
  {
    name: 'recover',
    prepare: (repository) => keepNewest(repository, newReports().progress),
    run: (repository, _, { progress }) => recover(repository, { labels: recoverLabels, progress }),
    isDone: async (repository, before) => (await repository.list('snapshot')).length === before.length + 1,
  },
]

/** Bytes that cannot be compressed, the same for the same seed. */
export const noise = (seed: number, sizeBytes: number): Uint8Array =>
  createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16)).update(Buffer.alloc(sizeBytes))

/** How often `writeAge` changes the tree. */
export const AGES = 3

/** Writes a tree of files; at each age, counted from 0, some are changed, and at the last one a large one comes. */
export function writeAge(folder: string, age: number): void {
  for (const [i, part] of ['', 'a', 'a/deep', 'b'].entries()) {
    mkdirSync(join(folder, part), { recursive: true })
    for (let file = 0; file < 3; file++) {
      const seed = 1 + i * 3 + file + (file < age ? age * 20 : 0)
      writeFileSync(join(folder, part, `file ${file}`), noise(seed, 20_000 + seed * 500))
    }
  }
  if (age < AGES - 1) return
  // Large enough to be cut by several threads; most of it is a hole.
  const fd = openSync(join(folder, 'large'), 'w')
  ftruncateSync(fd, 9 * 1024 * 1024)
  writeSync(fd, noise(99, 100_000), 0, 100_000, 4_000_000)
  closeSync(fd)
}
