import { existsSync } from 'node:fs'
import { chown, copyFile, link, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { syncPath } from '../../../engine/posix/sync-tree.ts'
import { throwIfInterrupted } from '../../../engine/storage/interruption.ts'
import { HoldfastError, isHoldfastError, systemErrorCode } from '../../../lib/errors.ts'
import { formatSize } from '../../../lib/sizes.ts'
import {
  type PlannedRestore,
  refuseObstacles,
  type SourceRestoreObserver,
  type SourceRestorePlan,
  type SourceRestoreResult,
} from '../../restore.ts'
import { keyCount, unfitFor } from '../plan-text.ts'
import { RdbReader } from '../rdb/reader.ts'
import { type Selection, selectRdb } from '../selection.ts'
import type { RedisSnapshot } from '../snapshot.ts'
import type { Survey } from '../survey.ts'
import { type DirectoryState, inspectDirectory, STAGING } from './directory-state.ts'
import { type AppendOnlyFiles, appendOnlyName, type ServerFiles, serverFiles } from './server-files.ts'
import { OWNER_ONLY, writeRdb } from './write-rdb.ts'

/** What is restored, where to. */
export interface DirectoryRestore {
  readonly snapshot: RedisSnapshot
  readonly selection: Selection
  /** Of a partial selection. */
  readonly survey: Survey | undefined
  readonly path: string
  readonly overwrite: boolean
  /** Whether the server that is started on it is a node of a cluster, which is told apart from this. */
  readonly isNode?: boolean
}

const DEFAULT_DATABASES = 16

/**
 * Plans a data folder for a server that is started on it later: `dump.rdb`, and the same file once more as an append-only file, since a
 * server with `appendonly yes` ignores `dump.rdb`, starts empty, and overwrites it at its next save.
 *
 * Everything is prepared in a folder `.holdfast-restore` within the target, checked, and then renamed into place. A restore that was ended
 * before leaves the target as it was, except for that folder, which the next one removes.
 */
export function planDirectory(restore: DirectoryRestore): PlannedRestore {
  const { snapshot, survey, path } = restore
  const files = serverFiles(snapshot.manifest, snapshot.record)
  const state = inspect(restore, files)
  const keys = survey?.keys ?? snapshot.manifest.databases.reduce((sum, { all }) => sum + all.keys, 0)
  const appendOnly = appendOnlyName(files.appendOnly)
  const steps: [string, string, string] = [
    `write ${files.dump}, ${keyCount(keys)}, ${survey === undefined ? '' : 'at most '}${formatSize(sizeOf(restore))}, to ${path}`,
    `give it the name ${appendOnly} as well, for servers with \`appendonly yes\``,
    'put both into place',
  ]
  const plan: SourceRestorePlan = {
    steps,
    files: fileCount(files.appendOnly),
    bytes: sizeOf(restore),
    overwrites: state.overwrites,
    problems: [...state.problems, ...(survey === undefined ? [] : unfitFor(survey, restore.selection, restore.isNode))],
    afterwards: [...afterwards(restore, files, state)],
  }
  return {
    plan,
    execute: async (observer, signal) => {
      const now = inspect(restore, files)
      refuseObstacles([...plan.problems, ...now.problems])
      if (now.overwrites.join('\0') !== state.overwrites.join('\0'))
        throw new HoldfastError('HF_TARGET_INVALID', `${path} is not as it was when the restore was planned`, {
          hint: 'plan it again',
        })
      return await write(restore, files, now, steps, observer, signal)
    },
  }
}

/** What a key takes in a file besides its name and value, at most. */
const FRAME_BYTES = 32
/** What a file says of itself. */
const HEAD_BYTES = 4096

/** Bytes of the file, at most. */
const sizeOf = ({ snapshot, survey }: DirectoryRestore): number =>
  survey === undefined ? snapshot.bytes : HEAD_BYTES + survey.bytes + FRAME_BYTES * survey.keys + survey.libraryBytes

const fileCount = ({ kind }: AppendOnlyFiles): number => (kind === 'folder' ? 3 : 2)

const inspect = (restore: DirectoryRestore, files: ServerFiles): DirectoryState =>
  inspectDirectory(restore.path, files, sizeOf(restore), restore.overwrite)

function* afterwards(
  { path, snapshot, survey, isNode = false }: DirectoryRestore,
  { dump, appendOnly }: ServerFiles,
  { owner }: DirectoryState,
): Generator<string> {
  const name = appendOnlyName(appendOnly)
  const { server, databases } = snapshot.manifest
  if (owner === undefined || owner.uid === process.getuid?.())
    yield `give the folder to the user the server runs as: chown -R redis:redis ${path}`
  const settings = [...(isNode ? ['cluster-enabled yes'] : []), `dir ${path}`, `dbfilename ${dump}`]
  if (appendOnly.kind === 'folder')
    settings.push(
      `appenddirname ${appendOnly.folder}`,
      `appendfilename ${appendOnly.base.slice(0, -'.1.base.rdb'.length)}`,
    )
  else settings.push(`appendfilename ${appendOnly.file}`)
  const numbers = survey === undefined ? databases.map(({ db }) => db) : [...survey.databases.keys()]
  const highest = Math.max(0, ...numbers)
  if (highest >= DEFAULT_DATABASES) settings.push(`databases ${highest + 1}`)
  yield `start ${server.kind === 'valkey' ? 'Valkey' : 'Redis'} ${server.version} or later on it: ${settings.join('; ')}`
  yield `with \`appendonly yes\` the server loads ${name}, with \`appendonly no\` ${dump}; a ${dump} alone and \`appendonly yes\` would make an empty server`
  yield `if the server runs with \`appendonly no\`, remove ${join(path, name)} once it is up, or it is loaded instead of newer data when that is changed`
}

async function write(
  restore: DirectoryRestore,
  { dump, appendOnly }: ServerFiles,
  { owner }: DirectoryState,
  steps: readonly [string, string, string],
  observer: SourceRestoreObserver,
  signal: AbortSignal | undefined,
): Promise<SourceRestoreResult> {
  const { path, snapshot, selection, survey } = restore
  const staging = join(path, STAGING)
  try {
    observer.onStep(steps[0])
    await mkdir(path, { recursive: true, mode: 0o700 })
    await rm(staging, { recursive: true, force: true })
    await mkdir(staging, { mode: 0o700 })
    const { manifest } = snapshot
    const input =
      survey === undefined
        ? snapshot.rdb(signal)
        : readBack(selectRdb(snapshot.rdb(signal), manifest.rdb, selection), survey.keys)
    const totalBytes = sizeOf(restore)
    const written = await writeRdb(
      join(staging, dump),
      input,
      (bytes) => observer.onProgress({ bytes, totalBytes }),
      signal,
    )
    if (survey === undefined && written.sha256 !== manifest.rdb.sha256)
      throw new HoldfastError('HF_DATA_DAMAGED', `the RDB file of ${snapshot.name} is not the one its manifest is of`, {
        hint: 'restore another snapshot',
      })
    observer.onStep(steps[1])
    const files = await prepareAppendOnly(staging, dump, appendOnly)
    await give([join(staging, dump), ...files], owner)
    await syncPath(staging)
    throwIfInterrupted(signal)
    observer.onStep(steps[2])
    await takePlace(path, staging, dump, appendOnlyName(appendOnly))
    return {
      files: fileCount(appendOnly),
      bytes: written.bytes,
      errors: 0,
      facts: { keys: String(survey?.keys ?? manifest.databases.reduce((sum, { all }) => sum + all.keys, 0)) },
    }
  } catch (error) {
    await rm(staging, { recursive: true, force: true }).catch(() => undefined)
    throw isHoldfastError(error) ? error : failed(path, error)
  }
}

/** Gives on what we have put together, and fails at its end unless it reads as a whole file with so many keys. */
async function* readBack(bytes: AsyncIterable<Uint8Array>, keys: number): AsyncGenerator<Uint8Array> {
  let count = 0
  const reader = new RdbReader({ onEntry: () => count++ })
  for await (const piece of bytes) {
    reader.push(piece)
    yield piece
  }
  reader.end()
  if (count !== keys)
    throw new HoldfastError('HF_RESTORE_FAILED', `${count} keys were selected at last, and ${keys} when it was planned`)
}

/** The files that make an append-only file of the RDB file, which shares its content: servers replace both, and change neither. */
async function prepareAppendOnly(staging: string, dump: string, files: AppendOnlyFiles): Promise<readonly string[]> {
  if (files.kind === 'file') {
    await sameFile(join(staging, dump), join(staging, files.file))
    return [join(staging, files.file)]
  }
  const folder = join(staging, files.folder)
  await mkdir(folder, { mode: 0o700 })
  const base = join(folder, files.base)
  const manifest = join(folder, files.manifest)
  await sameFile(join(staging, dump), base)
  await writeFile(manifest, files.text, { mode: OWNER_ONLY })
  await syncPath(manifest)
  await syncPath(folder)
  return [folder, base, manifest]
}

async function sameFile(from: string, to: string): Promise<void> {
  try {
    await link(from, to)
  } catch {
    // Some file systems know no second names.
    await copyFile(from, to)
    await syncPath(to)
  }
}

/** What root writes into the folder of a server belongs to whom the folder does. */
async function give(paths: readonly string[], owner: DirectoryState['owner']): Promise<void> {
  if (owner === undefined || process.getuid?.() !== 0) return
  for (const path of paths) await chown(path, owner.uid, owner.gid)
}

/** The append-only file first: a server that is started in between loads old data or new, but is not empty for long. */
async function takePlace(path: string, staging: string, dump: string, appendOnly: string): Promise<void> {
  const [place, replaced] = [join(path, appendOnly), join(staging, 'replaced')]
  const isReplacing = existsSync(place)
  if (isReplacing) await rename(place, replaced)
  try {
    await rename(join(staging, appendOnly), place)
  } catch (error) {
    if (isReplacing) await rename(replaced, place)
    throw error
  }
  await rename(join(staging, dump), join(path, dump))
  await syncPath(path)
  await rm(staging, { recursive: true, force: true })
}

function failed(path: string, cause: unknown): HoldfastError {
  const isFull = systemErrorCode(cause) === 'ENOSPC'
  return new HoldfastError('HF_RESTORE_FAILED', `${path} cannot be written: ${(cause as Error).message}`, {
    cause,
    hint: isFull ? 'make room, and run it again' : 'check the rights on the folder, and run it again',
  })
}
