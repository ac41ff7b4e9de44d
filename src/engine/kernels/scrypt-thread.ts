import { answerTasks } from '../../lib/task-thread.ts'
import { mixScryptBlocks } from './scrypt-blocks.ts'

/** Blocks to mix; answered by the mixed ones, or by undefined where there are no vectors. */
export interface ScryptTask {
  readonly blocks: Uint8Array<ArrayBuffer>
  readonly n: number
  readonly r: number
}

export type ScryptResult = Uint8Array<ArrayBuffer> | undefined

answerTasks(({ blocks, n, r }: ScryptTask): ScryptResult => (mixScryptBlocks(blocks, n, r) ? blocks : undefined))
