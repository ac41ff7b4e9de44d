import { hash } from 'node:crypto'
import { HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import { isId } from '../../../lib/id.ts'
import { forEachParallel } from '../../../lib/parallel.ts'
import type { StoreFeatures } from '../features.ts'
import { throwIfInterrupted } from '../interruption.ts'
import { folders } from '../local/layout.ts'
import { assertRange, rangeWithin, shortFile } from '../range.ts'
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
import { type ListedFile, ListSyntaxError, parseFileList } from './file-list.ts'
import { drain, type HttpConnection, type HttpReply, type HttpRequest } from './http-connection.ts'
import { readBody } from './read-body.ts'
import { type Attempted, connectionError, statusError } from './rest-error.ts'

export interface RestStorageOptions {
  /** For people. */
  readonly location: string
  /** Path of the repository, encoded, with a slash at both ends. */
  readonly path: string
  readonly connections: number
  readonly user?: string | undefined
  readonly password?: string | undefined
  readonly userAgent?: string | undefined
}

/** Version 2 of the protocol: lists have sizes. A server that knows version 1 only ignores this. */
const MEDIA_TYPE = 'application/vnd.x.restic.rest.v2'

/**
 * A repository behind restic's REST protocol, on whatever connection.
 *
 * Servers differ where the protocol is silent. restic's own refuses a second upload of a name and says nothing about deleting what is not there;
 * rclone replaces, and does say. So the one question each leaves open is asked beforehand, and of a server that is not known yet, both.
 */
export function restStorage(connection: HttpConnection, options: RestStorageOptions): Storage {
  return new RestStorage(connection, options)
}

class RestStorage implements Storage {
  readonly location: string
  readonly properties: StorageProperties
  readonly features: StoreFeatures = {}
  readonly #connection: HttpConnection
  readonly #path: string
  readonly #headers: Readonly<Record<string, string>>
  /** Known once it has answered. */
  #server: 'restic' | 'rclone' | 'other' | undefined

  constructor(connection: HttpConnection, options: RestStorageOptions) {
    const { location, path, connections, user, password, userAgent = 'holdfast' } = options
    this.location = location
    this.properties = { connections, atomicReplace: false, createOnly: false }
    this.#connection = connection
    this.#path = path
    const credentials = Buffer.from(`${user ?? ''}:${password ?? ''}`).toString('base64')
    this.#headers = {
      Accept: MEDIA_TYPE,
      'User-Agent': userAgent,
      ...(user === undefined && password === undefined ? {} : { Authorization: `Basic ${credentials}` }),
    }
  }

  async create(options: CallOptions = {}): Promise<void> {
    const attempted = this.#attempted('make', 'a repository')
    const reply = await this.#send(attempted, { method: 'POST', path: `${this.#path}?create=true` }, options)
    await this.#expect(attempted, reply)
  }

  async put(file: FileRef, content: Uint8Array, options: PutOptions = {}): Promise<void> {
    const attempted = this.#attempted('write', describeFile(file))
    if (options.replace) {
      if (this.#server === undefined) await this.#exists(file, options)
      if (this.#server !== 'rclone') await this.#remove(file, options)
    } else if (this.#server !== 'restic' || file.kind === 'config') {
      if (await this.#exists(file, options)) throw this.#alreadyThere(file)
    }
    const request = { method: 'POST' as const, path: this.#pathOf(file), body: content }
    const reply = await this.#send(attempted, request, options)
    if (reply.status === 403 && !options.replace) {
      await drain(reply.body)
      if (await this.#exists(file, options)) throw this.#alreadyThere(file)
    }
    if (reply.status === 400 && file.kind !== 'config' && hash('sha256', content) === file.name) {
      const text = `cannot write ${attempted.object} in ${this.location}: it came to the server damaged`
      await drain(reply.body)
      throw new HoldfastError('HF_STORAGE_IO', text, { retry: 'later', context: { status: 400 } })
    }
    await this.#expect(attempted, reply)
  }

  async get(file: FileRef, range?: ByteRange, options: CallOptions = {}): Promise<Uint8Array> {
    if (range !== undefined) {
      assertRange(file, range)
      // No header can ask for nothing.
      if (range.length === 0) {
        rangeWithin(file, (await this.stat(file, options)).sizeBytes, range, this.location)
        return new Uint8Array(0)
      }
    }
    const attempted = this.#attempted('read', describeFile(file))
    const headers = range === undefined ? {} : { Range: `bytes=${range.offset}-${range.offset + range.length - 1}` }
    const reply = await this.#send(attempted, { method: 'GET', path: this.#pathOf(file), headers }, options)
    if (range !== undefined && reply.status === 416) {
      await drain(reply.body)
      throw shortFile(attempted.object, (await this.stat(file, options)).sizeBytes, range, this.location)
    }
    if (reply.status !== 200 && reply.status !== 206) await this.#fail(attempted, reply)
    try {
      const { into } = options
      return await readBody(reply, { object: attempted.object, location: this.location, range, into })
    } catch (error) {
      throw this.#connectionFailed(attempted, error, options)
    }
  }

  async stat(file: FileRef, options: CallOptions = {}): Promise<{ readonly sizeBytes: number }> {
    const attempted = this.#attempted('look at', describeFile(file))
    const reply = await this.#send(attempted, { method: 'HEAD', path: this.#pathOf(file) }, options)
    await this.#expect(attempted, reply)
    const sizeBytes = Number(reply.headers['content-length'] ?? Number.NaN)
    if (Number.isSafeInteger(sizeBytes) && sizeBytes >= 0) return { sizeBytes }
    throw new HoldfastError('HF_STORAGE_IO', `the server does not say how long ${attempted.object} is`, {
      retry: 'never',
      context: { object: attempted.object, location: this.location },
    })
  }

  async *list(kind: NamedFileKind, options: CallOptions = {}): AsyncIterable<StoredFile> {
    const attempted = this.#attempted('list', folders[kind])
    const reply = await this.#send(attempted, { method: 'GET', path: `${this.#path}${folders[kind]}/` }, options)
    if (reply.status === 404) {
      await drain(reply.body)
      return
    }
    if (reply.status !== 200) await this.#fail(attempted, reply)
    try {
      const seen = new Set<string>()
      let unsized: ListedFile[] = []
      for await (const file of parseFileList(reply.body)) {
        throwIfInterrupted(options.signal)
        if (seen.has(file.name)) continue
        seen.add(file.name)
        if (file.sizeBytes !== undefined) yield { name: file.name, sizeBytes: file.sizeBytes }
        else if (unsized.push(file) === 100 * this.properties.connections) {
          yield* await this.#sizesOf(kind, unsized, options)
          unsized = []
        }
      }
      yield* await this.#sizesOf(kind, unsized, options)
    } catch (error) {
      if (error instanceof ListSyntaxError)
        throw new HoldfastError('HF_STORAGE_IO', `cannot list ${folders[kind]} in ${this.location}: ${error.message}`, {
          cause: error,
        })
      throw this.#connectionFailed(attempted, error, options)
    } finally {
      reply.body.destroy()
    }
  }

  async delete(file: FileRef, options: CallOptions = {}): Promise<void> {
    if (this.#server !== 'rclone') await this.stat(file, options)
    const attempted = this.#attempted('remove', describeFile(file))
    const reply = await this.#send(attempted, { method: 'DELETE', path: this.#pathOf(file) }, options)
    await this.#expect(attempted, reply)
  }

  async close(): Promise<void> {
    await this.#connection.close()
  }

  /** Files of a list without sizes; those that are gone meanwhile are left out. */
  async #sizesOf(kind: NamedFileKind, files: readonly ListedFile[], options: CallOptions): Promise<StoredFile[]> {
    const found: StoredFile[] = []
    await forEachParallel(files, this.properties.connections, async ({ name }) => {
      try {
        found.push({ name, ...(await this.stat({ kind, name }, options)) })
      } catch (error) {
        if (!isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) throw error
      }
    })
    return found
  }

  async #exists(file: FileRef, options: CallOptions): Promise<boolean> {
    try {
      await this.stat(file, options)
      return true
    } catch (error) {
      if (isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) return false
      throw error
    }
  }

  async #remove(file: FileRef, options: CallOptions): Promise<void> {
    try {
      await this.delete(file, options)
    } catch (error) {
      if (!isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) throw error
    }
  }

  async #send(
    attempted: Attempted,
    request: Omit<HttpRequest, 'headers' | 'signal'> & { readonly headers?: HttpRequest['headers'] },
    { signal }: CallOptions,
  ): Promise<HttpReply> {
    throwIfInterrupted(signal)
    try {
      const headers = { ...this.#headers, ...request.headers }
      const reply = await this.#connection.send({ ...request, headers, signal })
      this.#server ??= serverOf(reply.headers.server)
      return reply
    } catch (error) {
      throw this.#connectionFailed(attempted, error, { signal })
    }
  }

  /** Takes a reply that says nothing but that all went well. */
  async #expect(attempted: Attempted, reply: HttpReply): Promise<void> {
    if (reply.status !== 200 && reply.status !== 201 && reply.status !== 204) await this.#fail(attempted, reply)
    await drain(reply.body)
  }

  async #fail(attempted: Attempted, reply: HttpReply): Promise<never> {
    throw statusError(attempted, reply, await drain(reply.body))
  }

  #connectionFailed(attempted: Attempted, cause: unknown, { signal }: CallOptions): HoldfastError {
    return connectionError(attempted, cause, { signal, wasReached: this.#server !== undefined })
  }

  #alreadyThere(file: FileRef): HoldfastError {
    const text = `cannot write ${describeFile(file)} in ${this.location}: it exists already`
    return new HoldfastError('HF_STORAGE_EXISTS', text)
  }

  #attempted(doing: Attempted['doing'], object: string): Attempted {
    return { doing, object, location: this.location }
  }

  /** Packs lie in one folder here; the server spreads them itself. */
  #pathOf(file: FileRef): string {
    if (file.kind === 'config') return `${this.#path}config`
    if (!isId(file.name))
      throw new HoldfastError('HF_INTERNAL', `${JSON.stringify(file.name)} is not the name of a file`)
    return `${this.#path}${folders[file.kind]}/${file.name}`
  }
}

/** restic's server does not introduce itself. */
function serverOf(header: string | readonly string[] | undefined): 'restic' | 'rclone' | 'other' {
  if (header === undefined) return 'restic'
  return typeof header === 'string' && header.startsWith('rclone/') ? 'rclone' : 'other'
}
