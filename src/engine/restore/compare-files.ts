import { forEachParallel } from '../../lib/parallel.ts'
import type { PlainError } from '../../lib/worker-pool.ts'
import { throwIfInterrupted } from '../storage/interruption.ts'
import type { DataBlobs } from './data-blobs.ts'
import type { EntryTable } from './entry-table.ts'
import type { RestoreThreads } from './restore-threads.ts'
import type { ComparedPart } from './threads/messages.ts'

/** Files of a task, or bytes, whichever is reached first; larger files are compared in parts of this size. */
const FILES_PER_TASK = 256
const BYTES_PER_TASK = 32 * 1024 * 1024

/** How a file of the target compares with what it should hold. */
export interface FileComparison {
  readonly sizeBytes: number
  readonly links: number
  /** A byte for each blob, not 0 where it is right; undefined when all are. */
  readonly matches: Uint8Array | undefined
}

export interface ComparisonOptions {
  readonly table: EntryTable
  readonly content: Uint32Array
  readonly rows: DataBlobs
  /** Threads that have begun with this table. */
  readonly threads: RestoreThreads
  /** Called once for each file: how it compares, or the failure to read it (undefined: there is no such regular file). */
  readonly onFile: (entry: number, comparison: FileComparison | undefined, error: PlainError | undefined) => void
  /** Bytes compared. */
  readonly onBytes?: (bytes: number) => void
  readonly signal?: AbortSignal | undefined
}

/** Compares the files of `entries` on all threads. */
export async function compareFiles(entries: Iterable<number>, options: ComparisonOptions): Promise<void> {
  const { threads, onFile, onBytes, signal } = options
  const split = new Map<number, SplitFile>()
  await forEachParallel(cutTasks(entries, options, split), threads.count * 2, async ({ parts, bytes }) => {
    throwIfInterrupted(signal)
    const result = await threads.run({ kind: 'compare', parts: Uint32Array.from(parts) })
    for (const [i, part] of result.parts.entries()) {
      const entry = parts[i * 3]!
      const file = split.get(entry)
      if (file === undefined) {
        onFile(entry, part.found && { ...part.found, matches: part.matches }, part.error)
        continue
      }
      addPart(file, parts[i * 3 + 1]!, parts[i * 3 + 2]!, part)
      if (file.partsLeft > 0) continue
      split.delete(entry)
      onFile(entry, file.found && { ...file.found, matches: file.isRight ? undefined : file.matches }, file.error)
    }
    onBytes?.(bytes)
  })
}

/** Triples of entry, first and end of the blobs. */
interface ComparisonTask {
  readonly parts: readonly number[]
  readonly bytes: number
}

/** A file whose parts are compared by several tasks. */
interface SplitFile {
  partsLeft: number
  found: ComparedPart['found']
  error: PlainError | undefined
  isRight: boolean
  readonly matches: Uint8Array
}

/** Cuts the work into tasks; files that do not fit into one are entered in `split`. */
function* cutTasks(
  entries: Iterable<number>,
  { table, content, rows }: ComparisonOptions,
  split: Map<number, SplitFile>,
): IterableIterator<ComparisonTask> {
  let parts: number[] = []
  let bytes = 0
  for (const entry of entries) {
    const start = table.contentStart(entry)
    const blobs = table.contentEnd(entry) - start
    let from = 0
    for (let b = 0; b < blobs; b++) {
      bytes += rows.plaintextLength(content[start + b]!)
      if (bytes < BYTES_PER_TASK || b + 1 === blobs) continue
      // One more than has been given out, as long as there is more to come.
      const file = split.get(entry) ?? newSplitFile(blobs)
      file.partsLeft++
      split.set(entry, file)
      parts.push(entry, from, b + 1)
      yield { parts, bytes }
      parts = []
      bytes = 0
      from = b + 1
    }
    parts.push(entry, from, blobs)
    if (bytes < BYTES_PER_TASK && parts.length < FILES_PER_TASK * 3) continue
    yield { parts, bytes }
    parts = []
    bytes = 0
  }
  if (parts.length > 0) yield { parts, bytes }
}

const newSplitFile = (blobs: number): SplitFile => ({
  partsLeft: 1,
  found: undefined,
  error: undefined,
  isRight: true,
  matches: new Uint8Array(blobs),
})

function addPart(file: SplitFile, from: number, to: number, part: ComparedPart): void {
  file.partsLeft--
  file.found = part.found
  file.error ??= part.error
  if (part.matches === undefined) file.matches.fill(1, from, to)
  else {
    file.matches.set(part.matches, from)
    file.isRight = false
  }
}
