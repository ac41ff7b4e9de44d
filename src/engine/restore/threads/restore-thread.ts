import { parentPort } from 'node:worker_threads'
import { plainError } from '../../../lib/worker-pool.ts'
import type { RestoreTask } from './messages.ts'
import { RestoreWorker } from './restore-worker.ts'

const worker = new RestoreWorker()

parentPort?.on('message', ({ task, payload }: { task: number; payload: RestoreTask }) => {
  try {
    parentPort?.postMessage({ task, result: worker.perform(payload) })
  } catch (error) {
    parentPort?.postMessage({ task, error: plainError(error) })
  }
})
