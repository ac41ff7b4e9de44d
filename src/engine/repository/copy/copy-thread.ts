import { workerData } from 'node:worker_threads'
import { HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import { answerTasks, notifyPool, waitForMainThread } from '../../../lib/task-thread.ts'
import { createCipher } from '../../kernels/cipher.ts'
import { useSha256 } from '../../kernels/sha256.ts'
import { readPackInto, writePackFile } from '../../storage/local/pack-files.ts'
import { rowCount } from '../pack/blob-rows.ts'
import type { FinishedPack } from '../pack/pack-writer.ts'
import { BlobCopier } from './blob-copier.ts'
import type { CopyNotice, CopyResult, CopyTask, CopyThreadData, RangeTask } from './messages.ts'

const data = workerData as CopyThreadData
useSha256(data.sha256)

const notify = (notice: CopyNotice): void => notifyPool(notice)

function storeHere({ id, type, bytes, rows }: FinishedPack): void {
  writePackFile(data.destinationDirectory!, id, bytes)
  notify({ kind: 'stored', type, pack: id, rows, sizeBytes: bytes.length })
}

/** The main thread reads the pack from the shared memory it lies in, while this thread sleeps. */
function storeThere({ id, type, bytes, rows }: FinishedPack): void {
  const done = new Int32Array(new SharedArrayBuffer(4))
  notify({ kind: 'store', type, pack: id, rows, bytes, done })
  if (!waitForMainThread(done)) throw new HoldfastError('HF_STORAGE_IO', `pack ${id} could not be stored`)
}

const copier = new BlobCopier(
  { ...data, source: createCipher(data.sourceKey), destination: createCipher(data.destinationKey) },
  data.destinationDirectory ? storeHere : storeThere,
)

let memory = new Uint8Array(0)

/** The stretch of a task; undefined when it cannot be read. */
function bytesOf({ pack, offset, length, bytes }: RangeTask): Uint8Array | undefined {
  if (bytes) return bytes
  if (memory.length < length) memory = new Uint8Array(length)
  const target = memory.subarray(0, length)
  try {
    readPackInto(data.sourceDirectory!, pack, offset, target)
    return target
  } catch (error) {
    if (isHoldfastError(error)) return undefined
    throw error
  }
}

function perform(task: CopyTask): CopyResult {
  if (task.kind === 'finish') return { kind: 'finish', packs: copier.finish() }
  const bytes = bytesOf(task)
  if (bytes) return { kind: 'range', damaged: copier.copy(task.rows, bytes, task.offset) }
  return { kind: 'range', damaged: Array.from({ length: rowCount(task.rows) }, (_, row) => row) }
}

answerTasks(perform)
