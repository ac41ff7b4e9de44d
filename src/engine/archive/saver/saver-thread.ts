import { workerData } from 'node:worker_threads'
import { answerTasks, notifyPool } from '../../../lib/task-thread.ts'
import { useSha256 } from '../../kernels/sha256.ts'
import type { SaverData, SaverNotice, SaverResult, SaverTask } from './messages.ts'
import { PackUploads, packDirectory } from './pack-stores.ts'
import { Saver } from './saver.ts'

const data = workerData as SaverData
useSha256(data.sha256)

const notify = (notice: SaverNotice): void => notifyPool(notice)

const saver = new Saver(data, data.directory ? packDirectory(data.directory, notify) : new PackUploads(notify))

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
