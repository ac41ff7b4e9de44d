import { HoldfastError } from '../../../lib/errors.ts'
import { documentRuns } from '../bson/stream.ts'
import { type CollectionEntry, dataNamespace } from '../catalog.ts'
import { OPLOG_FILE } from '../dump-writer.ts'
import type { DumpedData, MongoManifest } from '../manifest.ts'
import { namespaceText } from '../names.ts'
import { OplogFold } from '../oplog/fold.ts'
import type { FoldedCollection } from '../oplog/folded-collection.ts'
import type { SnapshotFiles } from '../snapshot-files.ts'
import { documentsIn } from './stored-documents.ts'

/** A collection as it is at the consistency point of a snapshot. */
export interface FinalCollection {
  readonly entry: CollectionEntry
  /** Its copy; undefined for views, and for what was made while others were read. */
  readonly data: DumpedData | undefined
  /** What the oplog changes of the copy; undefined when nothing. */
  readonly folded: FoldedCollection | undefined
}

/** Has its oplog on disk when that is large, until it is disposed of. */
export interface FinalState extends Disposable {
  readonly manifest: MongoManifest
  readonly collections: readonly FinalCollection[]
  /** Entries of the oplog that were folded. */
  readonly entries: number
}

/**
 * What a snapshot comes to, its oplog worked in.
 * @throws HoldfastError HF_DATA_DAMAGED when it does not hold together, HF_RESTORE_FAILED when there is no room for what the oplog changes
 */
export async function readFinalState(files: SnapshotFiles): Promise<FinalState> {
  const manifest = await files.manifest()
  const catalog = await files.catalog()
  const dataOf = new Map(manifest.collections.map((one) => [namespaceText(one), one.data]))
  if (manifest.oplog === undefined)
    return {
      manifest,
      collections: catalog.map((entry) => ({ entry, data: dataOf.get(namespaceText(entry)), folded: undefined })),
      entries: 0,
      [Symbol.dispose]: () => undefined,
    }
  using resources = new DisposableStack()
  const fold = resources.use(new OplogFold(catalog))
  const oplog = documentsIn(await files.data(OPLOG_FILE), OPLOG_FILE, manifest.oplog)
  for await (const { bytes } of documentRuns(oplog, OPLOG_FILE)) fold.add(bytes)
  if (fold.entries !== manifest.oplog.entries)
    throw new HoldfastError(
      'HF_DATA_DAMAGED',
      `${OPLOG_FILE} has ${fold.entries} entries instead of ${manifest.oplog.entries}`,
    )
  // By the name its data has: a collection may have been renamed since.
  const byBase = new Map(
    catalog.map((entry) => [namespaceText(dataNamespace(entry) ?? entry), dataOf.get(namespaceText(entry))]),
  )
  const kept = resources.move()
  return {
    manifest,
    entries: fold.entries,
    [Symbol.dispose]: () => kept.dispose(),
    collections: fold.catalog().map((entry) => {
      const folded = fold.collections.get(namespaceText(entry))!
      return {
        entry,
        data: folded.base === undefined ? undefined : byBase.get(folded.base),
        folded: folded.isTouched ? folded : undefined,
      }
    }),
  }
}
