import { parentPort, workerData } from 'node:worker_threads'
import { plainError } from '../../lib/worker-pool.ts'
import { useSha256 } from '../kernels/sha256.ts'
import type { RestoreTask, RestoreThreadData } from './messages.ts'
import { RestoreWorker } from './restore-worker.ts'

const data = workerData as RestoreThreadData
useSha256(data.sha256)
const worker = new RestoreWorker(data)

parentPort?.on('message', ({ task, payload }: { task: number; payload: RestoreTask }) => {
  try {
    parentPort?.postMessage({ task, result: worker.perform(payload) })
  } catch (error) {
    parentPort?.postMessage({ task, error: plainError(error) })
  }
})
