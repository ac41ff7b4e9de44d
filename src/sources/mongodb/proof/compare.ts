import { systemClock } from '../../../lib/clock.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import type { ProofJob } from '../../proof.ts'
import { documentsOf } from '../bson/batch.ts'
import { field, textOf } from '../bson/raw.ts'
import { type CollectionEntry, dataNamespace, readCatalog } from '../catalog.ts'
import { namespaceText } from '../names.ts'
import { type ReadOrder, readCollection } from '../read-collection.ts'
import { wantedEntry } from '../restore/definitions.ts'
import { compareCatalogs } from '../restore/differences.ts'
import { counted, type PlannedCollection, type RestoreScope } from '../restore/plan.ts'
import { finalDocuments } from '../restore/stored-documents.ts'
import { readAccounts } from '../restore/users.ts'
import type { SnapshotFiles } from '../snapshot-files.ts'
import { type Fingerprint, orderedFingerprint, unorderedFingerprint } from './fingerprint.ts'
import type { ScratchServer } from './scratch-server.ts'
import { CheckReport } from './structure.ts'

/**
 * Level `data`: what a server has after a restore against what was read at the backup. Documents are compared in the order in which they were
 * read, else as a set; those that the oplog changed with what the oplog makes of them.
 */
export async function compareRestored(
  server: ScratchServer,
  scope: RestoreScope,
  files: SnapshotFiles,
  job: ProofJob,
): Promise<void> {
  const checks = new CheckReport(job, 'data')
  const { connection } = server
  const wanted = scope.collections.map(wantedEntry)
  const names = new Set(wanted.map(namespaceText))
  const found = await readCatalog(connection, { isIncluded: (one) => names.has(namespaceText(one)) }, job.signal)
  const originals = new Map(scope.collections.map(({ entry, target }) => [namespaceText(target), namespaceText(entry)]))
  const differences = [...compareCatalogs(wanted, found)]
  for (const { item, what } of differences)
    checks.report(originalText(item, originals), { outcome: 'failed', detail: what })
  if (differences.length === 0)
    checks.report('options and indexes of collections', {
      outcome: 'passed',
      detail: counted(wanted.length, 'collection'),
    })
  await checks.each(
    scope.collections.filter(({ entry }) => entry.type !== 'view'),
    ({ entry }) => `documents of ${namespaceText(entry)}`,
    (collection) => compareDocuments(server, collection, files, job.signal),
    'documents of collections',
  )
  if (scope.accounts.length > 0)
    await checks.each(
      [scope],
      () => 'users and roles',
      () => compareAccounts(server, scope, files),
      'users and roles',
    )
}

/** With the name a collection had at the backup. */
function originalText(item: string, originals: ReadonlyMap<string, string>): string {
  for (const [target, original] of originals)
    if (item === target || item.endsWith(` of ${target}`))
      return `${item.slice(0, item.length - target.length)}${original}`
  return item
}

async function compareDocuments(
  { connection }: ScratchServer,
  { entry, target, data, folded }: PlannedCollection,
  files: SnapshotFiles,
  signal: AbortSignal | undefined,
): Promise<void> {
  const namespace = dataNamespace({ ...entry, ...target } satisfies CollectionEntry) ?? target
  const restored = (order: ReadOrder): ReturnType<typeof readCollection> =>
    readCollection({ connection, clock: systemClock, namespace, order, signal })
  let found: Fingerprint | undefined
  if (folded === undefined && data !== undefined) {
    found = await orderedFingerprint(restored(data.order), data)
    if (found.digest === data.sha256 && found.documents === data.documents) return
  }
  const stored = data && { data, file: await files.data(data.file) }
  const expected = await unorderedFingerprint(finalDocuments(stored, folded))
  const other = await unorderedFingerprint(restored('natural'))
  if (other.digest === expected.digest && other.documents === expected.documents) return
  const what =
    other.documents === expected.documents
      ? `${counted(expected.documents, 'document')}, of which some are others: ${other.bytes} bytes instead of ${expected.bytes}`
      : `${counted(other.documents, 'document')} instead of ${expected.documents}`
  throw new HoldfastError('HF_VERIFICATION_FAILED', `the server has ${what}`)
}

async function compareAccounts(
  { connection }: ScratchServer,
  { accounts }: RestoreScope,
  files: SnapshotFiles,
): Promise<void> {
  const known = await readAccounts(connection)
  const missing: string[] = []
  for (const { entry, data, folded } of accounts) {
    const there = entry.collection === 'system.users' ? known?.users : known?.roles
    const stored = data && { data, file: await files.data(data.file) }
    for await (const { bytes } of finalDocuments(stored, folded))
      for (const document of documentsOf(bytes)) {
        const id = textOf(field(document, '_id')) ?? ''
        if (there?.has(id) !== true) missing.push(id)
      }
  }
  if (missing.length > 0) throw new HoldfastError('HF_VERIFICATION_FAILED', `the server lacks ${missing.join(', ')}`)
}
