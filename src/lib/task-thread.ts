import { parentPort } from 'node:worker_threads'
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
    const { task, payload } = message
    try {
      port.postMessage({ task, result: perform(payload) })
    } catch (error) {
      port.postMessage({ task, error: plainError(error) })
    }
  })
}

/** Tells the pool something in between; see `onNotice` of its options. */
export const notifyPool = (notice: unknown): void => parentPort?.postMessage({ notice })
