import type { Clock } from '../../../lib/clock.ts'
import { HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import type { Id } from '../../../lib/id.ts'
import type { BodyMemory } from '../direct-bodies.ts'
import type { StoreFeatures } from '../features.ts'
import { throwIfInterrupted } from '../interruption.ts'
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
import type { LockSettings } from '../store-settings.ts'
import { readBody, type S3Body, TRUSTED_BYTES } from './s3-body.ts'
import { S3Classes } from './s3-classes.ts'
import type { S3Client, S3Content } from './s3-client.ts'
import { nameOf, type S3Call } from './s3-error.ts'
import { examineS3 } from './s3-examine.ts'
import { S3Keys } from './s3-keys.ts'
import { fileCall, S3Objects } from './s3-objects.ts'
import type { S3Options } from './s3-options.ts'
import { nowMs, type Upload, type UploadSettings, upload } from './s3-put.ts'
import { S3Retention } from './s3-retention.ts'
import { S3Versions } from './s3-versions.ts'

export interface S3StorageSettings {
  readonly client: S3Client
  /** Within the bucket, without slashes at either end. */
  readonly prefix: string
  readonly options: S3Options
  readonly lock?: LockSettings | undefined
  readonly clock: Clock
  /** Told when files are waited for that an archive brings back. */
  readonly onNotice?: (text: string) => void
  /** Larger files go up in parts; 64 MiB by default. */
  readonly wholeBytes?: number
  /** Of at least 5 MiB; 16 MiB by default. */
  readonly partBytes?: number
}

const WHOLE_BYTES = 64 << 20
const PART_BYTES = 16 << 20
/** No file of a repository is larger; a store that says so is not believed. */
const LARGEST_FILE_BYTES = 1 << 30

/** A repository in a bucket. */
export class S3Storage implements Storage {
  readonly location: string
  readonly properties: StorageProperties
  readonly features: StoreFeatures
  readonly #client: S3Client
  readonly #keys: S3Keys
  readonly #objects: S3Objects
  readonly #versions: S3Versions
  readonly #classes: S3Classes
  readonly #retention: S3Retention
  readonly #settings: UploadSettings
  #refusesConditions = false
  /** Locks this process has written where there are no versions: they can be deleted without a look at them. */
  readonly #ownLocks = new Set<Id>()

  constructor({ client, prefix, options, lock, clock, onNotice, wholeBytes, partBytes }: S3StorageSettings) {
    this.location = client.location
    this.properties = { connections: options.connections, atomicReplace: true, createOnly: client.isCreateOnly }
    this.#client = client
    this.#keys = new S3Keys(prefix)
    this.#objects = new S3Objects(client, this.#keys)
    this.#versions = new S3Versions(this.#objects, clock)
    this.#classes = new S3Classes(this.#objects, options.restore, onNotice ?? (() => undefined))
    this.#retention = new S3Retention(this.#objects, lock)
    this.features = {
      retention: this.#retention,
      versions: this.#versions,
      classes: this.#classes,
      examine: (call) => examineS3(this.#objects, { lock, isPlain: client.isPlain, clock }, call),
      isPublic: (file, call) => client.isAllowedToStrangers({ Key: this.#keys.of(file) }, call),
    }
    this.#settings = {
      options,
      lock,
      clock,
      wholeBytes: wholeBytes ?? WHOLE_BYTES,
      partBytes: partBytes ?? PART_BYTES,
    }
  }

  async create(options: CallOptions = {}): Promise<void> {
    const { bucket: Bucket, region } = this.#client
    const object = `the bucket ${JSON.stringify(Bucket)}`
    const Prefix = this.#keys.root
    try {
      const look = { doing: 'look for', object, permission: 's3:ListBucket' }
      await this.#client.call(look, options, (s3, request) => s3.listObjectsV2({ Bucket, Prefix, MaxKeys: 1 }, request))
      return
    } catch (error) {
      // Who may use a bucket need not be allowed to look at it.
      if (isHoldfastError(error, 'HF_STORAGE_DENIED') && error.context.error === 'AccessDenied') return
      if (!isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) throw error
    }
    const call = { doing: 'make', object, permission: 's3:CreateBucket' }
    await this.#client.call(call, options, (s3, request) =>
      s3
        .createBucket(
          {
            Bucket,
            ...(region === 'us-east-1'
              ? {}
              : { CreateBucketConfiguration: { LocationConstraint: region as 'eu-west-1' } }),
            ...(this.#settings.lock === undefined ? {} : { ObjectLockEnabledForBucket: true }),
          },
          request,
        )
        .catch((error: unknown) => {
          if (nameOf(error) !== 'BucketAlreadyOwnedByYou') throw error
        }),
    )
  }

  async put(file: FileRef, content: Uint8Array, options: PutOptions = {}): Promise<void> {
    const call = fileCall('write', file, 's3:PutObject')
    const createOnly = options.replace !== true
    if (createOnly && (this.#refusesConditions || !this.#client.isCreateOnly))
      await this.#refuseExisting(file, call, options)
    const key = this.#keys.of(file)
    const isConditional = createOnly && !this.#refusesConditions
    const whole: Upload = { key, file, content, createOnly: isConditional, call }
    const startMs = nowMs(this.#settings.clock)
    let version: string | undefined
    try {
      version = await upload(this.#client, whole, this.#settings, options)
    } catch (error) {
      // A store that knows no create-only writes says so.
      if (!isConditional || !isHoldfastError(error) || error.context.error !== 'NotImplemented')
        throw await this.#retention.explain(error, call, options)
      this.#refusesConditions = true
      await this.#refuseExisting(file, call, options)
      version = await upload(this.#client, { ...whole, createOnly: false }, this.#settings, options)
    }
    if (file.kind === 'lock' && version === undefined) this.#ownLocks.add(file.name)
    const { lock, wholeBytes } = this.#settings
    if (lock !== undefined && content.length > wholeBytes)
      await this.#retention.ensure(file, startMs + lock.forMs, options)
  }

  async get(file: FileRef, range?: ByteRange, options: CallOptions = {}): Promise<Uint8Array> {
    if (range !== undefined) assertRange(file, range)
    if (range?.length === 0) {
      const { sizeBytes } = await this.stat(file, options)
      rangeWithin(file, sizeBytes, range, this.location)
      return new Uint8Array(0)
    }
    const call = fileCall('read', file, 's3:GetObject')
    const { output, bytes: read } = await this.#open(file, range, call, options).catch(async (error: unknown) => {
      const { restore } = this.#settings.options
      if (restore === undefined || !isHoldfastError(error, 'HF_STORAGE_ARCHIVED')) throw error
      await this.#classes.bringBack(file, restore, this.#settings.clock, options)
      return this.#open(file, range, call, options)
    })
    if (read !== undefined) return read
    const { ContentLength = 0, ContentRange } = output
    if (ContentLength > LARGEST_FILE_BYTES)
      throw new HoldfastError('HF_STORAGE_CONTRACT', `${call.object} in ${this.location} claims ${ContentLength} bytes`)
    let bytes: Uint8Array
    try {
      bytes = await readBody(output.Body as unknown as S3Body, ContentLength, options)
    } catch (error) {
      throw this.#client.errorOf(error, call, options)
    }
    const whole = { offset: 0, length: ContentLength }
    if (bytes.length < ContentLength) throw shortFile(call.object, bytes.length, whole, this.location, 'later')
    if (range === undefined || (ContentRange !== undefined && bytes.length === range.length)) return bytes
    const sizeBytes = Number(/\/([0-9]+)$/.exec(ContentRange ?? '')?.[1] ?? bytes.length)
    const { offset, length } = rangeWithin(file, sizeBytes, range, this.location)
    // The store took no notice of the range, or of its end.
    if (ContentRange !== undefined) throw shortFile(call.object, bytes.length, range, this.location, 'later')
    return bytes.slice(offset, offset + length)
  }

  async stat(file: FileRef, options: CallOptions = {}): Promise<{ readonly sizeBytes: number }> {
    const { sizeBytes } = await this.#objects.head(file, options)
    return { sizeBytes }
  }

  async *list(kind: NamedFileKind, options: CallOptions = {}): AsyncIterable<StoredFile> {
    const { listObjectsV1 } = this.#settings.options
    const call = { doing: 'list', object: `the files of kind ${kind}`, permission: 's3:ListBucket' }
    const target = { Bucket: this.#client.bucket, Prefix: this.#keys.folder(kind) }
    for (let after: string | undefined; ; ) {
      const page = await this.#client
        .call(call, options, async (s3, request) => {
          if (listObjectsV1) return s3.listObjects({ ...target, ...(after ? { Marker: after } : {}) }, request)
          return s3.listObjectsV2({ ...target, ...(after ? { StartAfter: after } : {}) }, request)
        })
        .catch((error: unknown) => {
          // A bucket that is still to be made.
          if (!isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) throw error
          return { Contents: [], IsTruncated: false }
        })
      for (const { Key, Size = 0 } of page.Contents ?? []) {
        throwIfInterrupted(options.signal)
        const name = this.#keys.nameOf(kind, Key)
        if (name !== undefined) yield { name, sizeBytes: Size }
      }
      const last = page.Contents?.at(-1)?.Key
      if (!page.IsTruncated || last === undefined || last === after) return
      after = last
    }
  }

  /** Of a lock of its own it does not notice that somebody else has removed it: the answer of S3 does not tell, and nobody would do anything else. */
  async delete(file: FileRef, options: CallOptions = {}): Promise<void> {
    if (file.kind === 'lock' && this.#ownLocks.delete(file.name)) await this.#versions.hide(file, options)
    else await this.#versions.delete(file, options)
  }

  async close(): Promise<void> {
    this.#client.close()
  }

  async #open(file: FileRef, range: ByteRange | undefined, call: S3Call, options: CallOptions): Promise<S3Content> {
    const Range = range === undefined ? {} : { Range: `bytes=${range.offset}-${range.offset + range.length - 1}` }
    const target = { Bucket: this.#client.bucket, Key: this.#keys.of(file), ...Range }
    const memory: BodyMemory = (status, length) => {
      if (range === undefined) return status === 200 && length <= TRUSTED_BYTES ? new Uint8Array(length) : undefined
      if (status !== 206 || length !== range.length) return undefined
      return options.into?.length === length ? options.into : new Uint8Array(length)
    }
    try {
      return await this.#client.getObject(call, options, target, memory)
    } catch (error) {
      if (range === undefined || !isHoldfastError(error) || !isRangeRefused(error)) throw error
      const { sizeBytes } = await this.stat(file, options)
      throw shortFile(describeFile(file), sizeBytes, range, this.location)
    }
  }

  async #refuseExisting(file: FileRef, call: S3Call, options: CallOptions): Promise<void> {
    try {
      await this.#objects.head(file, options)
    } catch (error) {
      if (isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) return
      throw error
    }
    throw new HoldfastError(
      'HF_STORAGE_EXISTS',
      `cannot ${call.doing} ${call.object} in ${this.location}: it exists already`,
    )
  }
}

const isRangeRefused = ({ context }: HoldfastError): boolean =>
  context.status === 416 || context.error === 'InvalidRange'
