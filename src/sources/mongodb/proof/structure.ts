import { sha256Hex } from '../../../engine/kernels/sha256.ts'
import { throwIfInterrupted } from '../../../engine/storage/interruption.ts'
import { HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import type { ProofCheck, ProofJob, ProofLevel } from '../../proof.ts'
import { documentsOf } from '../bson/batch.ts'
import { documentRuns } from '../bson/stream.ts'
import { type CollectionEntry, encodeEntry } from '../catalog.ts'
import { metadataJson, OPLOG_FILE } from '../dump-writer.ts'
import type { DumpedCollection, MongoManifest } from '../manifest.ts'
import { namespaceText } from '../names.ts'
import { parseTime, timeText } from '../op-time.ts'
import { readEntry } from '../oplog/entry.ts'
import { OplogFold } from '../oplog/fold.ts'
import { counted } from '../restore/plan.ts'
import { documentsIn } from '../restore/stored-documents.ts'
import type { SnapshotFiles } from '../snapshot-files.ts'

type Outcome = Pick<ProofCheck, 'outcome' | 'detail'>

/** Reports checks of one level: each failure by name, and what passed together. */
export class CheckReport {
  readonly #job: ProofJob
  readonly #level: ProofLevel

  constructor(job: ProofJob, level: ProofLevel) {
    this.#job = job
    this.#level = level
  }

  report(name: string, check: Outcome): void {
    this.#job.report({ level: this.#level, name, ...check })
  }

  /** Checks each item; `passed` is reported when none failed. */
  async each<T>(
    items: readonly T[],
    nameOf: (item: T) => string,
    check: (item: T) => Promise<void>,
    passed: string,
  ): Promise<void> {
    let failures = 0
    for (const item of items) {
      throwIfInterrupted(this.#job.signal)
      try {
        await check(item)
      } catch (error) {
        failures++
        this.report(nameOf(item), failureOf(error))
      }
    }
    if (failures === 0)
      this.report(
        passed,
        items.length === 0
          ? { outcome: 'not applicable', detail: 'there are none' }
          : { outcome: 'passed', detail: `${items.length}` },
      )
  }
}

/** What was found wrong. What keeps from looking at all ends the proof. @throws what is no finding */
export function failureOf(error: unknown): Outcome {
  if (isHoldfastError(error, 'HF_INTERRUPTED', 'HF_INTERNAL') || !(error instanceof Error)) throw error
  return { outcome: 'failed', detail: error.message }
}

/** Level `structure`: what the manifest lists is there, whole, of its format, and nothing else says otherwise. Reads the repository only. */
export async function checkStructure(files: SnapshotFiles, job: ProofJob): Promise<void> {
  const checks = new CheckReport(job, 'structure')
  const opened = await openManifest(files, checks)
  if (opened === undefined) return
  const { manifest, catalog } = opened
  await checks.each(
    manifest.collections,
    (one) => `options and indexes of ${namespaceText(one)}`,
    async (one) => checkDefinition(files, one, catalog.get(namespaceText(one))),
    'options and indexes of collections',
  )
  const withData = manifest.collections.filter(({ data }) => data !== undefined)
  await checks.each(
    withData,
    (one) => `documents of ${namespaceText(one)}`,
    (one) => checkDocuments(files, one),
    'documents of collections',
  )
  if (manifest.oplog === undefined)
    checks.report('oplog', {
      outcome: 'not applicable',
      detail: `consistency: ${manifest.consistency}: ${manifest.consistencyReason}`,
    })
  else
    await checks.each(
      [manifest],
      () => 'oplog',
      () => checkOplog(files, manifest, [...catalog.values()]),
      'oplog from the start to the end of the backup',
    )
}

async function openManifest(
  files: SnapshotFiles,
  checks: CheckReport,
): Promise<{ readonly manifest: MongoManifest; readonly catalog: ReadonlyMap<string, CollectionEntry> } | undefined> {
  try {
    const manifest = await files.manifest()
    const catalog = new Map((await files.catalog()).map((entry) => [namespaceText(entry), entry]))
    const listed = new Set(manifest.collections.map(namespaceText))
    const unlisted = [...catalog.keys()].filter((name) => !listed.has(name))
    if (unlisted.length > 0)
      throw new HoldfastError(
        'HF_DATA_DAMAGED',
        `catalog.bson has ${unlisted.join(', ')}, which the manifest does not list`,
      )
    await checkPrelude(files, manifest)
    checks.report('manifest', { outcome: 'passed', detail: counted(manifest.collections.length, 'collection') })
    return { manifest, catalog }
  } catch (error) {
    checks.report('manifest', failureOf(error))
    return undefined
  }
}

async function checkPrelude(files: SnapshotFiles, { server }: MongoManifest): Promise<void> {
  const { ServerVersion: version } = JSON.parse(String(await bytesOf(files, 'prelude.json'))) as Record<string, unknown>
  if (version !== server.version)
    throw new HoldfastError('HF_DATA_DAMAGED', `prelude.json is of a server of version ${version}`)
}

async function checkDefinition(
  files: SnapshotFiles,
  one: DumpedCollection,
  entry: CollectionEntry | undefined,
): Promise<void> {
  if (entry === undefined) throw new HoldfastError('HF_DATA_DAMAGED', 'catalog.bson does not have it')
  if (sha256Hex(encodeEntry(entry)) !== one.definition)
    throw new HoldfastError('HF_DATA_DAMAGED', 'catalog.bson does not have them as they were read at the backup')
  if (!(await bytesOf(files, one.metadata)).equals(Buffer.from(metadataJson(entry))))
    throw new HoldfastError(
      'HF_DATA_DAMAGED',
      `${one.metadata}, which mongorestore reads, says something else than catalog.bson`,
    )
}

async function checkDocuments(files: SnapshotFiles, { data }: DumpedCollection): Promise<void> {
  const { file, documents } = data!
  let found = 0
  for await (const { count } of documentRuns(documentsIn(await files.data(file), file, data!), file)) found += count
  if (found !== documents)
    throw new HoldfastError('HF_DATA_DAMAGED', `${file} has ${counted(found, 'document')} instead of ${documents}`)
}

async function checkOplog(
  files: SnapshotFiles,
  manifest: MongoManifest,
  catalog: readonly CollectionEntry[],
): Promise<void> {
  const oplog = manifest.oplog!
  using fold = new OplogFold(catalog)
  const end = parseTime(manifest.end?.time ?? '0:0')
  let last = 0n
  for await (const { bytes } of documentRuns(
    documentsIn(await files.data(OPLOG_FILE), OPLOG_FILE, oplog),
    OPLOG_FILE,
  )) {
    for (const raw of documentsOf(bytes)) {
      const { time } = readEntry(raw)
      if (time <= last || time > end)
        throw new HoldfastError(
          'HF_DATA_DAMAGED',
          `the entry of ${timeText(time)} is out of its order, or later than the end`,
        )
      last = time
    }
    fold.add(bytes)
  }
  if (fold.entries !== oplog.entries)
    throw new HoldfastError('HF_DATA_DAMAGED', `it has ${fold.entries} entries instead of ${oplog.entries}`)
}

async function bytesOf(files: SnapshotFiles, path: string): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of (await files.data(path)).content()) pieces.push(Uint8Array.from(piece))
  return Buffer.concat(pieces)
}
