import type { SecretReference } from '../../../src/config/secret.ts'
import { backupEntries } from '../../../src/engine/archive/entries-backup.ts'
import type { Repository } from '../../../src/engine/repository/repository.ts'
import type { StoredSnapshot } from '../../../src/engine/repository/snapshot.ts'
import { loadSnapshots } from '../../../src/engine/repository/snapshots.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { localTimestamp } from '../../../src/lib/go-time.ts'
import { redisKind } from '../../../src/sources/redis/index.ts'
import type { RestoreJob, SourceRestoreObserver } from '../../../src/sources/restore.ts'
import type { Source, SourceServices } from '../../../src/sources/source.ts'
import { contentOf, nodesOf } from '../stored-nodes.ts'
import { plainOptions } from '../test-repository.ts'

const secrets: Readonly<Record<string, string>> = { RIGHT: 'right', WRONG: 'wrong' }

export const redisServices: SourceServices = {
  clock: systemClock,
  secret: async ({ name }: SecretReference) => secrets[name]!,
}

/** A source with these settings, named `session`. */
export const redisSource = (settings: object): Source =>
  redisKind.open('session', redisKind.settings.parse(settings), redisServices)

/** The snapshot a backup makes of a server. */
export async function redisSnapshot(repository: Repository, settings: object): Promise<StoredSnapshot> {
  const { result } = await redisSource(settings).backup({
    repository,
    type: 'full',
    require: [],
    options: plainOptions(repository, ['source=session']),
  })
  return await stored(repository, result.snapshot?.tree)
}

async function stored(repository: Repository, tree: string | undefined): Promise<StoredSnapshot> {
  return (await loadSnapshots(repository)).find((snapshot) => snapshot.tree === tree)!
}

/** A file of a snapshot; its path as below `/session/`. */
export async function snapshotFile(repository: Repository, snapshot: StoredSnapshot, path: string): Promise<Buffer> {
  return await contentOf(repository, (await nodesOf(repository, snapshot.tree!)).get(`/session/${path}`)!)
}

/** The same snapshot with some of its files replaced; paths as below `/session/`. */
export async function alteredSnapshot(
  repository: Repository,
  snapshot: StoredSnapshot,
  alter: Readonly<Record<string, (bytes: Buffer) => Buffer>>,
): Promise<StoredSnapshot> {
  const nodes = await nodesOf(repository, snapshot.tree!)
  const options = plainOptions(repository)
  const { time: mtime, uid, gid } = options.labels
  const { tree } = await backupEntries(repository, {
    ...options,
    paths: snapshot.paths,
    write: async (entries) => {
      for (const [path, node] of nodes) {
        if (node.type !== 'file') continue
        const bytes = await contentOf(repository, node)
        const changed = alter[path.replace(/^\/session\//, '')]?.(bytes) ?? bytes
        await entries.file(path, { mode: 0o600, mtime, uid, gid }, once(changed), { kind: 'content' })
      }
    },
  })
  return { ...snapshot, tree, id: 'f'.repeat(64), time: localTimestamp(systemClock.now()) }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

/** A job that restores everything, with changes. */
export const restoreJob = (
  repository: Repository,
  snapshot: StoredSnapshot,
  job: Pick<RestoreJob, 'target'> & Partial<RestoreJob>,
): RestoreJob => ({ repository, snapshot, include: [], exclude: [], rename: [], overwrite: false, ...job })

/** Takes down what a restore tells. */
export function restoreNotes(): SourceRestoreObserver & {
  readonly steps: string[]
  readonly warnings: string[]
  readonly errors: string[]
} {
  const steps: string[] = []
  const warnings: string[] = []
  const errors: string[] = []
  return {
    steps,
    warnings,
    errors,
    onStep: (step) => steps.push(step),
    onProgress: () => undefined,
    onWarning: (message) => warnings.push(message),
    onError: (item, error) => errors.push(`${item}: ${error.message}`),
  }
}
