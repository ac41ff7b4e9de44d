import type { PlainError } from '../../../lib/worker-pool.ts'
import type { MasterKey } from '../../kernels/cipher.ts'
import type { Sha256Choice } from '../../kernels/sha256.ts'
import type { FileAttributes } from '../../posix/attributes.ts'
import type { CompressionMode } from '../../repository/compression.ts'
import type { RepositoryVersion } from '../../repository/config.ts'
import type { SharedIndex } from '../../repository/index/master-index.ts'
import type { ExtraVerify } from '../../repository/pack/pack-writer.ts'
import type { SharedIdSetMemory } from '../../repository/write/shared-id-set.ts'
import type { StorageProperties } from '../../storage/storage.ts'
import type { FileBatch } from './file-batch.ts'
import type { PatchBatch } from './patch-batch.ts'

/** What a saver thread is started with. */
export interface SaverData {
  readonly key: MasterKey
  readonly version: RepositoryVersion
  readonly chunkerPolynomial: bigint
  readonly compression: CompressionMode
  readonly packBytes: number
  readonly extraVerify: ExtraVerify
  readonly index: SharedIndex
  readonly claimed: SharedIdSetMemory
  readonly sha256: Sha256Choice
  /** Where the thread stores packs itself; absent: it hands them to the main thread. */
  readonly directory: StorageProperties['directory']
  /** Keep access times as they are, where the system lets us. */
  readonly preserveAccessTimes: boolean
  /** Count everything and store nothing. */
  readonly dryRun: boolean
}

/** A file to be saved. */
export interface FileTask {
  readonly path: Uint8Array
  /** As seen when its directory was listed; a difference after reading means that it changed meanwhile. */
  readonly attributes: FileAttributes
}

/** Data ranges of a sparse file, ascending; everything else up to its size reads as zeros. */
export interface DataRange {
  readonly start: number
  readonly end: number
}

export type SaverTask =
  | { readonly kind: 'files'; readonly files: FileBatch }
  | {
      readonly kind: 'segment'
      readonly job: number
      /** Open file of this process. */
      readonly fd: number
      readonly offset: number
      readonly dataRanges: readonly DataRange[] | undefined
    }
  /** Bytes in shared memory, and where the blobs in them end. */
  | { readonly kind: 'cut'; readonly bytes: Uint8Array; readonly ends: Uint32Array }
  /** Blobs that become others by changes. */
  | { readonly kind: 'patch'; readonly patches: PatchBatch }
  | { readonly kind: 'adopt'; readonly claimed: SharedIdSetMemory }
  | { readonly kind: 'finish' }

/** What new blobs cost. */
export interface NewData {
  newBlobs: number
  /** Plaintext. */
  newBytes: number
  /** In packs, header entries included. */
  storedBytes: number
}

/** Blobs a task has come upon, in order, 32 bytes each, and what the new ones among them cost. */
export interface SavedContent extends Readonly<NewData> {
  readonly ids: Uint8Array
}

/** As `SavedContent`, and what each blob costs. */
export interface SavedBlobs extends SavedContent {
  /** Bytes each takes in its pack; 0 for one that was known. */
  readonly stored: Uint32Array
}

/** New blobs for patches; those that failed are not among them. */
export interface SavedPatches {
  readonly content: SavedBlobs
  /** For each patch the CRC-32C register of the difference at the end of its blob, without initial value. */
  readonly differences: Int32Array
  /** 1 for each patch whose old blob did not open, or is another one. */
  readonly failed: Uint8Array
}

/** What is out of the ordinary about one file of a batch. */
export interface FileRemark {
  /** Which file of the batch. */
  readonly file: number
  readonly error?: PlainError
  /** The attributes that belong to what was read, when they differ from the ones given. */
  readonly attributes?: FileAttributes
  /** It went on changing while being read, each time it was tried. */
  readonly unstable?: boolean
}

export type SaverResult =
  | {
      readonly kind: 'files'
      /** Per file RESULT_FIELDS: number of ids in `content`, bytes read, new blobs, their plaintext and stored bytes. */
      readonly results: Float64Array
      readonly remarks: readonly FileRemark[]
      readonly content: SavedContent
    }
  | { readonly kind: 'segment'; readonly content: SavedContent; readonly bytes: number }
  | { readonly kind: 'cut'; readonly content: SavedBlobs }
  | ({ readonly kind: 'patch' } & SavedPatches)
  | { readonly kind: 'adopt' }
  | { readonly kind: 'finish'; readonly bytes: Uint8Array; readonly rows: Uint8Array }

export type SaverNotice =
  /** The cuts of a segment are known: the next one begins at `nextOffset`, unless `end`. */
  | { readonly kind: 'cut'; readonly job: number; readonly nextOffset: number; readonly end: boolean }
  /** A pack is stored durably. */
  | {
      readonly kind: 'stored'
      readonly pack: string
      readonly rows: Uint8Array
      readonly packBytes: number
    }
  /** A pack wants to be stored by the main thread; the saver leaves its memory alone until `done` says so (0 waiting, 1 stored, 2 failed). */
  | {
      readonly kind: 'store'
      readonly pack: string
      readonly rows: Uint8Array
      readonly bytes: Uint8Array
      readonly done: Int32Array
    }
