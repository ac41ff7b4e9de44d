import { availableParallelism } from 'node:os'
import { HoldfastError } from '../../lib/errors.ts'
import { WorkerPool, workerModule } from '../../lib/worker-pool.ts'
import type { RestoreResult, RestoreTask } from './threads/messages.ts'

/** More threads than this only wait for the file system. */
const MAX_THREADS = 8

export const defaultRestoreThreads = (): number => Math.min(MAX_THREADS, Math.max(2, availableParallelism()))

/**
 * The threads of a restore. They serve planning, writing and verifying in turn, so that whoever does all three starts them once; started
 * before the index is loaded they are ready when it is.
 */
export class RestoreThreads implements AsyncDisposable {
  readonly #pool: WorkerPool<RestoreTask, RestoreResult>

  constructor(threads: number = defaultRestoreThreads()) {
    this.#pool = new WorkerPool(workerModule(import.meta.url, './threads/restore-thread'), { threads, data: {} })
    // All at once: what goes before leaves a processor free for their start. A failure shows again at the first task.
    this.#pool.runOnEach({ kind: 'end' }).catch(() => undefined)
  }

  get count(): number {
    return this.#pool.threads
  }

  async run<Kind extends RestoreTask['kind']>(
    task: RestoreTask & { readonly kind: Kind },
  ): Promise<Extract<RestoreResult, { kind: Kind }>> {
    return expect(task.kind, await this.#pool.run(task))
  }

  /** Gives the task to every thread. */
  async runOnEach(task: RestoreTask): Promise<void> {
    await this.#pool.runOnEach(task)
  }

  /** Ends the threads, when they have done what they are at. */
  async close(): Promise<void> {
    // They hold directories open, which would stay so: descriptors belong to the process.
    await this.#pool.runOnStarted({ kind: 'end' }).catch(() => undefined)
    await this.#pool.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

function expect<Kind extends RestoreTask['kind']>(
  kind: Kind,
  result: RestoreResult,
): Extract<RestoreResult, { kind: Kind }> {
  if (result.kind !== kind) throw new HoldfastError('HF_INTERNAL', 'a restore thread answered another task')
  return result as Extract<RestoreResult, { kind: Kind }>
}
