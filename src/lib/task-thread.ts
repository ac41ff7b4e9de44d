import { parentPort, workerData } from 'node:worker_threads'
import { HoldfastError } from './errors.ts'
import { plainError } from './worker-pool.ts'

/** What a thread of a WorkerPool receives: a task, or that there will be no more. */
export type ThreadMessage<Task> = { readonly task: number; readonly payload: Task } | { readonly end: true }

/**
 * Makes this thread one of a WorkerPool: answers each task with what `perform` returns or throws, until the pool has no more. To be called
 * once, at the end of the thread's module.
 */
export function answerTasks<Task, Result>(perform: (task: Task) => Result): void {
  const port = parentPort
  port?.on('message', (message: ThreadMessage<Task>) => {
    if ('end' in message) {
      port.close()
      return
    }
    if (isPoolEnding()) return
    const { task, payload } = message
    try {
      port.postMessage({ task, result: perform(payload) })
    } catch (error) {
      port.postMessage({ task, error: plainError(error) })
    }
  })
}

/** Whether the pool is being closed, so that nobody waits for the rest of a task. Long tasks ask between their steps. */
export const isPoolEnding = (): boolean => Atomics.load((workerData as { readonly ending: Int32Array }).ending, 0) !== 0

/** How often a thread that waits looks whether the pool is being closed. */
const LOOK_MS = 100

/**
 * Sleeps until the main thread has done what this one asked for in a notice: `done` is 0 until then, and 1 when it went well.
 * @returns whether it went well
 * @throws HoldfastError HF_INTERRUPTED when the pool is being closed
 */
export function waitForMainThread(done: Int32Array): boolean {
  while (Atomics.wait(done, 0, 0, LOOK_MS) === 'timed-out')
    if (isPoolEnding()) throw new HoldfastError('HF_INTERRUPTED', 'the worker threads were stopped')
  return Atomics.load(done, 0) === 1
}

/** Tells the pool something in between; see `onNotice` of its options. */
export const notifyPool = (notice: unknown): void => parentPort?.postMessage({ notice })
