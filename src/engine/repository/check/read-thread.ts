import { parentPort, workerData } from 'node:worker_threads'
import { HoldfastError } from '../../../lib/errors.ts'
import { plainError } from '../../../lib/worker-pool.ts'
import { createCipher } from '../../kernels/cipher.ts'
import { useSha256 } from '../../kernels/sha256.ts'
import { readPackInto } from '../../storage/local/pack-files.ts'
import { PackChecker } from './pack-checker.ts'
import { PackQueue } from './pack-queue.ts'
import { PackRows } from './pack-rows.ts'
import type { ReadNotice, ReadTask, ReadThreadData } from './read-messages.ts'
import { checkTwiceSync, type ReadWindow } from './read-twice.ts'

const data = workerData as ReadThreadData
useSha256(data.sha256)
const cipher = createCipher(data.key)
const { directory } = data

const notify = (notice: ReadNotice): void => parentPort?.postMessage({ notice })

let memory = new Uint8Array(new SharedArrayBuffer(0))

/** Kept memory, shared so that the main thread can fill it. Larger windows than the usual ones are rare. */
function windowOf(length: number): Uint8Array {
  if (memory.length < length) memory = new Uint8Array(new SharedArrayBuffer(Math.max(length, 9 * 1024 * 1024)))
  return memory.subarray(0, length)
}

const done = new Int32Array(new SharedArrayBuffer(4))

function readerFor(queue: PackQueue, place: number): ReadWindow<Uint8Array> {
  return (pack, { offset, length }) => {
    if (queue.isStopped) throw new HoldfastError('HF_INTERRUPTED', 'reading packs was cancelled')
    const target = windowOf(length)
    if (length === 0) return target
    if (directory) {
      readPackInto(directory, pack.id, offset, target)
      return target
    }
    Atomics.store(done, 0, 0)
    notify({ kind: 'fetch', pack: place, offset, target, done })
    Atomics.wait(done, 0, 0)
    if (Atomics.load(done, 0) !== 1) throw new HoldfastError('HF_STORAGE_IO', `pack ${pack.id} could not be read`)
    return target
  }
}

function readAll(task: ReadTask): void {
  const queue = new PackQueue(task.queue)
  const checker = new PackChecker(new PackRows(task.rows), cipher)
  for (let place = queue.take(); place !== undefined; place = queue.take())
    notify({ kind: 'outcome', outcome: checkTwiceSync(checker, queue.get(place), place, readerFor(queue, place)) })
}

parentPort?.on('message', ({ task, payload }: { task: number; payload: ReadTask }) => {
  try {
    readAll(payload)
    parentPort?.postMessage({ task, result: undefined })
  } catch (error) {
    parentPort?.postMessage({ task, error: plainError(error) })
  }
})
