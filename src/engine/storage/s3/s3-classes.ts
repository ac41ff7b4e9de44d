import type { Clock } from '../../../lib/clock.ts'
import { HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import type { BringBack, ClassifiedFile, StorageClassFeature } from '../features.ts'
import { sleepUnlessInterrupted } from '../interruption.ts'
import { type CallOptions, describeFile, type FileRef } from '../storage.ts'
import { fileCall, type S3Head, type S3Objects } from './s3-objects.ts'
import type { S3Restore } from './s3-options.ts'
import { nowMs } from './s3-put.ts'

/** Whose files cannot be read before they are brought back. */
const ARCHIVES: readonly (string | undefined)[] = ['GLACIER', 'DEEP_ARCHIVE']

type ArchiveState = 'readable' | 'archived' | 'being restored'

/** How long Amazon says that it takes, by class and tier. */
const waits: Readonly<Record<string, Partial<Readonly<Record<S3Restore['tier'], string>>>>> = {
  GLACIER: { Expedited: '1 to 5 minutes', Standard: '3 to 5 hours', Bulk: '5 to 12 hours' },
  DEEP_ARCHIVE: { Standard: '12 hours', Bulk: '48 hours' },
}

/** Between two looks at a file that is being brought back. */
const LOOK_AGAIN_MS = 60_000

export class S3Classes implements StorageClassFeature {
  readonly #objects: S3Objects
  readonly #tier: S3Restore['tier']
  readonly bringsBack: BringBack | undefined
  readonly archiveHint: string =
    'Add -o s3.enable-restore=true to ask for all of them at once and wait; with -o s3.restore-timeout=0s it asks, ends, and can be run again when they are there.'
  readonly #onNotice: (text: string) => void
  #hasTold = false

  constructor(objects: S3Objects, restore: S3Restore | undefined, onNotice: (text: string) => void) {
    this.#objects = objects
    this.#tier = restore?.tier ?? 'Standard'
    this.bringsBack = restore && {
      days: restore.days,
      timeoutMs: restore.timeoutMs,
      usualWait: usualWait(restore.tier),
    }
    this.#onNotice = onNotice
  }

  async *list(options?: CallOptions): AsyncIterable<ClassifiedFile> {
    const { keys } = this.#objects
    for await (const { key, isLatest, content } of this.#objects.versions(keys.root, options)) {
      const file = keys.fileOf(key)
      if (content === undefined || file === undefined) continue
      yield { kind: file.kind, ...content, isHidden: !isLatest }
    }
  }

  async state(file: FileRef, options?: CallOptions): Promise<ArchiveState> {
    return stateOf(await this.#objects.head(file, options))
  }

  async requestRestore(file: FileRef, days: number, options?: CallOptions): Promise<void> {
    const target = this.#objects.target(file)
    const call = fileCall('bring back', file, 's3:RestoreObject')
    const RestoreRequest = { Days: days, GlacierJobParameters: { Tier: this.#tier } }
    try {
      await this.#objects.client.call(call, options, (s3, request) =>
        s3.restoreObject({ ...target, RestoreRequest }, request),
      )
    } catch (error) {
      // It has been asked for already.
      if (!isHoldfastError(error) || error.context.error !== 'RestoreAlreadyInProgress') throw error
    }
  }

  /** Waits until an archived file can be read, and has it brought back when nobody has asked for that. HF_STORAGE_ARCHIVED when it takes too long. */
  async bringBack(file: FileRef, { days, timeoutMs }: S3Restore, clock: Clock, options?: CallOptions): Promise<void> {
    await this.requestRestore(file, days, options)
    for (const start = nowMs(clock); ; ) {
      const head = await this.#objects.head(file, options)
      if (stateOf(head) === 'readable') return
      this.#tell(file, head.storageClass, timeoutMs)
      if (nowMs(clock) - start >= timeoutMs)
        throw new HoldfastError(
          'HF_STORAGE_ARCHIVED',
          `${describeFile(file)} in ${this.#objects.client.location} has not come back from its archive in time`,
          { hint: 'Try again later, or raise s3.restore-timeout.' },
        )
      await sleepUnlessInterrupted(clock, LOOK_AGAIN_MS, options?.signal)
    }
  }

  /** Once: whoever waits for hours has to know that, and for what. */
  #tell(file: FileRef, storageClass: string | undefined, timeoutMs: number): void {
    if (this.#hasTold) return
    this.#hasTold = true
    const usual = waits[storageClass ?? '']?.[this.#tier]
    const takes = usual === undefined ? '' : `, which takes ${usual}`
    this.#onNotice(
      `${describeFile(file)} in ${this.#objects.client.location} lies in the archive ${storageClass}: it was asked for (${this.#tier}${takes}), and is waited for up to ${Math.round(timeoutMs / 360_000) / 10} hours; so is every other file that has to be read from there`,
    )
  }
}

const usualWait = (tier: S3Restore['tier']): string =>
  Object.entries(waits)
    .flatMap(([storageClass, tiers]) => (tiers[tier] === undefined ? [] : [`${tiers[tier]} from ${storageClass}`]))
    .join(', ')

function stateOf({ storageClass, restore }: S3Head): ArchiveState {
  if (!ARCHIVES.includes(storageClass)) return 'readable'
  if (restore === undefined) return 'archived'
  return restore.includes('ongoing-request="true"') ? 'being restored' : 'readable'
}
