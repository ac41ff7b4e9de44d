import { sha256Calibration } from '../kernels/sha256.ts'
import { openDirectoryAt } from '../posix/at.ts'
import { fstat } from '../posix/attributes.ts'
import type { Repository } from '../repository/repository.ts'
import type { Placements } from './content-plan.ts'
import type { DataBlobs } from './data-blobs.ts'
import type { EntryTable } from './entry-table.ts'
import type { RestoreThreads } from './restore-threads.ts'
import type { WriteRules } from './threads/entry-writer.ts'

/** What the threads are to work on. */
export interface ThreadWork {
  /** Path of the target, which must be there. */
  readonly target: string
  readonly entries: EntryTable
  readonly content: Uint32Array
  readonly rows: DataBlobs
  readonly placements?: Placements
  readonly rules: WriteRules
}

/** Makes all threads ready for the tasks of a plan. */
export async function beginOnThreads(threads: RestoreThreads, repository: Repository, work: ThreadWork): Promise<void> {
  const path = Buffer.from(work.target)
  using target = openDirectoryAt(path)
  const { device, inode } = fstat(target.fd)
  await threads.runOnEach({
    kind: 'begin',
    plan: {
      key: repository.masterKey,
      sha256: sha256Calibration(),
      directory: repository.storage.properties.directory,
      blobs: work.rows.memory,
      entries: work.entries.memory,
      content: work.content,
      placements: work.placements ?? noPlacements(),
      target: new Uint8Array(path),
      targetDevice: device,
      targetInode: inode,
      rules: work.rules,
    },
  })
}

const noPlacements = (): Placements => ({
  row: new Uint32Array(),
  entry: new Uint32Array(),
  offset: new Float64Array(),
})
