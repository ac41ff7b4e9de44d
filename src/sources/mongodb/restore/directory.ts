import { readdirSync, statfsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { HoldfastError, systemErrorCode } from '../../../lib/errors.ts'
import { formatSize } from '../../../lib/sizes.ts'
import { once } from '../../json-file.ts'
import {
  type PlannedRestore,
  type RestoreJob,
  refuseObstacles,
  type SourceRestoreObserver,
  type SourceRestoreResult,
} from '../../restore.ts'
import type { SourceProblem } from '../../source.ts'
import { documentsPath, metadataJson, metadataPath, OPLOG_FILE } from '../dump-writer.ts'
import type { SnapshotFiles } from '../snapshot-files.ts'
import { wantedEntry } from './definitions.ts'
import { STAGING, StagedFolder } from './directory-files.ts'
import { type FinalCollection, type FinalState, readFinalState } from './final-state.ts'
import { counted, scopeOf, scopeProblems } from './plan.ts'
import { restoreSelection } from './renaming.ts'
import { documentsIn, finalDocuments } from './stored-documents.ts'
import { isAuthorization } from './users.ts'

/** One file to be written. */
interface PlannedFile {
  readonly name: string
  readonly bytes: number
  content(): AsyncIterable<Uint8Array>
}

/**
 * Plans a restore into a folder that mongorestore takes. The whole of a snapshot comes as it was stored, its oplog for --oplogReplay; a part
 * of it, or one under other names, with the oplog worked in.
 * @throws HoldfastError when there is nothing to plan with
 */
export async function planDirectoryRestore(
  path: string,
  files: SnapshotFiles,
  job: RestoreJob,
): Promise<PlannedRestore> {
  const selection = restoreSelection(job)
  const list = async (): Promise<{ readonly state: FinalState; readonly planned: readonly PlannedFile[] }> => {
    const state = selection.isWhole ? await rawState(files) : await readFinalState(files)
    const planned = selection.isWhole ? await storedFiles(files, state) : await finalFiles(files, state, job)
    return { state, planned }
  }
  const { state: listed, planned } = await list()
  using state = listed
  const bytes = planned.reduce((sum, file) => sum + file.bytes, 0)
  const { present, problems } = inspect(path, bytes, job.overwrite)
  const names = new Set(planned.map(({ name }) => name.split('/')[0]!))
  const replay = planned.some(({ name }) => name === OPLOG_FILE) ? ' --oplogReplay' : ''
  const step = `write ${counted(planned.length, 'file')}, ${formatSize(bytes)}, to ${path}`
  return {
    plan: {
      steps: [step],
      files: planned.length,
      bytes,
      overwrites: present.filter((name) => names.has(name)).map((name) => join(path, name)),
      problems: [...problems, ...scopeProblems(scopeOf(state, selection), state)],
      afterwards: [`mongorestore --uri mongodb://HOST:27017/ --dir ${path}${replay}`],
    },
    execute: async (observer: SourceRestoreObserver, signal?: AbortSignal): Promise<SourceRestoreResult> => {
      const now = inspect(path, bytes, job.overwrite)
      refuseObstacles(now.problems)
      if (now.present.join('/') !== present.join('/'))
        throw new HoldfastError('HF_TARGET_INVALID', `${path} has changed since the restore was planned`, {
          hint: 'plan it again',
        })
      observer.onStep(step)
      let written = 0
      await using folder = await StagedFolder.create(path, signal ?? job.signal)
      const current = await list()
      using _ = current.state
      for (const file of current.planned) {
        written += await folder.write(file.name, file.content())
        observer.onProgress({ bytes: written, totalBytes: Math.max(bytes, written) })
      }
      await folder.publish()
      return {
        files: planned.length,
        bytes: written,
        errors: 0,
        facts: { 'next step': `mongorestore --dir ${path}${replay}` },
      }
    },
  }
}

/** What is stored, without a look into the oplog. */
async function rawState(files: SnapshotFiles): Promise<FinalState> {
  const manifest = await files.manifest()
  const catalog = await files.catalog()
  return {
    manifest,
    collections: catalog.map((entry, i) => ({ entry, data: manifest.collections[i]?.data, folded: undefined })),
    entries: 0,
    [Symbol.dispose]: () => undefined,
  }
}

async function storedFiles(
  files: SnapshotFiles,
  { manifest, collections }: Pick<FinalState, 'manifest' | 'collections'>,
): Promise<readonly PlannedFile[]> {
  const prelude = await files.data('prelude.json')
  const planned: PlannedFile[] = [{ name: 'prelude.json', bytes: prelude.size, content: () => prelude.content() }]
  for (const collection of collections) planned.push(metadataFile(collection, metadataPath(collection.entry)))
  const stored = [
    ...collections.flatMap(({ data }) => (data === undefined ? [] : [data])),
    ...(manifest.oplog === undefined ? [] : [{ ...manifest.oplog, file: OPLOG_FILE, parts: undefined }]),
  ]
  for (const { file: name, bytes, sha256, parts } of stored) {
    const file = await files.data(name)
    planned.push({ name, bytes, content: () => documentsIn(file, name, { bytes, sha256, parts }) })
  }
  return planned
}

const metadataFile = ({ entry }: FinalCollection, name: string): PlannedFile => {
  const text = Buffer.from(metadataJson(entry))
  return { name, bytes: text.length, content: () => once(text) }
}

async function finalFiles(files: SnapshotFiles, state: FinalState, job: RestoreJob): Promise<readonly PlannedFile[]> {
  const scope = scopeOf(state, restoreSelection(job))
  const planned: PlannedFile[] = []
  const version = Buffer.from(JSON.stringify({ ServerVersion: state.manifest.server.version, ToolVersion: '' }))
  planned.push({ name: 'prelude.json', bytes: version.length, content: () => once(version) })
  const accounts = state.collections.filter(
    ({ entry }) => isAuthorization(`${entry.database}.${entry.collection}`) && scope.accounts.length > 0,
  )
  const chosen = [...scope.collections, ...accounts.map((one) => ({ ...one, target: one.entry, viewOn: undefined }))]
  for (const collection of chosen) {
    const { data, folded } = collection
    const entry = wantedEntry(collection)
    planned.push(metadataFile({ ...collection, entry }, metadataPath(entry)))
    const name = documentsPath(entry)
    if (name === undefined) continue
    const file = data && (await files.data(data.file))
    const stored = data && file && { data, file }
    planned.push({
      name,
      bytes: data?.bytes ?? 0,
      content: async function* () {
        for await (const { bytes } of finalDocuments(stored, folded)) yield bytes
      },
    })
  }
  return planned
}

function inspect(
  path: string,
  neededBytes: number,
  overwrite: boolean,
): { readonly present: readonly string[]; readonly problems: readonly SourceProblem[] } {
  const problems: SourceProblem[] = []
  const refuse = (what: string, remedy: string): number => problems.push({ severity: 'error', what, remedy })
  let present: readonly string[] = []
  try {
    present = readdirSync(path)
      .filter((name) => name !== STAGING)
      .sort()
  } catch (error) {
    const code = systemErrorCode(error)
    if (code === 'ENOTDIR') refuse(`${path} is no directory`, 'name a folder, or what does not exist yet')
    else if (code !== 'ENOENT')
      throw new HoldfastError('HF_TARGET_INVALID', `${path} cannot be looked at: ${(error as Error).message}`, {
        cause: error,
        hint: 'name a folder that you may read and write',
      })
  }
  if (present.length > 0 && !overwrite)
    refuse(
      `${path} is not empty: it has ${present.slice(0, 3).join(', ')}${present.length > 3 ? ' and more' : ''}`,
      'restore into a new folder, or allow it with --overwrite',
    )
  const free = freeBytes(path)
  if (free < neededBytes)
    refuse(
      `${path} has ${formatSize(free)} left, and ${formatSize(neededBytes)} are needed`,
      'make room, or name another folder',
    )
  return { present, problems }
}

/** Of the file system that a path is or will be on. */
function freeBytes(path: string): number {
  try {
    const { bavail, bsize } = statfsSync(path)
    return bavail * bsize
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemErrorCode(error) ?? '') && dirname(path) !== path)
      return freeBytes(dirname(path))
    return Number.POSITIVE_INFINITY
  }
}
