import type { CallOptions, FileRef, NamedFileKind } from './storage.ts'
import type { LockSettings } from './store-settings.ts'

/**
 * What some stores can do besides keeping files; each is absent where a store cannot. Calls make one attempt, as those of `Storage`, and fail
 * with its errors.
 */
export interface StoreFeatures {
  readonly retention?: RetentionFeature
  readonly versions?: VersionsFeature
  readonly classes?: StorageClassFeature
  /** What remains to be filled; undefined when nobody knows. */
  readonly freeBytes?: (options?: CallOptions) => Promise<number | undefined>
  /** Looks at how the place is set up: who may read it, encryption on the way, versions, where it lies, copies of it that lag. */
  readonly examine?: (options?: CallOptions) => Promise<readonly StoreFinding[]>
  /** Whether somebody without credentials can read a file that is there. */
  readonly isPublic?: (file: FileRef, options?: CallOptions) => Promise<boolean>
  /** Removes what `create` made, where that is more than files: folders, which must be empty. */
  readonly removeLayout?: (options?: CallOptions) => Promise<void>
}

/** Files that nobody may delete or change before a time (S3 Object Lock, immutable blobs). */
export interface RetentionFeature {
  /** What `put` gives every file but locks; undefined when it gives nothing. */
  readonly written: LockSettings | undefined
  /** Until when the file is retained; undefined when it is not. */
  get(file: FileRef, options?: CallOptions): Promise<Retention | undefined>
  /** Makes the retention last until then. One that lasts longer stays as it is. */
  extend(file: FileRef, untilMs: number, options?: CallOptions): Promise<void>
  /** A legal hold has no end; it is taken off by the same call. */
  setLegalHold(file: FileRef, isHeld: boolean, options?: CallOptions): Promise<void>
}

export interface Retention {
  readonly mode: LockSettings['mode']
  /** Since 1970. */
  readonly untilMs: number
  readonly isHeld: boolean
}

/** Stores that keep what was deleted or replaced. There, `Storage.delete` removes every version of a file, and what is retained fails with HF_STORAGE_RETAINED. */
export interface VersionsFeature {
  /** Files whose newest version is a mark of deletion, while their content is still there. */
  listDeleted(kind: NamedFileKind, options?: CallOptions): AsyncIterable<DeletedFile>
  /** Takes back a deletion. HF_STORAGE_NOT_FOUND when there is none to take back. */
  undelete(file: FileRef, options?: CallOptions): Promise<void>
  /** What `Storage.delete` could only hide since the store was opened, for want of the permission to remove versions; absent where that cannot happen. */
  readonly hidden?: () => HiddenFiles
}

/** Deleted files that are still paid for. */
export interface HiddenFiles {
  readonly files: number
  readonly bytes: number
}

export interface DeletedFile {
  readonly name: string
  readonly sizeBytes: number
  /** Since 1970; undefined when the store does not tell. */
  readonly deletedMs: number | undefined
}

/** Classes of storage that differ in price, and some of which must be brought back before they can be read. */
export interface StorageClassFeature {
  /** Every file there is, old versions too, with its class. */
  list(options?: CallOptions): AsyncIterable<ClassifiedFile>
  /** Whether the file can be read now. */
  state(file: FileRef, options?: CallOptions): Promise<'readable' | 'archived' | 'being restored'>
  /** Asks for a copy of an archived file that can be read for some days; it takes from minutes to days to come. */
  requestRestore(file: FileRef, days: number, options?: CallOptions): Promise<void>
  /** How archived files are brought back where they are needed; undefined when the owner has not asked for that: it costs money. */
  readonly bringsBack?: BringBack | undefined
  /** How the owner asks for it, where he can. */
  readonly archiveHint?: string
}

export interface BringBack {
  /** How long the copy that can be read stays. */
  readonly days: number
  readonly timeoutMs: number
  /** How long the store says that it takes, for people. */
  readonly usualWait: string | undefined
}

export interface ClassifiedFile {
  readonly kind: FileRef['kind']
  readonly sizeBytes: number
  readonly storageClass: string
  /** An old version, or one behind a mark of deletion: it is paid for and cannot be seen. */
  readonly isHidden: boolean
}

/** Something about the place that a careful owner wants to know. */
export interface StoreFinding {
  readonly what: 'access' | 'transport' | 'versions' | 'retention' | 'location' | 'replication' | 'encryption' | 'clock'
  /** `unknown`: it could not be found out, for instance for want of a permission. */
  readonly state: 'good' | 'bad' | 'unknown' | 'note'
  readonly text: string
  /** What mends it. */
  readonly remedy?: string
}
