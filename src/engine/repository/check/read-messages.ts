import type { PlainError } from '../../../lib/worker-pool.ts'
import type { MasterKey } from '../../kernels/cipher.ts'
import type { Sha256Choice } from '../../kernels/sha256.ts'
import type { StorageProperties } from '../../storage/storage.ts'

/** The packs to read, in shared memory: threads help themselves, so that none waits for the main thread, which may be busy. */
export interface PackQueueMemory {
  /** 32 bytes each. */
  readonly ids: SharedArrayBuffer
  /** File sizes, 64-bit floats. */
  readonly sizes: SharedArrayBuffer
  /** A byte each: 1 for those that need not be read after all. */
  readonly dropped: SharedArrayBuffer
  /** Two 32-bit words: the next pack nobody has taken, and 1 when all shall stop. */
  readonly control: SharedArrayBuffer
}

/** What a reader thread is started with. */
export interface ReadThreadData {
  readonly key: MasterKey
  readonly sha256: Sha256Choice
  /** Where the thread reads packs itself; absent: it asks the main thread for them. */
  readonly directory: StorageProperties['directory']
}

export type ReadTask =
  /** Work on the queue until it is empty. */
  | { readonly kind: 'queue'; readonly queue: PackQueueMemory }
  /** Read one pack, which the main thread has taken. */
  | {
      readonly kind: 'pack'
      readonly queue: PackQueueMemory
      readonly pack: number
      /** The whole file for the first attempt, or that it could not be had; absent: what is needed is asked for. */
      readonly fetched: Uint8Array<SharedArrayBuffer> | 'failed' | undefined
    }

/** What became of a pack. */
export interface PackOutcome {
  readonly verdict: 'intact' | 'damaged' | 'passing-failure' | 'unreadable'
  readonly problems: readonly string[]
  /** SHA-256 of the rows its header lists; undefined when the header could not be read. */
  readonly listing?: string | undefined
  /** Why it is unreadable. */
  readonly error?: PlainError | undefined
}

/** `pack` is the place in the queue. */
export type ReadNotice =
  | { readonly kind: 'outcome'; readonly pack: number; readonly outcome: PackOutcome }
  /** A thread sleeps on `done` (0 waiting, 1 filled, 2 failed) until the main thread has filled `target` from `offset` of the pack on. */
  | {
      readonly kind: 'fetch'
      readonly pack: number
      readonly offset: number
      readonly target: Uint8Array
      readonly done: Int32Array
    }
