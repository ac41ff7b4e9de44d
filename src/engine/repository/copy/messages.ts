import type { MasterKey } from '../../kernels/cipher.ts'
import type { Sha256Choice } from '../../kernels/sha256.ts'
import type { StorageProperties } from '../../storage/storage.ts'
import type { BlobType } from '../blob.ts'
import type { PartialPack } from '../pack/pack-writer.ts'
import type { CopierSettings } from './blob-copier.ts'

/** What a copying thread is started with. */
export interface CopyThreadData extends Omit<CopierSettings, 'source' | 'destination'> {
  readonly sourceKey: MasterKey
  readonly destinationKey: MasterKey
  readonly sha256: Sha256Choice
  /** Where the thread reads packs itself; absent: they come with the task. */
  readonly sourceDirectory: StorageProperties['directory']
  /** Where the thread stores packs itself; absent: it hands them to the main thread. */
  readonly destinationDirectory: StorageProperties['directory']
}

/** Blobs of a stretch of a pack. */
export interface RangeTask {
  readonly kind: 'range'
  readonly pack: string
  readonly offset: number
  readonly length: number
  readonly rows: Uint8Array
  /** The stretch, unless the thread reads it itself. */
  readonly bytes: Uint8Array | undefined
}

export type CopyTask = RangeTask | { readonly kind: 'finish' }

export type CopyResult =
  /** Rows that are not what they should be, and were not copied. */
  | { readonly kind: 'range'; readonly damaged: readonly number[] }
  | { readonly kind: 'finish'; readonly packs: Readonly<Record<BlobType, PartialPack>> }

export type CopyNotice =
  /** A pack is stored durably. */
  | {
      readonly kind: 'stored'
      readonly type: BlobType
      readonly pack: string
      readonly rows: Uint8Array
      readonly sizeBytes: number
    }
  /** A pack wants to be stored by the main thread; the thread sleeps on `done` (0 waiting, 1 stored, 2 failed). */
  | {
      readonly kind: 'store'
      readonly type: BlobType
      readonly pack: string
      readonly rows: Uint8Array
      readonly bytes: Uint8Array
      readonly done: Int32Array
    }
