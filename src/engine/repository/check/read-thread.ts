import { workerData } from 'node:worker_threads'
import { HoldfastError } from '../../../lib/errors.ts'
import { answerTasks, isPoolEnding, notifyPool, waitForMainThread } from '../../../lib/task-thread.ts'
import { createCipher } from '../../kernels/cipher.ts'
import { useSha256 } from '../../kernels/sha256.ts'
import { readPackInto } from '../../storage/local/pack-files.ts'
import { PackChecker, type PackWindow } from './pack-checker.ts'
import { PackQueue } from './pack-queue.ts'
import type { ReadNotice, ReadTask, ReadThreadData } from './read-messages.ts'
import { readTwiceSync } from './read-twice.ts'

const { key, sha256, directory } = workerData as ReadThreadData
useSha256(sha256)
const checker = new PackChecker(createCipher(key))

const notify = (notice: ReadNotice): void => notifyPool(notice)

/** Room for a usual window and the blob that crosses its end. */
const USUAL_WINDOW_BYTES = 9 * 1024 * 1024

let memory = new Uint8Array(new SharedArrayBuffer(0))

/** Kept memory, shared so that the main thread can fill it. */
function windowOf(length: number): Uint8Array {
  if (memory.length < length) memory = new Uint8Array(new SharedArrayBuffer(Math.max(length, USUAL_WINDOW_BYTES)))
  return memory.subarray(0, length)
}

const done = new Int32Array(new SharedArrayBuffer(4))

/** Reads the pack itself, or sleeps until the main thread has done it. */
function read(queue: PackQueue, pack: number, { offset, length }: PackWindow): Uint8Array {
  if (queue.isStopped || isPoolEnding()) throw new HoldfastError('HF_INTERRUPTED', 'reading packs was cancelled')
  const target = windowOf(length)
  const { id } = queue.get(pack)
  if (directory) {
    readPackInto(directory, id, offset, target)
    return target
  }
  Atomics.store(done, 0, 0)
  notify({ kind: 'fetch', pack, offset, target, done })
  if (!waitForMainThread(done)) throw new HoldfastError('HF_STORAGE_IO', `pack ${id} could not be read`)
  return target
}

function readAll(queue: PackQueue): void {
  for (let pack = queue.take(); pack !== undefined && !isPoolEnding(); pack = queue.take()) readOne(queue, pack)
}

/** What was fetched serves the first attempt; the second one asks the storage. */
function readOne(queue: PackQueue, pack: number, fetched?: Uint8Array | 'failed'): void {
  let attempts = 0
  const outcome = readTwiceSync(
    () => {
      attempts += 1
      return checker.inspect(queue.get(pack))
    },
    (window) => {
      if (fetched === undefined || attempts > 1) return read(queue, pack, window)
      if (fetched === 'failed') throw new HoldfastError('HF_STORAGE_IO', 'the pack could not be read')
      return fetched.subarray(window.offset, window.offset + window.length)
    },
  )
  notify({ kind: 'outcome', pack, outcome })
}

function perform(task: ReadTask): void {
  const queue = new PackQueue(task.queue)
  if (task.kind === 'queue') readAll(queue)
  else readOne(queue, task.pack, task.fetched)
}

answerTasks(perform)
