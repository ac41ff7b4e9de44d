import { availableParallelism } from 'node:os'
import type { Id } from '../../../lib/id.ts'
import type { Progress } from '../../../lib/progress.ts'
import { type PlainError, plainError, WorkerPool, workerModule } from '../../../lib/worker-pool.ts'
import { sha256Calibration } from '../../kernels/sha256.ts'
import { interruption, throwIfInterrupted } from '../../storage/interruption.ts'
import type { Repository } from '../repository.ts'
import type { Report } from './finding.ts'
import { PackChecker } from './pack-checker.ts'
import { PackQueue } from './pack-queue.ts'
import { groupRows, PackRows } from './pack-rows.ts'
import type { PackOutcome, ReadNotice, ReadTask, ReadThreadData } from './read-messages.ts'
import { checkTwice } from './read-twice.ts'
import { reportOutcome } from './report-outcome.ts'

/** Each thread keeps some 25 MB. */
const MAX_THREADS = 8

type FetchNotice = Extract<ReadNotice, { kind: 'fetch' }>

/** One reading of many packs, as far as it has come. */
interface Reading {
  readonly queue: PackQueue
  /** By place in the queue: why the storage could not bring something. */
  readonly fetchErrors: Map<number, PlainError>
  readonly settle: (outcome: PackOutcome) => void
  readonly signal: AbortSignal | undefined
}

/**
 * Reads whole packs and verifies them, on threads which start with the object: make it before there is something to read, and close it
 * in any case. With 0 threads the calling one does the work.
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
   * Reads packs (id and size of the file; each of them in the index of the repository) and reports everything in them that is not as it
   * should be. Goes on by itself while the calling thread is busy with something else.
   */
  async read(
    packs: ReadonlyMap<Id, number>,
    report: Report,
    progress: Progress,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    throwIfInterrupted(signal)
    if (packs.size === 0) return
    const queue = PackQueue.of(packs, this.#repository.index)
    const step = progress.step('packs', queue.count)
    const fetchErrors = new Map<number, PlainError>()
    const settle = (outcome: PackOutcome): void => {
      // The main thread knows why it could not fetch something; the thread that asked for it does not.
      const error = fetchErrors.get(outcome.pack) ?? outcome.error
      reportOutcome(queue.get(outcome.pack).id, { ...outcome, ...(error ? { error } : {}) }, report)
      step.add()
    }
    const reading = { queue, fetchErrors, settle, signal }
    const cancel = (): void => queue.stop()
    signal?.addEventListener('abort', cancel, { once: true })
    try {
      if (this.#pool) await this.#readOnThreads(this.#pool, reading)
      else await this.#readHere(reading)
      throwIfInterrupted(signal)
    } catch (error) {
      throw signal?.aborted ? interruption(signal) : error
    } finally {
      signal?.removeEventListener('abort', cancel)
    }
    step.done()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool?.close()
  }

  async #readOnThreads(pool: WorkerPool<ReadTask, undefined, ReadNotice>, reading: Reading): Promise<void> {
    this.#reading = reading
    await pool.runOnEach({ rows: groupRows(this.#repository.index), queue: reading.queue.memory })
  }

  async #readHere({ queue, settle, signal }: Reading): Promise<void> {
    const { index, cipher, storage } = this.#repository
    const checker = new PackChecker(new PackRows(groupRows(index)), cipher)
    for (let place = queue.take(); place !== undefined; place = queue.take()) {
      const outcome = await checkTwice(checker, queue.get(place), place, ({ id }, range) =>
        storage.get({ kind: 'data', name: id }, range, { signal }),
      )
      settle(outcome)
    }
  }

  #receive(notice: ReadNotice): void {
    if (!this.#reading) return
    if (notice.kind === 'outcome') this.#reading.settle(notice.outcome)
    else void this.#fetch(notice, this.#reading)
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
