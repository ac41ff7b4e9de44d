import { answerTasks } from '../../../lib/task-thread.ts'
import type { RestoreTask } from './messages.ts'
import { RestoreWorker } from './restore-worker.ts'

const worker = new RestoreWorker()

answerTasks((task: RestoreTask) => worker.perform(task))
