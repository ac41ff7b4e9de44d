import type { Clock } from '../../../lib/clock.ts'
import { HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import type { HiddenFiles, VersionsFeature } from '../features.ts'
import { type CallOptions, describeFile, type FileRef } from '../storage.ts'
import { fileCall, type S3Head, type S3Objects } from './s3-objects.ts'
import { nowMs } from './s3-put.ts'

/** Deletes files of a bucket, with all their versions where it has them, and takes deletions back. */
export class S3Versions implements VersionsFeature {
  readonly #objects: S3Objects
  readonly #clock: Clock
  readonly #hidden = { files: 0, bytes: 0 }

  constructor(objects: S3Objects, clock: Clock) {
    this.#objects = objects
    this.#clock = clock
  }

  hidden(): HiddenFiles {
    return { ...this.#hidden }
  }

  /**
   * Removes every version of a file. Who may not remove versions hides the file behind a mark of deletion. A lock of the repository that a
   * bucket retains by itself is hidden too: it must not keep anybody waiting.
   * @throws HoldfastError HF_STORAGE_NOT_FOUND, HF_STORAGE_RETAINED, others of the store
   */
  async delete(file: FileRef, options: CallOptions | undefined): Promise<void> {
    const head = await this.#objects.head(file, options)
    if (head.versionId === undefined) {
      await this.hide(file, options)
      return
    }
    try {
      const until = retainedUntil(head, nowMs(this.#clock))
      if (until !== undefined) throw retained(file, until, this.#objects.client.location)
      for (const versionId of await this.#versionsToDelete(file, head.versionId, options))
        await this.#objects.deleteVersion(file, versionId, options)
    } catch (error) {
      const mayHide = file.kind === 'lock' && isHoldfastError(error, 'HF_STORAGE_RETAINED')
      if (!mayHide && !isHoldfastError(error, 'HF_STORAGE_DENIED')) throw error
      await this.hide(file, options)
      this.#hidden.files += 1
      this.#hidden.bytes += head.sizeBytes
    }
  }

  async *listDeleted(
    kind: Exclude<FileRef['kind'], 'config'>,
    options?: CallOptions,
  ): ReturnType<VersionsFeature['listDeleted']> {
    const { keys } = this.#objects
    let mark: { readonly key: string; readonly deletedMs: number | undefined } | undefined
    for await (const { key, isLatest, changedMs, content } of this.#objects.versions(keys.folder(kind), options)) {
      const name = keys.nameOf(kind, key)
      if (name === undefined) continue
      if (content === undefined && isLatest) mark = { key, deletedMs: changedMs }
      else if (content !== undefined && mark?.key === key) {
        yield { name, sizeBytes: content.sizeBytes, deletedMs: mark.deletedMs }
        mark = undefined
      }
    }
  }

  async undelete(file: FileRef, options?: CallOptions): Promise<void> {
    const versions = await this.#objects.versionsOf(file, options)
    const newest = versions.findIndex(({ content }) => content !== undefined)
    if (newest <= 0)
      throw new HoldfastError(
        'HF_STORAGE_NOT_FOUND',
        `${describeFile(file)} in ${this.#objects.client.location} was not deleted, or nothing of it is left`,
      )
    // From the oldest: until the last one is gone the file stays hidden.
    for (const { versionId } of versions.slice(0, newest).reverse())
      await this.#objects.deleteVersion(file, versionId, options)
  }

  /** From the oldest, so that the file is there until all that hides behind it is gone. */
  async #versionsToDelete(file: FileRef, newest: string, options: CallOptions | undefined): Promise<string[]> {
    try {
      return (await this.#objects.versionsOf(file, options)).map(({ versionId }) => versionId).reverse()
    } catch (error) {
      if (!isHoldfastError(error, 'HF_STORAGE_DENIED')) throw error
      return [newest]
    }
  }

  /** Removes a file of a bucket without versions, and marks it as deleted in one that has them. Succeeds when there is none. */
  async hide(file: FileRef, options: CallOptions | undefined): Promise<void> {
    const { client } = this.#objects
    const call = fileCall('delete', file, 's3:DeleteObject')
    await client.call(call, options, (s3, request) => s3.deleteObject(this.#objects.target(file), request))
  }
}

/** Until when a file cannot be deleted; infinity for a legal hold, undefined when it can. */
export function retainedUntil({ mode, lockedUntilMs, isHeld }: S3Head, now: number): number | undefined {
  if (isHeld) return Number.POSITIVE_INFINITY
  return mode !== undefined && lockedUntilMs !== undefined && lockedUntilMs > now ? lockedUntilMs : undefined
}

function retained(file: FileRef, untilMs: number, location: string): HoldfastError {
  const until =
    untilMs === Number.POSITIVE_INFINITY ? 'as long as it is held' : `until ${new Date(untilMs).toISOString()}`
  return new HoldfastError(
    'HF_STORAGE_RETAINED',
    `cannot delete ${describeFile(file)} in ${location}: the store retains it ${until}`,
    { context: { object: describeFile(file), location, untilMs } },
  )
}
