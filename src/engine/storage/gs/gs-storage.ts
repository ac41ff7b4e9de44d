import { hash } from 'node:crypto'
import type { Clock } from '../../../lib/clock.ts'
import { type HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import { randomBytes } from '../../../lib/random.ts'
import { withDeadline } from '../deadline.ts'
import type { StoreFeatures } from '../features.ts'
import { throwIfInterrupted } from '../interruption.ts'
import type { NetworkSettings } from '../network.ts'
import { type BucketPlace, idOfObject, objectFolder, objectName } from '../object-names.ts'
import { assertRange, shortFile } from '../range.ts'
import { readBody } from '../read-body.ts'
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
import type { LockSettings } from '../store-settings.ts'
import type { GsAccount } from './gs-account.ts'
import { GsAnswerError, GsClient } from './gs-client.ts'
import { gsError } from './gs-error.ts'
import { gsFeatures } from './gs-features.ts'
import type { HttpAnswer } from './gs-http.ts'

export interface GsStorageOptions {
  readonly account: GsAccount
  readonly place: BucketPlace
  readonly connections: number
  /** Where `create` makes the bucket. */
  readonly region: string
  /** Of packs, as Google names it. */
  readonly storageClass?: string | undefined
  readonly lock?: LockSettings | undefined
  readonly network: NetworkSettings
  readonly clock: Clock
  /** Objects in a page of a listing; the service's 1000 by default. */
  readonly pageSize?: number
}

export interface GsObject {
  readonly name: string
  /** A decimal number. */
  readonly size: string
  readonly generation: string
}

/** Makes one call; what it throws is a HoldfastError. */
export type GsCaller = <T>(
  doing: string,
  needs: string,
  options: CallOptions,
  work: (client: GsClient, signal: AbortSignal) => Promise<T>,
  more?: { readonly bytes?: number; readonly isAboutBucket?: boolean },
) => Promise<T>

/** A repository in a bucket of Google Cloud Storage. Opening asks nothing; libraries are loaded by the first call, where they are needed. */
export function openGsStorage(options: GsStorageOptions): Storage {
  return new GsStorage(options)
}

class GsStorage implements Storage {
  readonly location: string
  readonly properties: StorageProperties
  readonly features: StoreFeatures
  readonly #options: GsStorageOptions
  readonly #client: GsClient
  /** Whether the bucket keeps old versions; asked for by the first `delete`. */
  #hasVersions: boolean | undefined

  constructor(options: GsStorageOptions) {
    const { account, place, connections, lock, network, clock } = options
    this.#options = options
    this.#client = new GsClient(account, network, clock)
    this.location = `gs:${place.bucket}:/${place.prefix}`
    this.properties = { connections, atomicReplace: true, createOnly: true }
    this.features = gsFeatures({
      location: this.location,
      place,
      endpoint: account.endpoint,
      lock,
      clock,
      call: this.#call,
    })
  }

  async create(options: CallOptions = {}): Promise<void> {
    const { place, region, lock } = this.#options
    if (await this.#exists(options)) return
    await this.#call('make the bucket', 'storage.buckets.create', options, async (client, signal) => {
      const query = { project: await client.project(), enableObjectRetention: lock === undefined ? undefined : true }
      const body = { name: place.bucket, location: region }
      await client.tell({ method: 'POST', path: '/storage/v1/b', query, body, signal })
    })
  }

  async put(file: FileRef, content: Uint8Array, options: PutOptions = {}): Promise<void> {
    const { place } = this.#options
    const name = objectName(place.prefix, file)
    const { body, contentType } = uploadOf({ name, ...this.#attributesOf(file, content, options) }, content)
    await this.#call(
      `write ${describeFile(file)}`,
      'storage.objects.create',
      options,
      (client, signal) =>
        client.tell({
          method: 'POST',
          path: `/upload/storage/v1/b/${encodeURIComponent(place.bucket)}/o`,
          query: { uploadType: 'multipart', ifGenerationMatch: options.replace ? undefined : 0 },
          headers: { 'content-type': contentType },
          body,
          signal,
        }),
      { bytes: content.length, isAboutBucket: true },
    )
  }

  async get(file: FileRef, range?: ByteRange, options: CallOptions = {}): Promise<Uint8Array> {
    if (range !== undefined) {
      assertRange(file, range)
      if (range.length === 0) return await this.#readNothing(file, range, options)
    }
    const path = this.#pathOf(file)
    const headers: Record<string, string> =
      range === undefined ? {} : { range: `bytes=${range.offset}-${range.offset + range.length - 1}` }
    return await this.#call(
      `read ${describeFile(file)}`,
      'storage.objects.get',
      options,
      async (client, signal) => {
        const answer = await client.send({ path, query: { alt: 'media' }, headers, signal }).catch((error: unknown) => {
          if (range !== undefined && error instanceof GsAnswerError && error.status === 416) return undefined
          throw error
        })
        const size = sizeIn(answer) ?? (await this.stat(file, options)).sizeBytes
        const wanted = range ?? { offset: 0, length: size }
        if (answer === undefined || wanted.offset + wanted.length > size) {
          answer?.destroy()
          throw this.#short(file, wanted, size)
        }
        return await readBody(answer, wanted, file, this.location, options.into)
      },
      { bytes: range?.length ?? 64 << 20 },
    ).catch((error: unknown) => this.#nameMissingBucket(error, file, options))
  }

  async stat(file: FileRef, options: CallOptions = {}): Promise<{ readonly sizeBytes: number }> {
    const path = this.#pathOf(file)
    const { size } = await this.#call(`read ${describeFile(file)}`, 'storage.objects.get', options, (client, signal) =>
      client.ask<GsObject>({ path, query: { fields: 'size' }, signal }),
    ).catch((error: unknown) => this.#nameMissingBucket(error, file, options))
    return { sizeBytes: Number(size) }
  }

  async *list(kind: NamedFileKind, options: CallOptions = {}): AsyncIterable<StoredFile> {
    const { place, pageSize = 1000 } = this.#options
    const query = {
      prefix: objectFolder(place.prefix, kind),
      maxResults: pageSize,
      fields: 'items(name,size),nextPageToken',
    }
    let pageToken: string | undefined
    do {
      const page = await this.#page(kind, { ...query, pageToken }, options)
      for (const { name, size } of page.items ?? []) {
        const id = idOfObject(place.prefix, kind, name)
        if (id !== undefined) yield { name: id, sizeBytes: Number(size) }
        throwIfInterrupted(options.signal)
      }
      pageToken = page.nextPageToken || undefined
    } while (pageToken !== undefined)
  }

  async delete(file: FileRef, options: CallOptions = {}): Promise<void> {
    const path = this.#pathOf(file)
    this.#hasVersions ??= await this.#keepsVersions(options)
    const generations = this.#hasVersions ? await this.#generationsOf(file, options) : [undefined]
    // A file that only has old versions is not there.
    await this.#call(`remove ${describeFile(file)}`, 'storage.objects.delete', options, async (client, signal) => {
      if (generations.length === 0) throw new GsAnswerError(404, 'notFound', Number.NaN)
      for (const generation of generations) await client.tell({ method: 'DELETE', path, query: { generation }, signal })
    })
  }

  async close(): Promise<void> {
    this.#client.close()
  }

  /** Class, checksum and retention of an object that is written. Locks must be removed soon, so they are never retained. */
  #attributesOf(file: FileRef, content: Uint8Array, { cacheable }: PutOptions): object {
    const { storageClass, lock, clock } = this.#options
    // Packs of trees are read by every backup; reading them is what the archive charges for.
    const isClassed = storageClass !== undefined && file.kind === 'data' && !(cacheable && storageClass === 'ARCHIVE')
    const retention = lock && {
      mode: lock.mode === 'compliance' ? 'Locked' : 'Unlocked',
      retainUntilTime: new Date(Number(clock.now() / 1_000_000n) + lock.forMs).toISOString(),
    }
    return {
      md5Hash: hash('md5', content, 'base64'),
      ...(isClassed ? { storageClass } : {}),
      ...(retention === undefined || file.kind === 'lock' ? {} : { retention }),
    }
  }

  async #page(
    kind: NamedFileKind,
    query: Readonly<Record<string, string | number | undefined>>,
    options: CallOptions,
  ): Promise<{ readonly items?: readonly GsObject[]; readonly nextPageToken?: string }> {
    const path = `/storage/v1/b/${encodeURIComponent(this.#options.place.bucket)}/o`
    try {
      return await this.#call(
        `list ${kind} files`,
        'storage.objects.list',
        options,
        (client, signal) => client.ask({ path, query, signal }),
        { isAboutBucket: true },
      )
    } catch (error) {
      if (!isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) throw error
      return {}
    }
  }

  /** Who may only use objects may not ask for the bucket, but can list it. */
  async #exists(options: CallOptions): Promise<boolean> {
    const { bucket, prefix } = this.#options.place
    const path = `/storage/v1/b/${encodeURIComponent(bucket)}/o`
    return await this.#call(
      'look into the bucket',
      'storage.objects.list',
      options,
      (client, signal) => client.tell({ path, query: { prefix, maxResults: 1 }, signal }),
      { isAboutBucket: true },
    ).then(
      () => true,
      (error: unknown) => {
        if (isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) return false
        throw error
      },
    )
  }

  /** When it may not be asked, it is taken for one that does: then every version is looked for. */
  async #keepsVersions(options: CallOptions): Promise<boolean> {
    const path = `/storage/v1/b/${encodeURIComponent(this.#options.place.bucket)}`
    try {
      const { versioning } = await this.#call('examine the bucket', 'storage.buckets.get', options, (client, signal) =>
        client.ask<{ versioning?: { enabled?: boolean } }>({ path, query: { fields: 'versioning' }, signal }),
      )
      return versioning?.enabled === true
    } catch (error) {
      if (isHoldfastError(error, 'HF_STORAGE_DENIED')) return true
      throw error
    }
  }

  /** All versions of a file that is there; none of one that is not. */
  async #generationsOf(file: FileRef, options: CallOptions): Promise<readonly string[]> {
    const { place } = this.#options
    const name = objectName(place.prefix, file)
    const path = `/storage/v1/b/${encodeURIComponent(place.bucket)}/o`
    const found: (GsObject & { readonly timeDeleted?: string })[] = []
    let pageToken: string | undefined
    do {
      const query = {
        prefix: name,
        versions: true,
        fields: 'items(name,generation,timeDeleted),nextPageToken',
        pageToken,
      }
      const page = await this.#call('list old versions', 'storage.objects.list', options, (client, signal) =>
        client.ask<{ items?: typeof found; nextPageToken?: string }>({ path, query, signal }),
      )
      found.push(...(page.items ?? []).filter((item) => item.name === name))
      pageToken = page.nextPageToken || undefined
    } while (pageToken !== undefined)
    return found.some(({ timeDeleted }) => timeDeleted === undefined) ? found.map(({ generation }) => generation) : []
  }

  /** Objects and buckets that are missing look the same; for `config`, with which everything begins, it is found out. */
  async #nameMissingBucket(error: unknown, file: FileRef, options: CallOptions): Promise<never> {
    if (file.kind !== 'config' || !isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) throw error
    const path = `/storage/v1/b/${encodeURIComponent(this.#options.place.bucket)}/o`
    await this.#call(
      'read config',
      'storage.objects.list',
      options,
      (client, signal) => client.tell({ path, query: { maxResults: 1 }, signal }),
      { isAboutBucket: true },
    ).catch((second: unknown) => {
      throw isHoldfastError(second, 'HF_STORAGE_NOT_FOUND') ? second : error
    })
    throw error
  }

  /** No bytes, of a file that must be there and reach so far. */
  async #readNothing(file: FileRef, range: ByteRange, options: CallOptions): Promise<Uint8Array> {
    const { sizeBytes } = await this.stat(file, options)
    if (range.offset > sizeBytes) throw this.#short(file, range, sizeBytes)
    return new Uint8Array(0)
  }

  #short(file: FileRef, range: ByteRange, sizeBytes: number): HoldfastError {
    return shortFile(describeFile(file), sizeBytes, range, this.location)
  }

  #pathOf(file: FileRef): string {
    const { bucket, prefix } = this.#options.place
    return `/storage/v1/b/${encodeURIComponent(bucket)}/o/${encodeURIComponent(objectName(prefix, file))}`
  }

  readonly #call: GsCaller = async (doing, needs, options, work, { bytes = 0, isAboutBucket = false } = {}) => {
    const { account, place, clock } = this.#options
    const what = `cannot ${doing} in ${this.location}`
    return await withDeadline({ what, bytes }, options, async (signal) => {
      try {
        return await work(this.#client, signal)
      } catch (error) {
        const nowMs = Number(clock.now() / 1_000_000n)
        throw gsError(error, { what, needs, account, bucket: place.bucket, isAboutBucket, nowMs })
      }
    })
  }
}

/** What describes the object and its content, in one body as `multipart/related` wants it. */
function uploadOf(
  description: object,
  content: Uint8Array,
): { readonly body: Uint8Array<ArrayBuffer>; readonly contentType: string } {
  const boundary = Buffer.from(randomBytes(24)).toString('hex')
  const head = `--${boundary}\r\ncontent-type: application/json\r\n\r\n${JSON.stringify(description)}\r\n--${boundary}\r\ncontent-type: application/octet-stream\r\n\r\n`
  const body = Buffer.concat([Buffer.from(head), content, Buffer.from(`\r\n--${boundary}--\r\n`)])
  return { body, contentType: `multipart/related; boundary=${boundary}` }
}

/** The size of a whole file, from `bytes 0-9/100` or the length of the answer; undefined when it is not told. */
function sizeIn(answer: HttpAnswer | undefined): number | undefined {
  const text = answer?.headers['content-range']?.split('/')[1] ?? answer?.headers['content-length']
  const size = Number(text ?? Number.NaN)
  return Number.isSafeInteger(size) && size >= 0 ? size : undefined
}
