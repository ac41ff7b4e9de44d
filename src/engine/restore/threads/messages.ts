import type { PlainError } from '../../../lib/worker-pool.ts'
import type { MasterKey } from '../../kernels/cipher.ts'
import type { Sha256Choice } from '../../kernels/sha256.ts'
import type { BlobTableMemory } from '../../repository/index/blob-table.ts'
import type { StorageProperties } from '../../storage/storage.ts'
import type { Placements } from '../content-plan.ts'
import type { EntryMemory } from '../entry-table.ts'
import type { WriteRules } from './entry-writer.ts'

/** What all later tasks are about. */
export interface ThreadPlan {
  readonly key: MasterKey
  readonly sha256: Sha256Choice
  /** Where the thread reads packs itself; absent: it is handed the bytes. */
  readonly directory: StorageProperties['directory']
  /** Where the data blobs of the repository lie. */
  readonly blobs: BlobTableMemory
  readonly entries: EntryMemory
  /** Rows of the blobs of all files, in the order of entries. */
  readonly content: Uint32Array
  readonly placements: Placements
  /** Path of the target, and what was found there: nothing else is written to. */
  readonly target: Uint8Array
  readonly targetDevice: number | bigint
  readonly targetInode: number | bigint
  readonly rules: WriteRules
}

/** Stored bytes of a pack. */
export interface FetchedStretch {
  readonly offset: number
  readonly length: number
  /** Undefined when they could not be had. */
  readonly bytes: Uint8Array<SharedArrayBuffer> | undefined
}

export type RestoreTask =
  | { readonly kind: 'begin'; readonly plan: ThreadPlan }
  /** Compares files with what they should hold: triples of entry, first and end of the blobs, counted within the file. */
  | { readonly kind: 'compare'; readonly parts: Uint32Array }
  /** Writes placements `from` to `to`, all of blobs in one pack. */
  | {
      readonly kind: 'content'
      readonly pack: string
      readonly from: number
      readonly to: number
      /** Files that others write to as well: pairs of entry and descriptor; -1 for those that could not be opened. */
      readonly shared: Int32Array
      /** The stretch of the pack that all blobs lie in, for packs the thread cannot read. */
      readonly fetched: FetchedStretch | undefined
    }
  /** Everything else: empty files, files that only lack attributes, links, devices and fifos. */
  | { readonly kind: 'entries'; readonly entries: Uint32Array }
  | { readonly kind: 'end' }

/** How a part of a file compares with what it should hold. */
export interface ComparedPart {
  /** Undefined when it cannot be compared: it is no regular file, or cannot be read. */
  readonly found: { readonly sizeBytes: number; readonly links: number } | undefined
  readonly error: PlainError | undefined
  /** A byte for each blob of the part, not 0 where it is right; undefined when all are. */
  readonly matches: Uint8Array | undefined
}

export interface FailedEntry {
  readonly entry: number
  readonly error: PlainError
}

/** What a task has done. */
export interface WrittenEntries {
  /** Entries that are complete. */
  readonly finished: Uint32Array
  readonly failed: readonly FailedEntry[]
}

export type RestoreResult =
  | { readonly kind: 'begin' | 'end' }
  | { readonly kind: 'compare'; readonly parts: readonly ComparedPart[] }
  | (WrittenEntries & {
      readonly kind: 'content'
      /** Bytes written, each place of a blob counted. */
      readonly writtenBytes: number
      /** Placements whose blob could not be had. Their files are left unfinished, closed unless they are shared. */
      readonly missing: Uint32Array
      /** Files that are not shared, were begun here and lack a blob. */
      readonly begun: Uint32Array
    })
  | (WrittenEntries & { readonly kind: 'entries' })
