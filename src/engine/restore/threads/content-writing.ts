import { closeSync } from 'node:fs'
import { plainError } from '../../../lib/worker-pool.ts'
import type { AsyncIo } from '../../posix/async-io.ts'
import type { Placements } from '../content-plan.ts'
import type { EntryTable } from '../entry-table.ts'
import type { BlobSink } from './blob-reader.ts'
import type { CreatedFile, EntryWriter, OpenFile } from './entry-writer.ts'
import type { FailedEntry, RestoreResult, RestoreTask } from './messages.ts'
import { PieceWriter } from './piece-writer.ts'

export type ContentTask = Extract<RestoreTask, { kind: 'content' }>

/** Bytes that follow each other in a file and in memory. */
interface Run {
  readonly entry: number
  /** Where in the file. */
  readonly offset: number
  readonly first: Uint8Array
  length: number
  /** Placements it is made of. */
  places: number
}

/** Puts the blobs of one task where they belong. */
export class ContentWriting implements BlobSink {
  readonly #writer: EntryWriter
  readonly #placements: Placements
  readonly #pieces: PieceWriter
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
  #run: Run | undefined
  #writtenBytes = 0

  /** @param direct absent: everything goes through the system's cache */
  constructor(writer: EntryWriter, placements: Placements, task: ContentTask, direct: AsyncIo | undefined) {
    this.#writer = writer
    this.#placements = placements
    this.#pieces = new PieceWriter(writer, direct)
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
      if (this.#isGivenUp(entry)) continue
      if (this.#shared.has(entry) || this.#left.has(entry)) this.#append(entry, bytes, this.#placements.offset[at]!)
      else this.#writeWhole(entry, bytes)
    }
  }

  damaged(_error: unknown, from: number, to: number): void {
    for (let at = from; at < to; at++) {
      const entry = this.#placements.entry[at]!
      if (this.#isGivenUp(entry)) continue
      this.#missing.push(at)
      this.#incomplete.add(entry)
      this.#countDown(entry, 1)
    }
  }

  endBatch(held: number): void {
    this.#endRun()
    this.#pieces.endBatch(held)
  }

  /** Waits until all that was handed over is written, or has failed. */
  settle(): void {
    this.endBatch(0)
  }

  /** Closes what an aborted task leaves open. */
  close(): void {
    this.#pieces.close()
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

  #isGivenUp(entry: number): boolean {
    return this.#failed.has(entry) || this.#unopened.has(entry)
  }

  #append(entry: number, bytes: Uint8Array, offset: number): void {
    const run = this.#run
    if (
      run?.entry === entry &&
      run.offset + run.length === offset &&
      run.first.buffer === bytes.buffer &&
      run.first.byteOffset + run.length === bytes.byteOffset
    ) {
      run.length += bytes.length
      run.places++
      return
    }
    this.#endRun()
    this.#run = { entry, offset, first: bytes, length: bytes.length, places: 1 }
  }

  #endRun(): void {
    const run = this.#run
    this.#run = undefined
    if (run === undefined || this.#isGivenUp(run.entry)) return
    const { entry, offset, first, length, places } = run
    const bytes = new Uint8Array(first.buffer, first.byteOffset, length)
    this.#attempt(entry, () =>
      this.#pieces.write(this.#fileOf(entry), bytes, offset, (error) => {
        if (error !== undefined) return this.#fail(entry, error)
        this.#writtenBytes += length
        this.#countDown(entry, places)
      }),
    )
  }

  #fileOf(entry: number): OpenFile {
    const open = this.#shared.get(entry) ?? this.#long.get(entry)
    if (open !== undefined) return open
    const file = this.#writer.createFile(entry, true)
    this.#long.set(entry, file)
    return file
  }

  #writeWhole(entry: number, bytes: Uint8Array): void {
    this.#attempt(entry, () => {
      const file = this.#writer.createFile(entry, false)
      try {
        this.#writer.write(file, bytes, 0)
      } catch (error) {
        closeSync(file.fd)
        throw error
      }
      this.#writer.finishFile(file)
      this.#finished.push(entry)
      this.#writtenBytes += bytes.length
    })
  }

  /** Some places of a long file are dealt with; after the last one the file is left. */
  #countDown(entry: number, places: number): void {
    if (this.#shared.has(entry)) return
    const left = (this.#left.get(entry) ?? 0) - places
    this.#left.set(entry, left)
    if (left !== 0) return
    const file = this.#long.get(entry)
    if (file === undefined) return
    this.#long.delete(entry)
    this.#pieces.forget(entry)
    if (this.#incomplete.has(entry)) {
      this.#begun.push(entry)
      closeSync(file.fd)
      return
    }
    this.#attempt(entry, () => {
      this.#writer.finishFile(file)
      this.#finished.push(entry)
    })
  }

  #attempt(entry: number, work: () => void): void {
    try {
      work()
    } catch (error) {
      this.#fail(entry, error)
    }
  }

  #fail(entry: number, error: unknown): void {
    this.#failed.set(entry, { entry, error: plainError(error) })
    this.#pieces.giveUp(entry)
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
