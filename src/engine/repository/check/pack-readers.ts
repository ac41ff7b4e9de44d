import { availableParallelism } from 'node:os'
import type { Id } from '../../../lib/id.ts'
import { forEachParallel } from '../../../lib/parallel.ts'
import { SharedArena } from '../../../lib/shared-arena.ts'
import { type PlainError, plainError, WorkerPool, workerModule } from '../../../lib/worker-pool.ts'
import { sha256Calibration } from '../../kernels/sha256.ts'
import { interruption, throwIfInterrupted } from '../../storage/interruption.ts'
import { readParts } from '../../storage/read-into.ts'
import { remoteRanges } from '../pack/read-ranges.ts'
import type { Repository } from '../repository.ts'
import { PackChecker } from './pack-checker.ts'
import type { PackQueue } from './pack-queue.ts'
import type { PackOutcome, ReadNotice, ReadTask, ReadThreadData } from './read-messages.ts'
import { readTwice } from './read-twice.ts'

/** Each thread keeps some 20 MB. */
const MAX_THREADS = 8

/** Packs of far stores that are on their way or wait for a thread. */
const FETCH_MEMORY_BYTES = 96 * 1024 * 1024
/** Larger packs are read window by window, by threads that wait. */
const WHOLE_PACK_BYTES = 48 * 1024 * 1024

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

  constructor(repository: Repository, threads: number = defaultThreads()) {
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
      if (this.#pool && this.#repository.storage.properties.directory)
        await this.#pool.runOnEach({ kind: 'queue', queue: queue.memory })
      else if (this.#pool) await this.#readFetched(this.#pool, reading)
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

  /** Fetches packs whole, several at a time, and has each verified when it has arrived. */
  async #readFetched(
    pool: WorkerPool<ReadTask, undefined, ReadNotice>,
    { queue, fetchErrors, signal }: Reading,
  ): Promise<void> {
    const { storage } = this.#repository
    const arena = new SharedArena(FETCH_MEMORY_BYTES)
    const width = pool.threads + storage.properties.connections
    await forEachParallel(packsOf(queue), width, async (pack) => {
      const { id, sizeBytes } = queue.get(pack)
      if (sizeBytes > WHOLE_PACK_BYTES) {
        await pool.run({ kind: 'pack', queue: queue.memory, pack, fetched: undefined })
        return
      }
      const memory = await arena.allocate(sizeBytes)
      try {
        const file = { kind: 'data', name: id } as const
        const fetched = await readParts(storage, file, memory, remoteRanges.requestBytes, { signal }).then(
          () => memory,
          (error: unknown) => {
            fetchErrors.set(pack, plainError(error))
            return 'failed' as const
          },
        )
        if (!queue.isStopped) await pool.run({ kind: 'pack', queue: queue.memory, pack, fetched })
      } finally {
        arena.release(memory)
      }
    })
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

/** As many as there are processors. */
const defaultThreads = (): number => Math.min(MAX_THREADS, availableParallelism())

/** The packs that nobody has taken yet, which are taken by that. */
function* packsOf(queue: PackQueue): Generator<number> {
  for (let pack = queue.take(); pack !== undefined; pack = queue.take()) yield pack
}
