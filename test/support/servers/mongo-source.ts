import { BSON, MongoClient } from 'mongodb'
import { backupEntries } from '../../../src/engine/archive/entries-backup.ts'
import type { Repository } from '../../../src/engine/repository/repository.ts'
import type { StoredSnapshot } from '../../../src/engine/repository/snapshot.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { documentsOf } from '../../../src/sources/mongodb/bson/batch.ts'
import { mongoKind } from '../../../src/sources/mongodb/index.ts'
import { type MongoManifest, mongoManifest } from '../../../src/sources/mongodb/manifest.ts'
import type { ProofCheck } from '../../../src/sources/proof.ts'
import type { RestoreJob, SourceRestoreObserver } from '../../../src/sources/restore.ts'
import type { Source, SourceBackup, SourceServices } from '../../../src/sources/source.ts'
import { contentOf, nodesOf } from '../stored-nodes.ts'
import { memoryRepository, plainOptions } from '../test-repository.ts'
import { type ScriptedMongo, type ScriptedMongoOptions, startScriptedMongo } from './mongo/scripted.ts'

const services: SourceServices = { clock: systemClock, secret: async () => 'secret' }

/** A source with these settings, named `catalog`. */
export const mongoSource = (settings: object): Source =>
  mongoKind.open('catalog', mongoKind.settings.parse(settings), services)

/** A scripted server and a client of it. */
export interface MongoStage extends AsyncDisposable {
  readonly server: ScriptedMongo
  readonly client: MongoClient
}

export async function startMongoStage(options?: ScriptedMongoOptions): Promise<MongoStage> {
  const server = await startScriptedMongo(options)
  const client = await new MongoClient(server.url).connect()
  return {
    server,
    client,
    [Symbol.asyncDispose]: async () => {
      await client.close()
      await server.stop()
    },
  }
}

/** A backup, and what is in its snapshot. */
export interface TakenBackup {
  readonly repository: Repository
  readonly backup: SourceBackup
  readonly snapshot: StoredSnapshot
  readonly manifest: MongoManifest
  readonly warnings: readonly string[]
  /** Paths below the dump. */
  readonly paths: readonly string[]
  /** A file of the dump. */
  read(path: string): Promise<Buffer>
}

export async function takeBackup(
  source: Source,
  { require = [], into, parent }: { require?: readonly string[]; into?: Repository; parent?: StoredSnapshot } = {},
): Promise<TakenBackup> {
  const repository = into ?? (await memoryRepository())
  const warnings: string[] = []
  const observer = { onError: (_item: string, error: Error) => void warnings.push(error.message) }
  const options = { ...plainOptions(repository, ['source=catalog']), observer, parent }
  const backup = await source.backup({ repository, type: 'incremental', require, options })
  const nodes = await nodesOf(repository, backup.result.tree)
  const read = (path: string): Promise<Buffer> => contentOf(repository, nodes.get(`/catalog/${path}`)!)
  return {
    repository,
    backup,
    snapshot: backup.result.snapshot!,
    manifest: mongoManifest.parse(JSON.parse(String(await read('.holdfast/manifest.json')))),
    warnings,
    paths: [...nodes]
      .filter(([path, { type }]) => type === 'file' && path.startsWith('/catalog/data/'))
      .map(([path]) => path.slice('/catalog/data/'.length)),
    read: (path) => read(`data/${path}`),
  }
}

/** The same snapshot with some of its files changed, or left out when the change comes to nothing; paths as below `/catalog/`. */
export async function changedSnapshot(
  { repository, snapshot }: Pick<TakenBackup, 'repository' | 'snapshot'>,
  changes: Readonly<Record<string, (bytes: Buffer) => Buffer | undefined>>,
): Promise<StoredSnapshot> {
  const options = plainOptions(repository)
  const { time: mtime, uid, gid } = options.labels
  const nodes = await nodesOf(repository, snapshot.tree!)
  const { tree } = await backupEntries(repository, {
    ...options,
    paths: snapshot.paths,
    write: async (entries) => {
      for (const [path, node] of nodes) {
        if (node.type !== 'file') continue
        const bytes = await contentOf(repository, node)
        const change = changes[Buffer.from(path, 'latin1').toString().slice('/catalog/'.length)]
        const changed = change === undefined ? bytes : change(bytes)
        if (changed === undefined) continue
        await entries.file(path, { mode: 0o600, mtime, uid, gid }, once(changed), { kind: 'content' })
      }
    },
  })
  return { ...snapshot, tree, id: 'f'.repeat(64) }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

export const restoreJobOf = (
  { repository, snapshot }: Pick<TakenBackup, 'repository' | 'snapshot'>,
  job: Pick<RestoreJob, 'target'> & Partial<RestoreJob>,
): RestoreJob => ({ repository, snapshot, include: [], exclude: [], rename: [], overwrite: false, ...job })

/** Takes down what a restore tells. */
export function restoreNotes(): SourceRestoreObserver & {
  readonly warnings: readonly string[]
  readonly errors: readonly string[]
} {
  const warnings: string[] = []
  const errors: string[] = []
  return {
    warnings,
    errors,
    onStep: () => undefined,
    onProgress: () => undefined,
    onWarning: (message) => void warnings.push(message),
    onError: (item, error) => void errors.push(`${item}: ${error.message}`),
  }
}

/** Checks that are not passed, as text. */
export const notPassed = (checks: readonly ProofCheck[]): readonly string[] =>
  checks
    .filter(({ outcome }) => outcome !== 'passed' && outcome !== 'not applicable')
    .map(({ level, name, outcome, detail }) => `${level} ${outcome}: ${name}: ${detail}`)

export const idsOf = (bytes: Buffer): readonly unknown[] => decoded(bytes).map(({ _id }) => _id)

/** All documents of a file of a dump. */
export const decoded = (bytes: Buffer): readonly Record<string, unknown>[] =>
  Array.from(documentsOf(bytes), (document) => BSON.deserialize(document))

export const numbered = (count: number): { _id: number; text: string }[] =>
  Array.from({ length: count }, (_, n) => ({ _id: n, text: `document ${n}` }))
