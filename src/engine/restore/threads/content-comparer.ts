import { closeSync, constants, readSync } from 'node:fs'
import { systemErrorCode } from '../../../lib/errors.ts'
import { plainError } from '../../../lib/worker-pool.ts'
import { hashTogether, type Sha256Job } from '../../kernels/sha256.ts'
import { fstat } from '../../posix/attributes.ts'
import type { DataBlobs } from '../data-blobs.ts'
import type { EntryTable } from '../entry-table.ts'
import type { DirectoryCache } from './directory-cache.ts'
import type { ComparedPart } from './messages.ts'

/** Bytes that are read and then hashed together. */
const BATCH_BYTES = 4 * 1024 * 1024
const MAX_BATCH_BLOBS = 256

/** Never follows a link, never waits for the other end of a fifo put in the file's place. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK

interface Comparison {
  readonly matches: Uint8Array
  found: ComparedPart['found']
  error: unknown
}

interface PendingBlob {
  readonly row: number
  readonly comparison: Comparison
  /** Of the blob among those of the part. */
  readonly index: number
  readonly bytes: Uint8Array
}

/** Compares files of the target with the blobs they should consist of. Belongs to one thread. */
export class ContentComparer {
  readonly #table: EntryTable
  readonly #content: Uint32Array
  readonly #rows: DataBlobs
  readonly #directories: DirectoryCache
  #buffer = new Uint8Array(0)
  #used = 0
  #pending: PendingBlob[] = []

  constructor(table: EntryTable, content: Uint32Array, rows: DataBlobs, directories: DirectoryCache) {
    this.#table = table
    this.#content = content
    this.#rows = rows
    this.#directories = directories
  }

  /** @param parts triples of entry, first and end of the blobs, counted within the file */
  compare(parts: Uint32Array): ComparedPart[] {
    if (this.#buffer.length === 0) this.#buffer = new Uint8Array(BATCH_BYTES)
    const comparisons: Comparison[] = []
    for (let i = 0; i < parts.length; i += 3) {
      const comparison: Comparison = {
        matches: new Uint8Array(parts[i + 2]! - parts[i + 1]!),
        found: undefined,
        error: undefined,
      }
      comparisons.push(comparison)
      try {
        this.#readPart(comparison, parts[i]!, parts[i + 1]!)
      } catch (error) {
        comparison.error = error
      }
    }
    this.#flush()
    return comparisons.map(({ matches, found, error }) => ({
      found: error === undefined ? found : undefined,
      error: error === undefined ? undefined : plainError(error),
      matches: matches.every((match) => match === 1) ? undefined : matches,
    }))
  }

  #readPart(comparison: Comparison, entry: number, firstBlob: number): void {
    const fd = this.#openFile(entry)
    try {
      const { type, size, links } = fstat(fd)
      if (type !== 'file') return
      comparison.found = { sizeBytes: size, links }
      const start = this.#table.contentStart(entry)
      let offset = 0
      for (let b = 0; b < firstBlob; b++) offset += this.#rows.plaintextLength(this.#content[start + b]!)
      for (let index = 0; index < comparison.matches.length; index++) {
        const row = this.#content[start + firstBlob + index]!
        const length = this.#rows.plaintextLength(row)
        if (offset + length > size) return
        if (this.#used + length > this.#buffer.length || this.#pending.length === MAX_BATCH_BLOBS) this.#flush()
        if (length > this.#buffer.length) this.#buffer = new Uint8Array(length)
        const bytes = this.#buffer.subarray(this.#used, this.#used + length)
        if (!readFully(fd, bytes, offset)) return
        this.#pending.push({ row, comparison, index, bytes })
        this.#used += length
        offset += length
      }
    } finally {
      closeSync(fd)
    }
  }

  /** Without marking the file as read, where the system lets us. */
  #openFile(entry: number): number {
    const { handle } = this.#directories.open(this.#table.parent(entry))
    const name = this.#table.name(entry)
    if (constants.O_NOATIME !== undefined) {
      try {
        return handle.openFile(name, OPEN_FLAGS | constants.O_NOATIME, 0)
      } catch (error) {
        // Only the owner of a file may ask for that.
        if (systemErrorCode(error) !== 'EPERM') throw error
      }
    }
    return handle.openFile(name, OPEN_FLAGS, 0)
  }

  #flush(): void {
    const pending = this.#pending
    const digests = new Uint8Array(pending.length * 32)
    const jobs: Sha256Job[] = pending.map(({ bytes }, i) => ({ bytes, digest: digests.subarray(i * 32, i * 32 + 32) }))
    hashTogether(jobs)
    for (const [i, { row, comparison, index }] of pending.entries())
      if (this.#rows.isId(row, digests.subarray(i * 32, i * 32 + 32))) comparison.matches[index] = 1
    pending.length = 0
    this.#used = 0
    if (this.#buffer.length > BATCH_BYTES) this.#buffer = new Uint8Array(BATCH_BYTES)
  }
}

/** False when the file ends before. */
function readFully(fd: number, target: Uint8Array, position: number): boolean {
  for (let done = 0; done < target.length; ) {
    const read = readSync(fd, target, done, target.length - done, position + done)
    if (read === 0) return false
    done += read
  }
  return true
}
