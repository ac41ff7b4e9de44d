import { HoldfastError } from '../../../lib/errors.ts'
import { plainError } from '../../../lib/worker-pool.ts'
import { createCipher } from '../../kernels/cipher.ts'
import { useSha256 } from '../../kernels/sha256.ts'
import { AsyncIo } from '../../posix/async-io.ts'
import { openDirectoryAt } from '../../posix/at.ts'
import { fstat } from '../../posix/attributes.ts'
import { readPackInto } from '../../storage/local/pack-files.ts'
import { DataBlobs } from '../data-blobs.ts'
import { EntryTable } from '../entry-table.ts'
import { BlobReader, type ReadPiece } from './blob-reader.ts'
import { ContentComparer } from './content-comparer.ts'
import { type ContentTask, ContentWriting } from './content-writing.ts'
import { EntryWriter } from './entry-writer.ts'
import type { FailedEntry, RestoreResult, RestoreTask, ThreadPlan } from './messages.ts'
import { readWindows, WINDOW_BYTES } from './read-windows.ts'
import { isInLongRuns } from './run-lengths.ts'

/** Of one thread, past the system's cache. */
const WRITES_AT_A_TIME = 32

/** What a restore thread does, synchronously. */
export class RestoreWorker {
  #reader: BlobReader | undefined
  #plan: ThreadPlan | undefined
  #rows: DataBlobs | undefined
  #writer: EntryWriter | undefined
  #comparer: ContentComparer | undefined
  #direct: AsyncIo | undefined
  #sealed = new Uint8Array()

  perform(task: RestoreTask): RestoreResult {
    switch (task.kind) {
      case 'begin':
        this.#begin(task.plan)
        return { kind: 'begin' }
      case 'compare':
        return { kind: 'compare', parts: this.#comparer!.compare(task.parts) }
      case 'content':
        return this.#writeContent(task)
      case 'entries':
        return this.#writeEntries(task.entries)
      case 'end':
        this.#end()
        return { kind: 'end' }
    }
  }

  #begin(plan: ThreadPlan): void {
    this.#end()
    const table = new EntryTable(plan.entries)
    const target = openDirectoryAt(plan.target)
    const { device, inode } = fstat(target.fd)
    if (device !== plan.targetDevice || inode !== plan.targetInode) {
      target.close()
      throw new HoldfastError('HF_TARGET_INVALID', 'the target was replaced by another folder during the restore')
    }
    useSha256(plan.sha256)
    this.#plan = plan
    this.#direct = plan.rules.direct ? AsyncIo.create(WRITES_AT_A_TIME) : undefined
    this.#reader = new BlobReader(createCipher(plan.key), this.#direct !== undefined)
    this.#rows = new DataBlobs(plan.blobs)
    this.#writer = new EntryWriter(table, target, plan.rules)
    this.#comparer = new ContentComparer(table, plan.content, this.#rows, this.#writer.directories)
  }

  #end(): void {
    this.#writer?.close()
    this.#writer = undefined
    this.#comparer = undefined
    this.#direct?.close()
    this.#direct = undefined
    this.#reader?.close()
    this.#reader = undefined
    this.#rows = undefined
    this.#plan = undefined
  }

  #writeEntries(entries: Uint32Array): RestoreResult {
    const writer = this.#writer!
    const finished: number[] = []
    const failed: FailedEntry[] = []
    for (const entry of entries) {
      try {
        if (writer.table.kind(entry) !== 'file') writer.restoreSpecial(entry)
        else if (writer.table.action(entry) === 'adjust') writer.adjustFile(entry)
        else if (writer.table.action(entry) === 'update') writer.finishFile(writer.openForUpdate(entry))
        else writer.finishFile(writer.createFile(entry, false))
        finished.push(entry)
      } catch (error) {
        failed.push({ entry, error: plainError(error) })
      }
    }
    return { kind: 'entries', finished: Uint32Array.from(finished), failed }
  }

  #writeContent(task: ContentTask): RestoreResult {
    const { placements } = this.#plan!
    const { fetched, from, to } = task
    const isDirect = this.#direct && isInLongRuns(placements, this.#rows!, this.#writer!.table, from, to)
    const writing = new ContentWriting(this.#writer!, placements, task, isDirect ? this.#direct : undefined)
    try {
      const windows = fetched ? [{ ...fetched, from, to }] : readWindows(placements, this.#rows!, from, to)
      this.#reader!.read(placements, this.#rows!, windows, this.#pieceReader(task), writing)
      writing.settle()
    } finally {
      writing.close()
    }
    return writing.result()
  }

  /** How to get at the stored bytes: read from the pack, or handed over. */
  #pieceReader(task: ContentTask): ReadPiece {
    const { directory } = this.#plan!
    const { fetched } = task
    if (fetched !== undefined)
      return ({ offset, length }) => {
        const { bytes } = fetched
        if (bytes === undefined) throw new HoldfastError('HF_STORAGE_IO', `part of pack ${task.pack} could not be read`)
        return bytes.subarray(offset - fetched.offset, offset - fetched.offset + length)
      }
    return ({ offset, length }) => {
      if (this.#sealed.length < length) this.#sealed = new Uint8Array(Math.max(length, WINDOW_BYTES))
      const piece = this.#sealed.subarray(0, length)
      readPackInto(directory!, task.pack, offset, piece)
      return piece
    }
  }
}
