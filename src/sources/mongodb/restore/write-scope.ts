import { throwIfInterrupted } from '../../../engine/storage/interruption.ts'
import { HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import { forEachParallel } from '../../../lib/parallel.ts'
import type { SourceRestoreObserver, SourceRestoreResult } from '../../restore.ts'
import { type CollectionEntry, dataNamespace, readCatalog } from '../catalog.ts'
import type { MongoConnection } from '../connection.ts'
import { type Namespace, namespaceText } from '../names.ts'
import { isCapped } from '../read-order.ts'
import { codeOf } from '../server-error.ts'
import type { SnapshotFiles } from '../snapshot-files.ts'
import { createCommand, indexesToCreate, wantedEntry } from './definitions.ts'
import { compareCatalogs } from './differences.ts'
import type { FinalCollection } from './final-state.ts'
import { counted, type PlannedCollection, type RestoreScope } from './plan.ts'
import { RawInsert } from './raw-insert.ts'
import { finalDocuments } from './stored-documents.ts'
import type { TargetState } from './target.ts'
import { type KnownAccounts, restoreAccounts } from './users.ts'

export interface ScopeWriting {
  readonly scope: RestoreScope
  readonly connection: MongoConnection
  /** The target as it is. */
  readonly state: TargetState
  readonly files: SnapshotFiles
  readonly jobs: number
  /** Whether what is there may be dropped. */
  readonly overwrite: boolean
  readonly observer: SourceRestoreObserver
  readonly signal: AbortSignal | undefined
}

/** Of one collection. The order of documents counts in capped ones only. */
const INSERTS_UNDER_WAY = 2

const nobody: KnownAccounts = { users: new Set(), roles: new Set() }

/**
 * Makes collections with their options, inserts documents, then builds indexes and views, and looks at the end what is there. What one
 * collection suffers does not stop the others.
 * @throws HoldfastError when the server goes away or the snapshot is damaged
 */
export async function writeScope(writing: ScopeWriting): Promise<SourceRestoreResult> {
  const { scope, connection, jobs, observer, signal } = writing
  const tally = new Tally(observer, scope.bytes)
  const step = (what: string): void => {
    throwIfInterrupted(signal)
    observer.onStep(what)
  }
  const views = scope.collections.filter(({ entry }) => entry.type === 'view')
  const collections = scope.collections.filter(({ entry }) => entry.type !== 'view')
  // Views first: they may be of what is dropped next.
  for (const { target } of [...views, ...collections]) await dropPresent(writing, target)
  step(`make ${counted(collections.length, 'collection')} and insert ${counted(scope.documents, 'document')}`)
  await forEachParallel(collections, jobs, (collection) =>
    tally.guard(namespaceText(collection.target), () => restoreDocuments(writing, collection, tally)),
  )
  if (scope.accounts.length > 0) {
    step('add users and roles')
    await tally.guard('users and roles', () => addAccounts(writing, tally))
  }
  step('build indexes')
  await forEachParallel(collections, jobs, (collection) => buildIndexes(writing, collection, tally))
  if (views.length > 0) {
    step('make views')
    for (const view of views)
      await tally.guard(namespaceText(view.target), async () => {
        await connection.command(view.target.database, createCommand(view.entry, view.target, view.viewOn), { signal })
      })
  }
  step('compare with what was asked for')
  const differences = await reportDifferences(writing, tally)
  return {
    files: scope.collections.length,
    bytes: tally.bytes,
    errors: tally.errors,
    facts: {
      collections: String(scope.collections.length),
      documents: String(tally.documents),
      differences: String(differences),
    },
  }
}

/** Counts, and tells. */
class Tally {
  documents = 0
  bytes = 0
  errors = 0
  readonly failed = new Set<string>()
  readonly #observer: SourceRestoreObserver
  readonly #totalBytes: number

  constructor(observer: SourceRestoreObserver, totalBytes: number) {
    this.#observer = observer
    this.#totalBytes = totalBytes
  }

  add(bytes: number): void {
    this.bytes += bytes
    this.#observer.onProgress({ bytes: this.bytes, totalBytes: Math.max(this.bytes, this.#totalBytes) })
  }

  fail(item: string, error: Error): void {
    this.failed.add(item)
    this.errors++
    this.#observer.onError(item, error)
  }

  /** What the server refuses concerns one item; anything else ends the restore. */
  async guard(item: string, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      const isItems = codeOf(error) !== undefined && !isHoldfastError(error, 'HF_SOURCE_UNREACHABLE')
      if (!isItems || !(error instanceof Error)) throw error
      this.fail(item, error)
    }
  }
}

async function dropPresent({ connection, state, overwrite, signal }: ScopeWriting, target: Namespace): Promise<void> {
  const present = state.present.get(namespaceText(target))
  if (present === undefined) return
  if (!overwrite && present.documents > 0)
    throw new HoldfastError('HF_TARGET_INVALID', `the target has ${namespaceText(target)} already`)
  await connection.command(target.database, { drop: target.collection }, { signal })
}

async function restoreDocuments(writing: ScopeWriting, collection: PlannedCollection, tally: Tally): Promise<void> {
  const { connection, state, signal } = writing
  const { entry, target } = collection
  const name = namespaceText(target)
  await connection.command(target.database, createCommand(entry, target), { signal, what: `create ${name}` })
  await using insert = new RawInsert({
    connection,
    facts: state.facts,
    namespace: bucketsIn(entry, target),
    isBuckets: entry.type === 'timeseries',
    width: isCapped(entry) ? 1 : INSERTS_UNDER_WAY,
    signal,
  })
  let wanted = 0
  for await (const { bytes, count } of documentsFor(writing, collection)) {
    throwIfInterrupted(signal)
    await insert.add(bytes)
    wanted += count
    tally.add(bytes.length)
  }
  await insert.finish()
  tally.documents += insert.inserted
  const { refused } = insert
  if (refused !== undefined)
    tally.fail(
      name,
      new HoldfastError(
        'HF_RESTORE_FAILED',
        `${counted(refused.count, 'document')} of ${wanted} were refused: ${refused.message}`,
      ),
    )
  const orphans = collection.folded?.orphans ?? 0
  if (orphans > 0)
    tally.fail(
      name,
      new HoldfastError(
        'HF_DATA_DAMAGED',
        `${counted(orphans, 'document')} that the oplog changes are neither in the copy nor in the oplog`,
      ),
    )
}

/** Where the documents of a collection go: those of a time series into its buckets. */
function bucketsIn(entry: CollectionEntry, target: Namespace): Namespace {
  return dataNamespace({ ...entry, ...target }) ?? target
}

async function* documentsFor(
  { files }: Pick<ScopeWriting, 'files'>,
  { data, folded }: FinalCollection,
): AsyncGenerator<{ readonly bytes: Buffer; readonly count: number }> {
  yield* finalDocuments(data && { data, file: await files.data(data.file) }, folded)
}

async function addAccounts(writing: ScopeWriting, tally: Tally): Promise<void> {
  const { connection, scope, state, overwrite, signal } = writing
  const known = state.accounts ?? nobody
  const own = new Set(connection.place.user === undefined ? [] : [`admin.${connection.place.user}`])
  tally.documents += await restoreAccounts(scope.accounts, {
    connection,
    // Whoever restores must be able to end what was begun.
    kept: overwrite
      ? { users: own, roles: new Set() }
      : { users: new Set([...known.users, ...own]), roles: known.roles },
    documents: (collection) => documentsFor(writing, collection),
    insert: async (name, bytes) => {
      const namespace = { database: 'admin', collection: name }
      await using insert = new RawInsert({
        connection,
        facts: state.facts,
        namespace,
        isBuckets: false,
        width: 1,
        signal,
      })
      await insert.add(bytes)
      await insert.finish()
    },
  })
}

/** All indexes of a collection at once, which takes one scan; one by one when the server does not take all. */
async function buildIndexes(
  { connection, signal }: ScopeWriting,
  { entry, target }: PlannedCollection,
  tally: Tally,
): Promise<void> {
  const indexes = indexesToCreate(entry)
  if (indexes.length === 0) return
  const create = async (some: readonly object[]): Promise<void> => {
    const command = { createIndexes: target.collection, indexes: some }
    await connection.command(target.database, command, { signal, what: `createIndexes of ${namespaceText(target)}` })
  }
  try {
    await create(indexes)
  } catch (error) {
    if (codeOf(error) === undefined || isHoldfastError(error, 'HF_SOURCE_UNREACHABLE')) throw error
    for (const index of indexes)
      await tally.guard(`index ${String(index.get('name'))} of ${namespaceText(target)}`, () => create([index]))
  }
}

/** Says what is not as it was. What could not be made has been told. */
async function reportDifferences({ connection, scope, observer, signal }: ScopeWriting, tally: Tally): Promise<number> {
  const wanted = scope.collections.map(wantedEntry)
  const names = new Set(wanted.map(namespaceText))
  const found = await readCatalog(connection, { isIncluded: (one) => names.has(namespaceText(one)) }, signal)
  let count = 0
  for (const { item, what, isMissing } of compareCatalogs(wanted, found)) {
    count++
    // Why it is not there has been told.
    if (isMissing && tally.failed.has(item)) continue
    if (isMissing) tally.fail(item, new HoldfastError('HF_RESTORE_FAILED', what))
    else observer.onWarning(`${item}: ${what}`)
  }
  return count
}
