import { closeSync } from 'node:fs'
import { HoldfastError } from '../../../lib/errors.ts'
import { plainError } from '../../../lib/worker-pool.ts'
import { createCipher } from '../../kernels/cipher.ts'
import { useSha256 } from '../../kernels/sha256.ts'
import { openDirectoryAt } from '../../posix/at.ts'
import { fstat } from '../../posix/attributes.ts'
import { readPackInto } from '../../storage/local/pack-files.ts'
import type { Placements } from '../content-plan.ts'
import { DataBlobs } from '../data-blobs.ts'
import { EntryTable } from '../entry-table.ts'
import { BlobReader, type ReadPiece } from './blob-reader.ts'
import { ContentComparer } from './content-comparer.ts'
import { type CreatedFile, EntryWriter, type OpenFile } from './entry-writer.ts'
import type { FailedEntry, RestoreResult, RestoreTask, ThreadPlan } from './messages.ts'
import { readWindows, WINDOW_BYTES } from './read-windows.ts'

type ContentTask = Extract<RestoreTask, { kind: 'content' }>

/** What a restore thread does, synchronously. */
export class RestoreWorker {
  #reader: BlobReader | undefined
  #plan: ThreadPlan | undefined
  #rows: DataBlobs | undefined
  #writer: EntryWriter | undefined
  #comparer: ContentComparer | undefined
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
    this.#reader = new BlobReader(createCipher(plan.key))
    this.#rows = new DataBlobs(plan.blobs)
    this.#writer = new EntryWriter(table, target, plan.rules)
    this.#comparer = new ContentComparer(table, plan.content, this.#rows, this.#writer.directories)
  }

  #end(): void {
    this.#writer?.close()
    this.#writer = undefined
    this.#comparer = undefined
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
    const writing = new ContentWriting(this.#writer!, placements, task)
    try {
      const { fetched, from, to } = task
      const windows = fetched ? [{ ...fetched, from, to }] : readWindows(placements, this.#rows!, from, to)
      this.#reader!.read(placements, this.#rows!, windows, this.#pieceReader(task), writing)
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

/** Puts the blobs of one task where they belong. */
class ContentWriting {
  readonly #writer: EntryWriter
  readonly #placements: Placements
  readonly #shared = new Map<number, OpenFile>()
  /** Open files of several blobs that this task alone writes. */
  readonly #long = new Map<number, CreatedFile>()
  /** Places still to be dealt with in each file of several blobs. */
  readonly #left: Map<number, number>
  readonly #finished: number[] = []
  readonly #failed = new Map<number, FailedEntry>()
  /** Files that lack a blob and are not to be finished here. */
  readonly #incomplete = new Set<number>()
  readonly #missing: number[] = []
  readonly #begun: number[] = []
  /** Shared files that could not be opened: known to whoever tried. */
  readonly #unopened = new Set<number>()
  #writtenBytes = 0

  constructor(writer: EntryWriter, placements: Placements, task: ContentTask) {
    this.#writer = writer
    this.#placements = placements
    for (let i = 0; i < task.shared.length; i += 2) {
      const entry = task.shared[i]!
      const fd = task.shared[i + 1]!
      if (fd < 0) this.#unopened.add(entry)
      else this.#shared.set(entry, writer.adoptFile(entry, fd))
    }
    this.#left = countPlaces(writer.table, placements, task)
  }

  write(bytes: Uint8Array, from: number, to: number): void {
    for (let at = from; at < to; at++) {
      const entry = this.#placements.entry[at]!
      if (this.#failed.has(entry) || this.#unopened.has(entry)) continue
      try {
        this.#writePlace(entry, bytes, this.#placements.offset[at]!)
        this.#writtenBytes += bytes.length
      } catch (error) {
        this.#fail(entry, error)
      }
    }
  }

  damaged(_error: unknown, from: number, to: number): void {
    for (let at = from; at < to; at++) {
      const entry = this.#placements.entry[at]!
      if (this.#failed.has(entry) || this.#unopened.has(entry)) continue
      this.#missing.push(at)
      this.#incomplete.add(entry)
      try {
        this.#countDown(entry)
      } catch (error) {
        this.#fail(entry, error)
      }
    }
  }

  /** Closes what an aborted task leaves open. */
  close(): void {
    for (const { fd } of this.#long.values()) closeSync(fd)
    this.#long.clear()
  }

  result(): RestoreResult {
    return {
      kind: 'content',
      finished: Uint32Array.from(this.#finished),
      failed: [...this.#failed.values()],
      writtenBytes: this.#writtenBytes,
      missing: Uint32Array.from(this.#missing),
      begun: Uint32Array.from(this.#begun),
    }
  }

  #writePlace(entry: number, bytes: Uint8Array, offset: number): void {
    const shared = this.#shared.get(entry)
    if (shared !== undefined) this.#writer.write(shared, bytes, offset)
    else if (this.#left.has(entry)) {
      let file = this.#long.get(entry)
      if (file === undefined) {
        file = this.#writer.createFile(entry, true)
        this.#long.set(entry, file)
      }
      this.#writer.write(file, bytes, offset)
      this.#countDown(entry)
    } else this.#writeWhole(this.#writer.createFile(entry, false), bytes)
  }

  #writeWhole(file: CreatedFile, bytes: Uint8Array): void {
    try {
      this.#writer.write(file, bytes, 0)
    } catch (error) {
      closeSync(file.fd)
      throw error
    }
    this.#writer.finishFile(file)
    this.#finished.push(file.entry)
  }

  /** One place of a long file is dealt with; after the last one the file is left. */
  #countDown(entry: number): void {
    const left = (this.#left.get(entry) ?? 0) - 1
    this.#left.set(entry, left)
    if (left !== 0) return
    const file = this.#long.get(entry)
    if (file === undefined) return
    this.#long.delete(entry)
    if (this.#incomplete.has(entry)) {
      this.#begun.push(entry)
      closeSync(file.fd)
      return
    }
    this.#writer.finishFile(file)
    this.#finished.push(entry)
  }

  #fail(entry: number, error: unknown): void {
    this.#failed.set(entry, { entry, error: plainError(error) })
    const file = this.#long.get(entry)
    if (file !== undefined) closeSync(file.fd)
    this.#long.delete(entry)
  }
}

/** How many places the task writes to in each file of several blobs. */
function countPlaces(table: EntryTable, { entry }: Placements, { from, to }: ContentTask): Map<number, number> {
  const counts = new Map<number, number>()
  for (let at = from; at < to; at++) {
    const e = entry[at]!
    if (table.contentEnd(e) - table.contentStart(e) > 1) counts.set(e, (counts.get(e) ?? 0) + 1)
  }
  return counts
}
