import type { ObjectVersion } from '@aws-sdk/client-s3'
import type { CallOptions, FileRef } from '../storage.ts'
import { describeFile } from '../storage.ts'
import type { S3Client } from './s3-client.ts'
import { isNameless, type S3Call } from './s3-error.ts'
import type { S3Keys } from './s3-keys.ts'

/** What a HEAD of a file tells. */
export interface S3Head {
  readonly sizeBytes: number
  /** Undefined in a bucket that has no versions. */
  readonly versionId: string | undefined
  readonly storageClass: string | undefined
  /** As the store writes it: `ongoing-request="true"`. */
  readonly restore: string | undefined
  readonly mode: 'governance' | 'compliance' | undefined
  /** Since 1970. */
  readonly lockedUntilMs: number | undefined
  readonly isHeld: boolean
  readonly replication: string | undefined
}

/** One version of an object, or a mark of deletion. */
export interface S3Version {
  readonly key: string
  readonly versionId: string
  readonly isLatest: boolean
  /** Since 1970. */
  readonly changedMs: number | undefined
  /** Absent: it marks a deletion. */
  readonly content?: { readonly sizeBytes: number; readonly storageClass: string }
}

/** The objects of one repository, as its bucket sees them. */
export class S3Objects {
  readonly client: S3Client
  readonly keys: S3Keys

  constructor(client: S3Client, keys: S3Keys) {
    this.client = client
    this.keys = keys
  }

  target(file: FileRef): { readonly Bucket: string; readonly Key: string } {
    return { Bucket: this.client.bucket, Key: this.keys.of(file) }
  }

  async head(file: FileRef, options: CallOptions | undefined): Promise<S3Head> {
    const call = fileCall('look at', file, 's3:GetObject')
    const target = this.target(file)
    const output = await this.client.call(call, options, async (s3, request) => {
      try {
        return await s3.headObject(target, request)
      } catch (error) {
        // The answer to HEAD has no body; that to a request for one byte says what is wrong.
        if (isNameless(error)) await s3.getObject({ ...target, Range: 'bytes=0-0' }, request).then(discard)
        throw error
      }
    })
    const mode = output.ObjectLockMode
    return {
      sizeBytes: output.ContentLength ?? 0,
      versionId: output.VersionId === 'null' ? undefined : output.VersionId,
      storageClass: output.StorageClass,
      restore: output.Restore,
      mode: mode === undefined ? undefined : mode === 'COMPLIANCE' ? 'compliance' : 'governance',
      lockedUntilMs: output.ObjectLockRetainUntilDate?.getTime(),
      isHeld: output.ObjectLockLegalHoldStatus === 'ON',
      replication: output.ReplicationStatus,
    }
  }

  /** All versions of objects whose keys begin so, by key, the newest of each first. */
  async *versions(prefix: string, options: CallOptions | undefined): AsyncIterable<S3Version> {
    const call = { doing: 'list', object: 'versions of files', permission: 's3:ListBucketVersions' }
    let from: { KeyMarker?: string; VersionIdMarker?: string } = {}
    for (;;) {
      const page = await this.client.call(call, options, (s3, request) =>
        s3.listObjectVersions({ Bucket: this.client.bucket, Prefix: prefix, ...from }, request),
      )
      const found = [
        ...(page.Versions ?? []).map((version) => versionOf(version, contentOf(version))),
        ...(page.DeleteMarkers ?? []).map((marker) => versionOf(marker, undefined)),
      ]
      // The newest is told; older ones by time, a mark before the content that it hides.
      found.sort(
        (a, b) =>
          (a.key < b.key ? -1 : a.key > b.key ? 1 : 0) ||
          Number(b.isLatest) - Number(a.isLatest) ||
          (b.changedMs ?? 0) - (a.changedMs ?? 0) ||
          Number(a.content !== undefined) - Number(b.content !== undefined),
      )
      yield* found
      if (!page.IsTruncated || page.NextKeyMarker === undefined) return
      from = {
        KeyMarker: page.NextKeyMarker,
        ...(page.NextVersionIdMarker === undefined ? {} : { VersionIdMarker: page.NextVersionIdMarker }),
      }
    }
  }

  /** All versions of one file, the newest first. */
  async versionsOf(file: FileRef, options: CallOptions | undefined): Promise<S3Version[]> {
    const key = this.keys.of(file)
    const found: S3Version[] = []
    for await (const version of this.versions(key, options)) if (version.key === key) found.push(version)
    return found
  }

  async deleteVersion(file: FileRef, versionId: string, options: CallOptions | undefined): Promise<void> {
    const call = fileCall('delete', file, 's3:DeleteObjectVersion')
    const target = { ...this.target(file), VersionId: versionId }
    await this.client.call(call, options, (s3, request) => s3.deleteObject(target, request))
  }
}

export const fileCall = (doing: string, file: FileRef, permission: string): S3Call => ({
  doing,
  object: describeFile(file),
  permission,
})

const discard = ({ Body }: { readonly Body?: unknown }): void => (Body as { destroy(): void } | undefined)?.destroy()

const contentOf = ({ Size = 0, StorageClass = 'STANDARD' }: ObjectVersion): NonNullable<S3Version['content']> => ({
  sizeBytes: Size,
  storageClass: StorageClass,
})

const versionOf = (
  { Key = '', VersionId = 'null', IsLatest = false, LastModified }: ObjectVersion,
  content: S3Version['content'],
): S3Version => ({
  key: Key,
  versionId: VersionId,
  isLatest: IsLatest,
  changedMs: LastModified?.getTime(),
  ...(content === undefined ? {} : { content }),
})
