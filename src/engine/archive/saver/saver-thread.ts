import { workerData } from 'node:worker_threads'
import { HoldfastError } from '../../../lib/errors.ts'
import { answerTasks, notifyPool, waitForMainThread } from '../../../lib/task-thread.ts'
import { useSha256 } from '../../kernels/sha256.ts'
import type { FinishedPack } from '../../repository/pack/pack-writer.ts'
import { writePackFile } from '../../storage/local/pack-files.ts'
import type { SaverData, SaverNotice, SaverResult, SaverTask } from './messages.ts'
import { Saver, type StorePack } from './saver.ts'

const data = workerData as SaverData
useSha256(data.sha256)

const notify = (notice: SaverNotice): void => notifyPool(notice)

const storeHere: StorePack = ({ id, bytes, rows }: FinishedPack) => {
  writePackFile(data.directory!, id, bytes)
  notify({ kind: 'stored', pack: id, rows, packBytes: bytes.length })
}

/** The main thread reads the pack from the shared memory it lies in, while this thread sleeps. */
const storeThere: StorePack = ({ id, bytes, rows }: FinishedPack) => {
  const done = new Int32Array(new SharedArrayBuffer(4))
  notify({ kind: 'store', pack: id, rows, bytes, done })
  if (!waitForMainThread(done)) throw new HoldfastError('HF_STORAGE_IO', `pack ${id} could not be stored`)
}

const saver = new Saver(data, data.directory ? storeHere : storeThere)

function perform(task: SaverTask): SaverResult {
  switch (task.kind) {
    case 'files':
      return saver.saveFiles(task.files)
    case 'segment':
      return saver.saveSegment(task.fd, task.offset, task.dataRanges, (nextOffset, end) =>
        notify({ kind: 'cut', job: task.job, nextOffset, end }),
      )
    case 'cut':
      return saver.saveCut(task.bytes, task.ends)
    case 'patch':
      return saver.savePatched(task.patches)
    case 'adopt':
      saver.adopt(task.claimed)
      return { kind: 'adopt' }
    case 'finish':
      return saver.finish()
  }
}

answerTasks(perform)
