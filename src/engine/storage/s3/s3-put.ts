import { hash } from 'node:crypto'
import type { PutObjectCommandInput } from '@aws-sdk/client-s3'
import type { Clock } from '../../../lib/clock.ts'
import { isHoldfastError } from '../../../lib/errors.ts'
import { forEachParallel } from '../../../lib/parallel.ts'
import { randomBelow } from '../../../lib/random.ts'
import { sleepUnlessInterrupted } from '../interruption.ts'
import type { CallOptions, FileRef, PutOptions } from '../storage.ts'
import type { LockSettings } from '../store-settings.ts'
import type { S3Client } from './s3-client.ts'
import type { S3Call } from './s3-error.ts'
import type { S3Options } from './s3-options.ts'

export interface UploadSettings {
  readonly options: S3Options
  readonly lock: LockSettings | undefined
  readonly clock: Clock
  /** Content that is larger goes up in parts of `partBytes`, several at a time. */
  readonly wholeBytes: number
  readonly partBytes: number
}

export interface Upload {
  readonly key: string
  readonly file: FileRef
  readonly content: Uint8Array
  /** Have the store refuse an existing name. */
  readonly createOnly: boolean
  readonly call: S3Call
}

type ObjectAttributes = Pick<
  PutObjectCommandInput,
  'StorageClass' | 'ServerSideEncryption' | 'SSEKMSKeyId' | 'ObjectLockMode' | 'ObjectLockRetainUntilDate'
>

/** Parts of one upload on their way at the same time. */
const PARTS_AT_ONCE = 4
/** How often a part is sent, and the first pause before that, which doubles. What still fails then is for the retries of the whole file. */
const PART_TRIES = 4
const PART_PAUSE_MS = 1000
/** Classes whose files cannot be read before they are brought back. */
const ARCHIVES: readonly string[] = ['GLACIER', 'DEEP_ARCHIVE']

/**
 * Writes an object in one request, or in parts when it is large. Returns the version it became; undefined where there are none, and of one that
 * went up in parts. Errors are those of the SDK.
 */
export async function upload(
  client: S3Client,
  { key, file, content, createOnly, call }: Upload,
  settings: UploadSettings,
  options: PutOptions,
): Promise<string | undefined> {
  const target = { Bucket: client.bucket, Key: key, ...attributesOf(file, settings, options) }
  const condition = createOnly ? { IfNoneMatch: '*' } : {}
  if (content.length > settings.wholeBytes) {
    await uploadParts(client, target, condition, content, settings, call, options)
    return undefined
  }
  const checksum = {
    ChecksumSHA256: checksumOf(file, content, options),
    // Uploads that are to be retained are refused without a name for it.
    ...(target.ObjectLockMode === undefined ? {} : { ChecksumAlgorithm: 'SHA256' as const }),
  }
  const { VersionId } = await client.call(call, options, (s3, request) =>
    s3.putObject({ ...target, ...condition, Body: content, ...checksum }, request),
  )
  return VersionId
}

/** Class, encryption and lock of a file that is written. */
function attributesOf(
  file: FileRef,
  { options, lock, clock }: UploadSettings,
  { cacheable = false }: PutOptions,
): ObjectAttributes {
  const { storageClass, encryption } = options
  // Whatever is not a pack of data is read often; trees, too, which an archive would make unreadable.
  const hasClass = storageClass !== undefined && file.kind === 'data' && !(cacheable && ARCHIVES.includes(storageClass))
  const isLocked = lock !== undefined && file.kind !== 'lock'
  return {
    ...(hasClass ? { StorageClass: storageClass as PutObjectCommandInput['StorageClass'] } : {}),
    ...(encryption === undefined ? {} : { ServerSideEncryption: encryption.algorithm }),
    ...(encryption?.keyId === undefined ? {} : { SSEKMSKeyId: encryption.keyId }),
    ...(isLocked
      ? { ObjectLockMode: lockMode(lock), ObjectLockRetainUntilDate: retainUntil(nowMs(clock) + lock.forMs) }
      : {}),
  }
}

export const lockMode = ({ mode }: Pick<LockSettings, 'mode'>): 'GOVERNANCE' | 'COMPLIANCE' =>
  mode === 'compliance' ? 'COMPLIANCE' : 'GOVERNANCE'

export const nowMs = (clock: Clock): number => Number(clock.now() / 1_000_000n)

/** The store keeps whole seconds; never less than was asked for. */
export const retainUntil = (untilMs: number): Date => new Date(Math.ceil(untilMs / 1000) * 1000)

/** A file's name is its hash; only `config` and what is replaced has to be hashed. */
function checksumOf(file: FileRef, content: Uint8Array, { replace }: PutOptions): string {
  if (file.kind === 'config' || replace) return hash('sha256', content, 'base64')
  return Buffer.from(file.name, 'hex').toString('base64')
}

async function uploadParts(
  client: S3Client,
  target: { readonly Bucket: string; readonly Key: string } & ObjectAttributes,
  condition: Pick<PutObjectCommandInput, 'IfNoneMatch'>,
  content: Uint8Array,
  { partBytes, clock }: UploadSettings,
  call: S3Call,
  options: PutOptions,
): Promise<void> {
  const { Bucket, Key } = target
  const { UploadId } = await client.call(call, options, (s3, request) =>
    s3.createMultipartUpload({ ...target, ChecksumAlgorithm: 'SHA256' }, request),
  )
  const parts: { readonly PartNumber: number; readonly ETag: string | undefined; readonly ChecksumSHA256: string }[] =
    []
  try {
    const numbers = Array.from({ length: Math.ceil(content.length / partBytes) }, (_, index) => index + 1)
    await forEachParallel(numbers, PARTS_AT_ONCE, async (PartNumber) => {
      const Body = content.subarray((PartNumber - 1) * partBytes, PartNumber * partBytes)
      const ChecksumSHA256 = hash('sha256', Body, 'base64')
      const part = { Bucket, Key, UploadId, PartNumber, Body, ChecksumSHA256, ChecksumAlgorithm: 'SHA256' } as const
      const { ETag } = await severalTimes(clock, options, () =>
        client.call(call, options, (s3, request) => s3.uploadPart(part, request)),
      )
      parts[PartNumber - 1] = { PartNumber, ETag, ChecksumSHA256 }
    })
    await client.call(call, options, (s3, request) =>
      s3.completeMultipartUpload({ Bucket, Key, UploadId, MultipartUpload: { Parts: parts }, ...condition }, request),
    )
  } catch (error) {
    // Parts of an upload that nobody completes are paid for and not seen. That they cannot be removed is not what went wrong.
    await client
      .call(call, undefined, (s3, request) => s3.abortMultipartUpload({ Bucket, Key, UploadId }, request))
      .catch(() => undefined)
    throw error
  }
}

/** A part that arrived stays with the store while others are sent again: a connection that breaks costs one part, not the file. */
async function severalTimes<T>(
  clock: Clock,
  { signal }: Pick<CallOptions, 'signal'>,
  attempt: () => Promise<T>,
): Promise<T> {
  for (let failures = 0; ; ) {
    try {
      return await attempt()
    } catch (error) {
      failures += 1
      const mayPass = isHoldfastError(error) && error.retry === 'later' && error.code !== 'HF_INTERRUPTED'
      if (!mayPass || failures === PART_TRIES) throw error
      await sleepUnlessInterrupted(
        clock,
        PART_PAUSE_MS * 2 ** (failures - 1) * (0.5 + randomBelow(1001) / 1000),
        signal,
      )
    }
  }
}
