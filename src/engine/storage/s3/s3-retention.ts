import { isHoldfastError } from '../../../lib/errors.ts'
import type { Retention, RetentionFeature } from '../features.ts'
import type { CallOptions, FileRef } from '../storage.ts'
import type { LockSettings } from '../store-settings.ts'
import type { S3Call } from './s3-error.ts'
import { fileCall, type S3Objects } from './s3-objects.ts'
import { lockMode, retainUntil } from './s3-put.ts'

/** Object Lock. A bucket without it refuses to extend anything, and retains nothing. */
export class S3Retention implements RetentionFeature {
  readonly written: LockSettings | undefined
  readonly #objects: S3Objects
  /** A bucket that keeps no versions has no Object Lock either. */
  #hasNoVersions = false

  constructor(objects: S3Objects, written: LockSettings | undefined) {
    this.#objects = objects
    this.written = written
  }

  async get(file: FileRef, options?: CallOptions): Promise<Retention | undefined> {
    if (this.#hasNoVersions) return undefined
    const { versionId, mode, lockedUntilMs, isHeld } = await this.#objects.head(file, options)
    this.#hasNoVersions = versionId === undefined
    if (!isHeld && (mode === undefined || lockedUntilMs === undefined)) return undefined
    return { mode: mode ?? 'governance', untilMs: lockedUntilMs ?? 0, isHeld }
  }

  async extend(file: FileRef, untilMs: number, options?: CallOptions): Promise<void> {
    const { mode, lockedUntilMs } = await this.#objects.head(file, options)
    if (mode !== undefined && lockedUntilMs !== undefined && lockedUntilMs >= untilMs) return
    const target = this.#objects.target(file)
    // What is compliant stays so; the other way round the store would refuse.
    const Mode = lockMode({ mode: mode === 'compliance' ? mode : (this.written?.mode ?? mode ?? 'governance') })
    const call = fileCall('retain', file, 's3:PutObjectRetention')
    await this.#objects.client.call(call, options, (s3, request) =>
      s3.putObjectRetention({ ...target, Retention: { Mode, RetainUntilDate: retainUntil(untilMs) } }, request),
    )
  }

  /**
   * Makes sure of the retention of a file that was just uploaded in parts: Ceph 16 takes no notice of the one that an upload in parts asks for.
   */
  async ensure(file: FileRef, untilMs: number, options?: CallOptions): Promise<void> {
    if (this.written === undefined || file.kind === 'lock' || this.#objects.client.isAmazon) return
    await this.extend(file, untilMs, options)
  }

  /** A refusal to write, with its reason where the store gave none and it is that the bucket has no Object Lock. */
  async explain(error: unknown, call: S3Call, options?: CallOptions): Promise<unknown> {
    if (this.written === undefined || !isHoldfastError(error) || error.context.error !== 'InvalidRequest') return error
    const { client } = this.#objects
    return client
      .call(call, options, (s3, request) => s3.getObjectLockConfiguration({ Bucket: client.bucket }, request))
      .then(
        () => error,
        (reason: unknown) => (isHoldfastError(reason, 'HF_STORAGE_CONTRACT') ? reason : error),
      )
  }

  async setLegalHold(file: FileRef, isHeld: boolean, options?: CallOptions): Promise<void> {
    const target = this.#objects.target(file)
    const call = fileCall(isHeld ? 'hold' : 'release', file, 's3:PutObjectLegalHold')
    await this.#objects.client.call(call, options, (s3, request) =>
      s3.putObjectLegalHold({ ...target, LegalHold: { Status: isHeld ? 'ON' : 'OFF' } }, request),
    )
  }
}
