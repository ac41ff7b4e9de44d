import { parentPort } from 'node:worker_threads'
import { plainError } from '../../lib/worker-pool.ts'
import { mixScryptBlocks } from './scrypt-blocks.ts'

/** Blocks to mix; answered by the mixed ones, or by undefined where there are no vectors. */
export interface ScryptTask {
  readonly blocks: Uint8Array<ArrayBuffer>
  readonly n: number
  readonly r: number
}

export type ScryptResult = Uint8Array<ArrayBuffer> | undefined

parentPort?.on('message', ({ task, payload: { blocks, n, r } }: { task: number; payload: ScryptTask }) => {
  try {
    parentPort?.postMessage({ task, result: mixScryptBlocks(blocks, n, r) ? blocks : undefined })
  } catch (error) {
    parentPort?.postMessage({ task, error: plainError(error) })
  }
})
