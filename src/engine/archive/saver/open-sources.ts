import { closeSync } from 'node:fs'
import { systemErrorCode } from '../../../lib/errors.ts'
import { willRead } from '../../posix/advice.ts'
import { type FileBatch, pathInBatch, sizeInBatch } from './file-batch.ts'
import { openSource } from './open-source.ts'

/** Enough to keep a disk busy, and few enough for several threads. */
const FILES_AHEAD = 32
/** Where other threads hold the last descriptors, they give them back as they go. */
const DESCRIPTOR_WAIT_MS = 10
const DESCRIPTOR_WAITS = 200

const nap = new Int32Array(new SharedArrayBuffer(4))

/**
 * The files of a batch, some opened in advance and announced to the system: it fetches those that are not in memory side by side, where
 * reading one after the other would wait for the disk each time.
 */
export class OpenSources implements Disposable {
  readonly #batch: FileBatch
  readonly #preserveAccessTimes: boolean
  readonly #ahead = new Map<number, number>()
  #next = 0

  constructor(batch: FileBatch, preserveAccessTimes: boolean) {
    this.#batch = batch
    this.#preserveAccessTimes = preserveAccessTimes
  }

  /** The descriptor of a file, to be closed by whoever takes it. Files are to be taken in order. Throws what opening it throws. */
  take(file: number): number {
    this.#openAhead(file)
    const opened = this.#ahead.get(file)
    this.#ahead.delete(file)
    return opened ?? this.#openPatiently(file)
  }

  /** Closes what nobody has taken. */
  [Symbol.dispose](): void {
    for (const fd of this.#ahead.values()) closeSync(fd)
    this.#ahead.clear()
  }

  #openAhead(file: number): void {
    this.#next = Math.max(this.#next, file)
    for (const end = Math.min(this.#batch.count, file + FILES_AHEAD); this.#next < end; this.#next++) {
      try {
        const fd = this.#open(this.#next)
        this.#ahead.set(this.#next, fd)
        willRead(fd, 0, sizeInBatch(this.#batch, this.#next))
      } catch (error) {
        if (!isShortage(error)) continue // It fails again, and is told, when it is taken.
        this[Symbol.dispose]()
        this.#next = this.#batch.count
      }
    }
  }

  #openPatiently(file: number): number {
    for (let waits = 0; ; waits++) {
      try {
        return this.#open(file)
      } catch (error) {
        if (!isShortage(error) || waits === DESCRIPTOR_WAITS) throw error
        Atomics.wait(nap, 0, 0, DESCRIPTOR_WAIT_MS)
      }
    }
  }

  #open(file: number): number {
    return openSource(pathInBatch(this.#batch, file), this.#preserveAccessTimes)
  }
}

/** Whether there are no more descriptors for this process, or in the whole system. */
const isShortage = (error: unknown): boolean => ['EMFILE', 'ENFILE'].includes(systemErrorCode(error) ?? '')
