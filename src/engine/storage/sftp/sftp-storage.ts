import { posix } from 'node:path'
import { HoldfastError } from '../../../lib/errors.ts'
import { isId } from '../../../lib/id.ts'
import type { StoreFeatures } from '../features.ts'
import { throwIfInterrupted } from '../interruption.ts'
import { folders, pathOf } from '../local/layout.ts'
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
import { Leftovers } from './leftovers.ts'
import { listFolder } from './list-folder.ts'
import { isFile, isFolder } from './protocol.ts'
import type { SftpClient } from './sftp-client.ts'
import type { SftpConnection } from './sftp-connection.ts'
import { type Attempted, sftpError, writeError } from './sftp-error.ts'
import { isForGroup, makeFolderOf, makeRepositoryFolders, removeRepositoryFolders, syncFolder } from './sftp-folders.ts'
import { putFile } from './sftp-put.ts'
import { readInto } from './transfer.ts'
import { unlessInterrupted } from './unless-interrupted.ts'

export interface SftpStorageOptions {
  /** For people. */
  readonly location: string
  /** Absolute, or from where the server begins. */
  readonly path: string
  readonly connections: number
}

/** So many folders of packs are listed at the same time. */
const FOLDERS_AT_ONCE = 64
/** restic's packs are smaller than 4 GiB. */
const LARGEST_FILE = 4 * 2 ** 30

/** A repository in a folder of an SFTP server, in the local layout. Finished files are read-only, and for the group when it may read `config`. */
export class SftpStorage implements Storage {
  readonly location: string
  readonly properties: StorageProperties
  readonly features: StoreFeatures
  readonly #root: string
  readonly #connection: SftpConnection
  readonly #leftovers = new Leftovers()
  #isForGroup: Promise<boolean> | undefined

  constructor(connection: SftpConnection, { location, path, connections }: SftpStorageOptions) {
    this.location = location
    // A server without posix-rename removes a file before it replaces it.
    this.properties = { connections, atomicReplace: false, createOnly: true }
    this.#root = path
    this.#connection = connection
    this.features = {
      freeBytes: (options = {}) => this.#freeBytes(options),
      removeLayout: (options = {}) =>
        this.#call('remove', 'the folders', options, (client) => removeRepositoryFolders(client, this.#root)),
    }
  }

  async create(options: CallOptions = {}): Promise<void> {
    return this.#call('make', 'a repository', options, (client) => makeRepositoryFolders(client, this.#root))
  }

  async put(file: FileRef, content: Uint8Array, options: PutOptions = {}): Promise<void> {
    const path = pathOf(this.#root, file)
    const { signal, replace = false } = options
    return this.#call('write', describeFile(file), options, async (client, attempted) => {
      try {
        await putFile(client, {
          path,
          content,
          replace,
          signal,
          sentence: `cannot write ${attempted.object} in ${this.location}`,
          isForGroup: () => this.#mayGroup(client),
          makeFolder: () => makeFolderOf(client, this.#root, file, this.location),
        })
      } catch (error) {
        const place = { client, folder: posix.dirname(path), sizeBytes: content.length }
        throw await writeError(error, attempted, place)
      }
      if (file.kind === 'config') this.#isForGroup = undefined
      await this.#leftovers.remove(client, path)
    })
  }

  async get(file: FileRef, range?: ByteRange, options: CallOptions = {}): Promise<Uint8Array> {
    const path = pathOf(this.#root, file)
    return this.#call('read', describeFile(file), options, async (client, attempted) => {
      const [attributes, opened] = await Promise.allSettled([client.stat(path), client.openForReading(path)])
      try {
        if (attributes.status === 'rejected') throw attributes.reason
        const sizeBytes = this.#sizeOf(attributes.value, attempted)
        const { offset, length } = rangeWithin(file, sizeBytes, range, this.location)
        if (opened.status === 'rejected') throw opened.reason
        if (length > LARGEST_FILE)
          throw new HoldfastError('HF_STORAGE_IO', `${attempted.object} in ${this.location} is too large`)
        const bytes = new Uint8Array(length)
        const had = await readInto(client, opened.value, offset, bytes, options.signal)
        if (had < length) throw shortFile(attempted.object, offset + had, { offset, length }, this.location)
        return bytes
      } finally {
        // Nobody waits for it.
        if (opened.status === 'fulfilled') client.close(opened.value).catch(() => undefined)
      }
    })
  }

  async stat(file: FileRef, options: CallOptions = {}): Promise<{ readonly sizeBytes: number }> {
    const path = pathOf(this.#root, file)
    return this.#call('look at', describeFile(file), options, async (client, attempted) => ({
      sizeBytes: this.#sizeOf(await client.stat(path), attempted),
    }))
  }

  async *list(kind: NamedFileKind, options: CallOptions = {}): AsyncIterable<StoredFile> {
    const top = posix.join(this.#root, folders[kind])
    if (kind !== 'data') {
      yield* await this.#listFolder(top, '', options)
      return
    }
    const prefixes = await this.#call('list', folders[kind], options, async (client) =>
      (await listFolder(client, top, options.signal))
        .filter(
          ({ name, attributes }) =>
            /^[0-9a-f]{2}$/.test(name) && (attributes.mode === undefined || isFolder(attributes)),
        )
        .map(({ name }) => name),
    )
    for (let start = 0; start < prefixes.length; start += FOLDERS_AT_ONCE) {
      const some = prefixes.slice(start, start + FOLDERS_AT_ONCE)
      const listed = await Promise.all(some.map((prefix) => this.#listFolder(posix.join(top, prefix), prefix, options)))
      for (const files of listed) yield* files
    }
  }

  async delete(file: FileRef, options: CallOptions = {}): Promise<void> {
    const path = pathOf(this.#root, file)
    return this.#call('remove', describeFile(file), options, async (client) => {
      await client.remove(path)
      // A power cut must not bring back a snapshot or an index whose packs have been removed since. A pack that comes back does no harm.
      if (file.kind !== 'data' && file.kind !== 'lock') await syncFolder(client, posix.dirname(path))
    })
  }

  async close(): Promise<void> {
    await this.#connection.close()
  }

  #freeBytes(options: CallOptions): Promise<number | undefined> {
    return this.#call('look at', 'the free space', options, async (client) => {
      if (!client.has('statvfs@openssh.com')) return undefined
      return (await client.fileSystem(this.#root)).freeBytes
    })
  }

  #listFolder(folder: string, prefix: string, options: CallOptions): Promise<StoredFile[]> {
    const object = folder.slice(this.#root.length + 1)
    return this.#call('list', object, options, async (client, attempted) => {
      const files: StoredFile[] = []
      for (const { name, attributes } of await listFolder(client, folder, options.signal)) {
        if (!isId(name) || !name.startsWith(prefix)) this.#leftovers.note(posix.join(folder, name), name, attributes)
        else if (isFile(attributes)) files.push({ name, sizeBytes: this.#sizeOf(attributes, attempted) })
      }
      return files
    })
  }

  #mayGroup(client: SftpClient): Promise<boolean> {
    this.#isForGroup ??= isForGroup(client, this.#root)
    return this.#isForGroup
  }

  #sizeOf(
    attributes: { readonly sizeBytes: number | undefined; readonly mode: number | undefined },
    { object }: Attempted,
  ): number {
    if (isFile({ ...attributes, modified: undefined }) && attributes.sizeBytes !== undefined)
      return attributes.sizeBytes
    throw new HoldfastError('HF_STORAGE_IO', `${object} in ${this.location} is not a file`, { retry: 'never' })
  }

  /** Makes one attempt. A cancelled call ends at once; what it has begun cleans up behind itself. */
  async #call<T>(
    doing: Attempted['doing'],
    object: string,
    { signal }: CallOptions,
    work: (client: SftpClient, attempted: Attempted) => Promise<T>,
  ): Promise<T> {
    throwIfInterrupted(signal)
    const attempted: Attempted = {
      doing,
      object,
      location: this.location,
      signal,
      wasReached: this.#connection.wasReached,
    }
    const done = (async () => work(await this.#connection.client(), attempted))()
    try {
      return await unlessInterrupted(done, signal)
    } catch (error) {
      throw sftpError(error, attempted)
    }
  }
}
