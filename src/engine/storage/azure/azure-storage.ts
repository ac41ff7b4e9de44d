import { hash } from 'node:crypto'
import type { BlobImmutabilityPolicy, BlockBlobClient, ContainerClient } from '@azure/storage-blob'
import type { Clock } from '../../../lib/clock.ts'
import { HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import { forEachParallel } from '../../../lib/parallel.ts'
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
import type { StoreSettings } from '../store-settings.ts'
import type { AzureAccount } from './azure-account.ts'
import { type AzureClients, azureClients } from './azure-client.ts'
import { type AzureRight, azureError } from './azure-error.ts'
import { azureFeatures } from './azure-features.ts'

export interface AzureStorageOptions {
  readonly account: AzureAccount
  readonly place: BucketPlace
  readonly connections: number
  /** Access tier of packs, as Azure names it. */
  readonly tier?: string | undefined
  readonly lock?: StoreSettings['lock']
  readonly network: NetworkSettings
  readonly clock: Clock
  /** Files larger than this go up in blocks of this size. */
  readonly blockBytes?: number
  /** Blobs in a page of a listing; the service's 5000 by default. */
  readonly pageSize?: number
}

/** Blocks in flight for one file. */
const PARALLEL_BLOCKS = 4
const DEFAULT_BLOCK_BYTES = 32 << 20

/** A repository in a container of Azure Blob Storage. Opening asks nothing; the client library is loaded by the first call. */
export function openAzureStorage(options: AzureStorageOptions): Storage {
  return new AzureStorage(options)
}

class AzureStorage implements Storage {
  readonly location: string
  readonly properties: StorageProperties
  readonly features: StoreFeatures
  readonly #options: AzureStorageOptions
  #clients: Promise<AzureClients> | undefined
  /** Whether the account keeps old versions of blobs; not known before the first answer about a blob. */
  #hasVersions: boolean | undefined

  constructor(options: AzureStorageOptions) {
    const { place, connections, lock, clock } = options
    this.#options = options
    this.location = `azure:${place.bucket}:/${place.prefix}`
    this.properties = { connections, atomicReplace: true, createOnly: true }
    this.features = azureFeatures({
      location: this.location,
      endpoint: options.account.endpoint,
      prefix: place.prefix,
      lock,
      clock,
      call: (doing, needs, call, work) => this.#call(doing, needs, call, work),
    })
  }

  async create(options: CallOptions = {}): Promise<void> {
    await this.#call('make the container', 'create container', options, async ({ container }, abortSignal) => {
      // Who may only use a container may not ask for it to be made.
      if (await this.#exists(container, abortSignal)) return
      await container.createIfNotExists({ abortSignal })
    })
  }

  async put(file: FileRef, content: Uint8Array, options: PutOptions = {}): Promise<void> {
    const name = objectName(this.#options.place.prefix, file)
    const conditions = options.replace ? {} : { ifNoneMatch: '*' }
    const doing = `write ${describeFile(file)}`
    await this.#call(
      doing,
      'write',
      options,
      async ({ container }, abortSignal) => {
        const blob = container.getBlockBlobClient(name)
        const bytes = Buffer.from(content.buffer, content.byteOffset, content.length)
        const all = { abortSignal, conditions, ...this.#attributesOf(file, options) }
        const { blockBytes = DEFAULT_BLOCK_BYTES } = this.#options
        const answer =
          bytes.length <= blockBytes
            ? await blob.upload(bytes, bytes.length, { ...all, transactionalContentMD5: md5(bytes) })
            : await this.#putBlocks(blob, bytes, blockBytes, all)
        this.#hasVersions = answer.versionId !== undefined
      },
      content.length,
    )
  }

  async get(file: FileRef, range?: ByteRange, options: CallOptions = {}): Promise<Uint8Array> {
    if (range !== undefined) {
      assertRange(file, range)
      if (range.length === 0) return await this.#readNothing(file, range, options)
    }
    const name = objectName(this.#options.place.prefix, file)
    return await this.#call(
      `read ${describeFile(file)}`,
      'read',
      options,
      async ({ container }, abortSignal) => {
        const blob = container.getBlobClient(name)
        const answer = await blob.download(range?.offset, range?.length, { abortSignal }).catch((error: unknown) => {
          if (range !== undefined && (error as { statusCode?: number }).statusCode === 416) return undefined
          throw error
        })
        if (answer === undefined) throw this.#short(file, range!, (await this.stat(file, options)).sizeBytes)
        const size = sizeOf(answer.contentRange, answer.contentLength)
        const wanted = range ?? { offset: 0, length: size }
        if (wanted.offset + wanted.length > size) {
          ;(answer.readableStreamBody as { destroy?: () => void }).destroy?.()
          throw this.#short(file, wanted, size)
        }
        return await readBody(
          answer.readableStreamBody as unknown as AsyncIterable<Uint8Array>,
          wanted,
          file,
          this.location,
          options.into,
        )
      },
      range?.length ?? 64 << 20,
    )
  }

  async stat(file: FileRef, options: CallOptions = {}): Promise<{ readonly sizeBytes: number }> {
    const name = objectName(this.#options.place.prefix, file)
    return await this.#call(`read ${describeFile(file)}`, 'read', options, async ({ container }, abortSignal) => {
      const { contentLength = 0, versionId } = await container.getBlobClient(name).getProperties({ abortSignal })
      this.#hasVersions = versionId !== undefined
      return { sizeBytes: contentLength }
    })
  }

  async *list(kind: NamedFileKind, options: CallOptions = {}): AsyncIterable<StoredFile> {
    const { place, pageSize = 5000 } = this.#options
    const prefix = objectFolder(place.prefix, kind)
    let continuationToken: string | undefined
    do {
      const page = await this.#page(kind, { prefix, continuationToken, pageSize }, options)
      for (const { name, properties } of page.segment.blobItems) {
        const id = idOfObject(place.prefix, kind, name)
        if (id !== undefined) yield { name: id, sizeBytes: properties.contentLength ?? 0 }
        throwIfInterrupted(options.signal)
      }
      continuationToken = page.continuationToken || undefined
    } while (continuationToken !== undefined)
  }

  async delete(file: FileRef, options: CallOptions = {}): Promise<void> {
    const name = objectName(this.#options.place.prefix, file)
    if (this.#hasVersions === undefined) await this.stat(file, options)
    await this.#call(`remove ${describeFile(file)}`, 'delete', options, async ({ container }, abortSignal) => {
      await container.getBlobClient(name).delete({ abortSignal, deleteSnapshots: 'include' })
      if (!this.#hasVersions) return
      const versions = container.listBlobsFlat({ prefix: name, includeVersions: true, abortSignal })
      for await (const { name: found, versionId } of versions)
        if (found === name && versionId !== undefined)
          await container.getBlobClient(name).withVersion(versionId).delete({ abortSignal })
    })
  }

  async close(): Promise<void> {}

  async #putBlocks(
    blob: BlockBlobClient,
    bytes: Buffer,
    blockBytes: number,
    options: Parameters<BlockBlobClient['commitBlockList']>[1] & { readonly abortSignal: AbortSignal },
  ): ReturnType<BlockBlobClient['commitBlockList']> {
    const { abortSignal } = options
    // Names of this upload alone, so that writers of one name at the same time do not mix their blocks.
    const upload = Buffer.from(randomBytes(12))
    const ids = Array.from({ length: Math.ceil(bytes.length / blockBytes) }, (_, number) => {
      const end = Buffer.alloc(4)
      end.writeUInt32BE(number)
      return Buffer.concat([upload, end]).toString('base64')
    })
    await forEachParallel(ids.entries(), PARALLEL_BLOCKS, async ([number, id]) => {
      const block = bytes.subarray(number * blockBytes, (number + 1) * blockBytes)
      await blob.stageBlock(id, block, block.length, { abortSignal, transactionalContentMD5: md5(block) })
    })
    try {
      return await blob.commitBlockList(ids, { ...options, blobHTTPHeaders: { blobContentMD5: md5(bytes) } })
    } catch (error) {
      // Another writer that was done first has taken the blocks of this one away.
      const hasLost = (error as { details?: { errorCode?: string } }).details?.errorCode === 'InvalidBlockList'
      if (!hasLost || !(await blob.exists({ abortSignal }))) throw error
      throw new HoldfastError('HF_STORAGE_EXISTS', `cannot write ${blob.name} in ${this.location}: it exists already`)
    }
  }

  /** Tier and retention of a file that is written. Locks must be removed soon, so they are never retained. */
  #attributesOf(
    file: FileRef,
    { cacheable }: PutOptions,
  ): { readonly tier?: string; readonly immutabilityPolicy?: BlobImmutabilityPolicy } {
    const { tier, lock, clock } = this.#options
    // Packs of trees are read by every backup; in the archive they would have to be brought back for each.
    const isTiered = tier !== undefined && file.kind === 'data' && !(cacheable && tier === 'Archive')
    const expiriesOn = lock && new Date(Number(clock.now() / 1_000_000n) + lock.forMs)
    const policyMode = lock?.mode === 'compliance' ? 'Locked' : 'Unlocked'
    return {
      ...(isTiered ? { tier } : {}),
      ...(expiriesOn === undefined || file.kind === 'lock' ? {} : { immutabilityPolicy: { expiriesOn, policyMode } }),
    }
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

  /** A page of a listing; an empty one where there is no container yet. */
  async #page(
    kind: NamedFileKind,
    page: { readonly prefix: string; readonly continuationToken: string | undefined; readonly pageSize: number },
    options: CallOptions,
  ): Promise<{
    segment: { blobItems: readonly { name: string; properties: { contentLength?: number } }[] }
    continuationToken?: string
  }> {
    try {
      return await this.#call(`list ${kind} files`, 'list', options, async ({ container }, abortSignal) => {
        const { prefix, continuationToken, pageSize } = page
        const settings = { maxPageSize: pageSize, ...(continuationToken === undefined ? {} : { continuationToken }) }
        const { value } = await container.listBlobsFlat({ prefix, abortSignal }).byPage(settings).next()
        return value
      })
    } catch (error) {
      if (!isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) throw error
      return { segment: { blobItems: [] } }
    }
  }

  async #exists(container: ContainerClient, abortSignal: AbortSignal): Promise<boolean> {
    const page = container.listBlobsFlat({ prefix: this.#options.place.prefix, abortSignal }).byPage({ maxPageSize: 1 })
    return await page.next().then(
      () => true,
      (error: unknown) => {
        if ((error as { details?: { errorCode?: string } }).details?.errorCode === 'ContainerNotFound') return false
        throw error
      },
    )
  }

  async #call<T>(
    doing: string,
    needs: AzureRight,
    options: CallOptions,
    work: (clients: AzureClients, signal: AbortSignal) => Promise<T>,
    bytes = 0,
  ): Promise<T> {
    const { account, place, network, clock } = this.#options
    const what = `cannot ${doing} in ${this.location}`
    throwIfInterrupted(options.signal)
    this.#clients ??= azureClients(account, place.bucket, network)
    const clients = await this.#clients
    return await withDeadline({ what, bytes }, options, async (signal) => {
      try {
        return await work(clients, signal)
      } catch (error) {
        const nowMs = Number(clock.now() / 1_000_000n)
        throw azureError(error, { what, needs, account, container: place.bucket, nowMs })
      }
    })
  }
}

const md5 = (bytes: Uint8Array): Buffer => hash('md5', bytes, 'buffer')

/** The size of a whole file, from `bytes 0-9/100` or the length of the answer. */
function sizeOf(contentRange: string | undefined, contentLength: number | undefined): number {
  const whole = Number(contentRange?.split('/')[1] ?? contentLength)
  return Number.isSafeInteger(whole) && whole >= 0 ? whole : 0
}
