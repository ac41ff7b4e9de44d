import { availableParallelism } from 'node:os'
import type { Id } from '../../../lib/id.ts'
import { type PlainError, plainError, WorkerPool, workerModule } from '../../../lib/worker-pool.ts'
import { sha256Calibration } from '../../kernels/sha256.ts'
import { interruption, throwIfInterrupted } from '../../storage/interruption.ts'
import type { Repository } from '../repository.ts'
import { PackChecker } from './pack-checker.ts'
import type { PackQueue } from './pack-queue.ts'
import type { PackOutcome, ReadNotice, ReadTask, ReadThreadData } from './read-messages.ts'
import { readTwice } from './read-twice.ts'

/** Each thread keeps some 20 MB. */
const MAX_THREADS = 8

type FetchNotice = Extract<ReadNotice, { kind: 'fetch' }>

/** Gets what became of each pack, in no particular order. */
export type OnOutcome = (pack: Id, outcome: PackOutcome) => void

/** One reading of many packs, as far as it has come. */
interface Reading {
  readonly queue: PackQueue
  readonly onOutcome: OnOutcome
  /** By place in the queue: why the storage could not bring something. */
  readonly fetchErrors: Map<number, PlainError>
  readonly signal: AbortSignal | undefined
}

/**
 * Reads whole packs and verifies them, on threads which start with the object: make it before there is something to read, and dispose of
 * it in any case. With 0 threads the calling one does the work.
 */
export class PackReaders implements AsyncDisposable {
  readonly #repository: Repository
  readonly #pool: WorkerPool<ReadTask, undefined, ReadNotice> | undefined
  #reading: Reading | undefined

  constructor(repository: Repository, threads: number = defaultThreads(repository)) {
    this.#repository = repository
    if (threads === 0) return
    const data: ReadThreadData = {
      key: repository.masterKey,
      sha256: sha256Calibration(),
      directory: repository.storage.properties.directory,
    }
    this.#pool = new WorkerPool(workerModule(import.meta.url, './read-thread'), {
      threads,
      data,
      onNotice: (notice: ReadNotice) => this.#receive(notice),
    })
  }

  /**
   * Reads all packs of a queue. Goes on by itself while the calling thread is busy with something else.
   * @throws HoldfastError HF_INTERRUPTED, also when the queue was stopped
   */
  async read(queue: PackQueue, onOutcome: OnOutcome, signal: AbortSignal | undefined): Promise<void> {
    throwIfInterrupted(signal)
    const reading = { queue, onOutcome, fetchErrors: new Map(), signal }
    this.#reading = reading
    const cancel = (): void => queue.stop()
    signal?.addEventListener('abort', cancel, { once: true })
    try {
      if (this.#pool) await this.#pool.runOnEach(queue.memory)
      else await this.#readHere(reading)
      throwIfInterrupted(signal)
    } catch (error) {
      throw signal?.aborted ? interruption(signal) : error
    } finally {
      signal?.removeEventListener('abort', cancel)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool?.close()
  }

  async #readHere({ queue, onOutcome, signal }: Reading): Promise<void> {
    const { cipher, storage } = this.#repository
    const checker = new PackChecker(cipher)
    for (let place = queue.take(); place !== undefined; place = queue.take()) {
      const pack = queue.get(place)
      const outcome = await readTwice(
        () => checker.inspect(pack),
        (window) => storage.get({ kind: 'data', name: pack.id }, window, { signal }),
      )
      onOutcome(pack.id, outcome)
    }
  }

  #receive(notice: ReadNotice): void {
    if (!this.#reading) return
    if (notice.kind === 'fetch') {
      void this.#fetch(notice, this.#reading)
      return
    }
    const { queue, fetchErrors, onOutcome } = this.#reading
    const { pack, outcome } = notice
    // The main thread knows why it could not fetch something; the thread that asked for it does not.
    onOutcome(queue.get(pack).id, { ...outcome, error: fetchErrors.get(pack) ?? outcome.error })
  }

  /** Fills the memory a thread is waiting for. Never fails: the thread is told. */
  async #fetch({ pack, offset, target, done }: FetchNotice, reading: Reading): Promise<void> {
    const { queue, fetchErrors, signal } = reading
    let outcome = 1
    try {
      const range = { offset, length: target.length }
      target.set(await this.#repository.storage.get({ kind: 'data', name: queue.get(pack).id }, range, { signal }))
    } catch (error) {
      fetchErrors.set(pack, plainError(error))
      outcome = 2
    }
    Atomics.store(done, 0, outcome)
    Atomics.notify(done, 0)
  }
}

/** As many as there are processors. For storage that has to be waited for, at least as many as there are connections. */
function defaultThreads({ storage }: Repository): number {
  const { directory, connections } = storage.properties
  const processors = availableParallelism()
  return Math.min(MAX_THREADS, directory ? processors : Math.max(processors, connections))
}
