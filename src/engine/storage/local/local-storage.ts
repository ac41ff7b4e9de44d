import { statSync } from 'node:fs'
import { open, readdir, stat, unlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { HoldfastError, systemErrorCode } from '../../../lib/errors.ts'
import { isId } from '../../../lib/id.ts'
import { freeBytes } from '../../posix/free-space.ts'
import type { StoreFeatures } from '../features.ts'
import { throwIfInterrupted } from '../interruption.ts'
import { rangeWithin, shortFile } from '../range.ts'
import {
  type ByteRange,
  type CallOptions,
  describeFile,
  type FileRef,
  type NamedFileKind,
  type PutOptions,
  type Storage,
  type StorageProperties,
  type StoredFile,
} from '../storage.ts'
import { syncFolder, writeFileDurably } from './durable-file.ts'
import { makeFolderOf, makeRepositoryFolders, removeRepositoryFolders } from './folders.ts'
import { folderOf, folders, isTemporaryName, pathOf } from './layout.ts'
import { localError } from './local-error.ts'
import { type PackDirectory, READ_FLAGS } from './pack-files.ts'

export interface LocalStorageOptions {
  /** How many calls run at the same time; 4 by default, the width of Node's file system threads. */
  readonly connections?: number
}

/** A temporary file this old belongs to a writer that died: the longest write there is takes minutes. */
const LEFTOVER_AGE_MS = 24 * 60 * 60 * 1000
/** So many sizes are asked for at the same time while listing. */
const STAT_BATCH = 64

/**
 * A repository in a folder of this machine, in restic's layout. Looks at nothing but the permissions of `config`: when its group may read it,
 * the group may use all that is written from now on (0660, 0770), otherwise only the owner (0600, 0700). Finished files are read-only.
 */
export function openLocalStorage(path: string, options: LocalStorageOptions = {}): Storage {
  return new LocalStorage(resolve(path), options.connections ?? 4)
}

class LocalStorage implements Storage {
  readonly location: string
  readonly properties: StorageProperties & { readonly directory: PackDirectory }
  readonly features: StoreFeatures
  /** Leftovers that a listing came across, removed by the next write. */
  readonly #leftovers = new Set<string>()

  constructor(path: string, connections: number) {
    this.location = path
    const forGroup = isGroupReadable(join(path, 'config'))
    const directory = { path, fileMode: forGroup ? 0o660 : 0o600, directoryMode: forGroup ? 0o770 : 0o700 }
    this.properties = { connections, atomicReplace: true, createOnly: true, directory }
    this.features = {
      freeBytes: async () => freeBytes(path),
      removeLayout: async (options = {}) => {
        throwIfInterrupted(options.signal)
        try {
          await removeRepositoryFolders(path)
        } catch (error) {
          throw localError(error, 'remove', 'the folders', path)
        }
      },
    }
  }

  async create(options: CallOptions = {}): Promise<void> {
    throwIfInterrupted(options.signal)
    try {
      makeRepositoryFolders(this.properties.directory)
    } catch (error) {
      throw localError(error, 'make', 'a repository', this.location)
    }
  }

  async put(file: FileRef, content: Uint8Array, options: PutOptions = {}): Promise<void> {
    throwIfInterrupted(options.signal)
    const { directory } = this.properties
    try {
      await writeFileDurably(
        pathOf(directory.path, file),
        content,
        {
          mode: directory.fileMode,
          replace: options.replace ?? false,
          makeFolder: () => makeFolderOf(file, directory),
        },
        options.signal,
      )
    } catch (error) {
      throw this.#failure(error, 'write', file)
    }
    if (this.#leftovers.size > 0) await this.#removeLeftovers(pathOf(directory.path, file))
  }

  async get(file: FileRef, range?: ByteRange, options: CallOptions = {}): Promise<Uint8Array> {
    throwIfInterrupted(options.signal)
    try {
      const handle = await open(pathOf(this.location, file), READ_FLAGS)
      try {
        const status = await handle.stat()
        assertFile(status, file, this.location)
        const { offset, length } = rangeWithin(file, status.size, range, this.location)
        const { into } = options
        const bytes = into?.length === length ? into : allocate(file, length, this.location)
        for (let done = 0; done < length; ) {
          throwIfInterrupted(options.signal)
          const { bytesRead } = await handle.read(bytes, done, length - done, offset + done)
          if (bytesRead === 0) {
            throw shortFile(describeFile(file), offset + done, { offset, length }, this.location)
          }
          done += bytesRead
        }
        return bytes
      } finally {
        await handle.close()
      }
    } catch (error) {
      throw this.#failure(error, 'read', file)
    }
  }

  async stat(file: FileRef, options: CallOptions = {}): Promise<{ readonly sizeBytes: number }> {
    throwIfInterrupted(options.signal)
    try {
      const status = await stat(pathOf(this.location, file))
      assertFile(status, file, this.location)
      return { sizeBytes: status.size }
    } catch (error) {
      throw this.#failure(error, 'read', file)
    }
  }

  async *list(kind: NamedFileKind, options: CallOptions = {}): AsyncIterable<StoredFile> {
    throwIfInterrupted(options.signal)
    const folder = join(this.location, folders[kind])
    if (kind !== 'data') return yield* this.#listFolder(folder, '', options.signal)
    for (const prefix of await this.#readFolder(folder)) {
      if (/^[0-9a-f]{2}$/.test(prefix)) yield* this.#listFolder(join(folder, prefix), prefix, options.signal)
    }
  }

  async delete(file: FileRef, options: CallOptions = {}): Promise<void> {
    throwIfInterrupted(options.signal)
    const folder = folderOf(this.location, file)
    try {
      await unlink(pathOf(this.location, file))
      // A power cut must not bring back a snapshot or an index whose packs have been removed since. A pack that comes back does no harm.
      if (file.kind !== 'data' && file.kind !== 'lock') await syncFolder(folder)
    } catch (error) {
      throw this.#failure(error, 'remove', file)
    }
  }

  async close(): Promise<void> {}

  async *#listFolder(
    folder: string,
    prefix: string,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<StoredFile, void, undefined> {
    const names: string[] = []
    for (const name of await this.#readFolder(folder)) {
      if (isId(name) && name.startsWith(prefix)) names.push(name)
      else if (isTemporaryName(name)) this.#leftovers.add(join(folder, name))
    }
    for (let start = 0; start < names.length; start += STAT_BATCH) {
      throwIfInterrupted(signal)
      const batch = names.slice(start, start + STAT_BATCH)
      const sizes = await Promise.all(batch.map((name) => this.#sizeOfFile(join(folder, name))))
      for (const [index, sizeBytes] of sizes.entries()) {
        if (sizeBytes !== undefined) yield { name: batch[index]!, sizeBytes }
      }
    }
  }

  /** Names in a folder; none when it is missing or no folder. */
  async #readFolder(folder: string): Promise<string[]> {
    try {
      return await readdir(folder)
    } catch (error) {
      const code = systemErrorCode(error)
      if (code === 'ENOENT' || code === 'ENOTDIR') return []
      throw localError(error, 'list', folder.slice(this.location.length + 1), this.location)
    }
  }

  /** undefined for what is not a file, or is gone since the folder was read. */
  async #sizeOfFile(path: string): Promise<number | undefined> {
    try {
      const status = await stat(path)
      return status.isFile() ? status.size : undefined
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return undefined
      throw localError(error, 'list', path.slice(this.location.length + 1), this.location)
    }
  }

  /**
   * Removes what dead writers left, if it is a day older than the file just written: both times are of the file system's own clock. Safe even
   * for a writer that slept for a day: its write then fails and is repeated. What cannot be removed stays; nobody reads it.
   */
  async #removeLeftovers(justWritten: string): Promise<void> {
    const leftovers = [...this.#leftovers]
    this.#leftovers.clear()
    const now = await modificationTime(justWritten)
    for (const path of leftovers) {
      if (now - (await modificationTime(path)) > LEFTOVER_AGE_MS) await unlink(path).catch(() => undefined)
    }
  }

  #failure(error: unknown, doing: string, file: FileRef): HoldfastError {
    return localError(error, doing, describeFile(file), this.location)
  }
}

/** When the file cannot be looked at, the first real call says why. */
function isGroupReadable(path: string): boolean {
  try {
    return (statSync(path).mode & 0o040) !== 0
  } catch {
    return false
  }
}

/** Milliseconds since the epoch on the file system's clock; NaN, which is never too old, when the file cannot be looked at. */
const modificationTime = (path: string): Promise<number> =>
  stat(path).then(
    (status) => status.mtimeMs,
    () => Number.NaN,
  )

function assertFile(status: { isFile(): boolean }, file: FileRef, location: string): void {
  if (status.isFile()) return
  throw new HoldfastError('HF_STORAGE_IO', `${describeFile(file)} in ${location} is not a file`, { retry: 'never' })
}

function allocate(file: FileRef, length: number, location: string): Uint8Array {
  try {
    return new Uint8Array(length)
  } catch (cause) {
    const text = `${describeFile(file)} in ${location} is too large to read: ${length} bytes`
    throw new HoldfastError('HF_STORAGE_IO', text, { retry: 'never', cause })
  }
}
