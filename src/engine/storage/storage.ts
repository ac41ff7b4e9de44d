import type { Id } from '../../lib/id.ts'
import type { StoreFeatures } from './features.ts'
import type { GateMemory } from './write-gate.ts'

/** The kinds of file a repository consists of. `data` files are packs. */
export type FileKind = 'config' | 'data' | 'index' | 'key' | 'lock' | 'snapshot'

/** Kinds whose files are named by an id; there is one `config`, without a name. */
export type NamedFileKind = Exclude<FileKind, 'config'>

/** One file of a repository. */
export type FileRef = { readonly kind: NamedFileKind; readonly name: Id } | { readonly kind: 'config' }

export interface ByteRange {
  readonly offset: number
  readonly length: number
}

export interface StoredFile {
  readonly name: Id
  readonly sizeBytes: number
}

export interface CallOptions {
  /** Aborting ends the call with HF_INTERRUPTED (or the signal's own HoldfastError); a `put` has then happened whole or not at all. */
  readonly signal?: AbortSignal | undefined
  /** For packs: it holds trees, which are read again and again, so a cache keeps it. Backends and other layers pass it on unused. */
  readonly cacheable?: boolean | undefined
  /**
   * For a `get` of a range: memory of as many bytes that the store may put them into, and return. It may have been written to when the call
   * fails, and is not touched any more once it has ended. Use `readInto`, since a store need not heed it.
   */
  readonly into?: Uint8Array | undefined
}

export interface PutOptions extends CallOptions {
  /** Replace an existing file. Only ever used for `config`, by a migration. */
  readonly replace?: boolean
}

export interface StorageProperties {
  /** How many calls make sense at the same time. */
  readonly connections: number
  /** Whether `put` with `replace` never leaves a moment without the file. */
  readonly atomicReplace: boolean
  /** Whether `put` refuses an existing name by itself (create-only writes of the store). */
  readonly createOnly: boolean
  /**
   * A directory of this machine that holds the repository in the local layout, when worker threads may read and write packs there
   * themselves with the functions of `local/pack-files.ts`. Absent for remote storage and under layers that must see every call.
   */
  readonly directory?: {
    /** Absolute. */
    readonly path: string
    /** Permissions of a file while it is written, 0600 or 0660; finished files lose the write bits. */
    readonly fileMode: number
    /** Permissions of folders that are made, 0700 or 0770. */
    readonly directoryMode: number
    /** Where threads wait before they write, when something may hold them back; see `write-gate.ts`. */
    readonly gate?: GateMemory
  }
}

/** Copies of files of a store that is far away, on this machine. Whoever reads them checks them as those of the store. */
export interface LocalCopies {
  /** Absolute path of the folder they lie in, in the layout of local repositories. */
  readonly path: string
  /**
   * For a reader that found a file damaged: drops the copy. True when there was one, so that reading again may help; a second copy of
   * the same file is not dropped again, because then it is the store's own file that is damaged.
   */
  forget(file: FileRef): Promise<boolean>
}

/**
 * Where a repository lives: a flat store of immutable files, named by content, plus one `config`.
 *
 * Contract, the same for all backends and checked by `contract.ts`:
 * - `put` is atomic and durable: after it resolves the whole file survives a power cut; before that no reader sees any of it.
 * - `put` of an existing name fails with HF_STORAGE_EXISTS and changes nothing, unless `replace`.
 * - Absent files: HF_STORAGE_NOT_FOUND from `get`, `stat` and `delete`. An absent directory lists as empty.
 * - A range past the end: HF_STORAGE_SHORT. Never fewer bytes than asked for. Zero bytes within the file are an empty result.
 * - `list` yields only well-formed names, each once, in any order, and ignores everything else. Files that come or go meanwhile may be in it or not.
 * - Cancelled before they begin, calls do nothing.
 * - Errors are HoldfastErrors; `retry: 'later'` marks those a retry can heal. A full or forbidden store is HF_STORAGE_FULL or HF_STORAGE_DENIED, one
 *   that retains the file HF_STORAGE_RETAINED.
 *
 * The store neither knows nor checks what files hold: whoever reads them compares them with their names.
 *
 * A new backend is a folder beside `local/` with a `Backend`, one line in `locations.ts`, and a test that runs `contract.ts` on it. It makes one attempt per call and classifies its errors; retries, limits, caching and faults are `layers/`.
 */
export interface Storage {
  /** For people: scheme and place, never a secret. */
  readonly location: string
  readonly properties: StorageProperties
  readonly features: StoreFeatures
  /** Absent when nothing is kept on this machine. */
  readonly copies?: LocalCopies | undefined
  /** Makes the layout of an empty repository; existing parts are left as they are. */
  create(options?: CallOptions): Promise<void>
  put(file: FileRef, content: Uint8Array, options?: PutOptions): Promise<void>
  /** The whole file, or exactly `range` of it. The caller owns the result. */
  get(file: FileRef, range?: ByteRange, options?: CallOptions): Promise<Uint8Array>
  stat(file: FileRef, options?: CallOptions): Promise<{ readonly sizeBytes: number }>
  list(kind: NamedFileKind, options?: CallOptions): AsyncIterable<StoredFile>
  delete(file: FileRef, options?: CallOptions): Promise<void>
  close(): Promise<void>
}

/** `data/ab12cd34`, `config`: for messages. */
export const describeFile = (file: FileRef): string =>
  file.kind === 'config' ? 'config' : `${file.kind}/${file.name.slice(0, 8)}`
