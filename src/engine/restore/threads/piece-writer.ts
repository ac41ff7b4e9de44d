import { closeSync } from 'node:fs'
import { type AsyncIo, DIRECT_BLOCK_BYTES, openDirectly } from '../../posix/async-io.ts'
import type { EntryWriter, OpenFile } from './entry-writer.ts'

/** Less than this is gathered better by the system's cache. */
const MIN_DIRECT_BYTES = 32 * 1024

/** Told once of each piece, but for those of a file that was given up: undefined when it is written. */
export type OnPiece = (error: unknown) => void

/** What is used of direct writes. */
export type DirectPieces = Pick<AsyncIo, 'write' | 'waitForOne'>

/** Pieces that are on their way to the disk, and use the memory of a batch. */
interface Batch {
  pending: number
}

/** Writes pieces of files: large ones past the system's cache, while the thread goes on. Lives as long as a task. */
export class PieceWriter {
  readonly #writer: Pick<EntryWriter, 'write'>
  readonly #direct: DirectPieces | undefined
  /** Further descriptors of files, for direct writes, by entry; undefined for those that have none. */
  readonly #descriptors = new Map<number, number | undefined>()
  readonly #givenUp = new Set<number>()
  readonly #batches: Batch[] = []
  #batch: Batch = { pending: 0 }

  constructor(writer: Pick<EntryWriter, 'write'>, direct: DirectPieces | undefined) {
    this.#writer = writer
    this.#direct = direct
  }

  /**
   * Writes `bytes`, which must not change before `onPiece` is called: in here, or in `endBatch`.
   * @throws what writing throws; `onPiece` is not called then
   */
  write(file: OpenFile, bytes: Uint8Array, offset: number, onPiece: OnPiece): void {
    const start = -offset & (DIRECT_BLOCK_BYTES - 1)
    const end = bytes.length - ((offset + bytes.length) % DIRECT_BLOCK_BYTES)
    if (!this.#beginDirect(file, bytes.subarray(start, end), offset + start, onPiece)) {
      this.#writer.write(file, bytes, offset)
      onPiece(undefined)
      return
    }
    this.#writer.write(file, bytes.subarray(0, start), offset)
    this.#writer.write(file, bytes.subarray(end), offset + end)
  }

  /** Ends a batch, and waits until only pieces of the latest `held` ones are on their way. */
  endBatch(held: number): void {
    this.#batches.push(this.#batch)
    this.#batch = { pending: 0 }
    while (this.#batches.length > held) {
      const [oldest] = this.#batches
      while (oldest!.pending > 0) this.#direct!.waitForOne()
      this.#batches.shift()
    }
  }

  /** A file is about to be closed, and nothing of it on its way. */
  forget(entry: number): void {
    const fd = this.#descriptors.get(entry)
    if (fd !== undefined) closeSync(fd)
    this.#descriptors.delete(entry)
  }

  /** A file is about to be closed though pieces of it may be on their way: its descriptor is not used again, as it may soon be of another file. */
  giveUp(entry: number): void {
    this.#givenUp.add(entry)
  }

  /** Waits for what is on its way, and closes what it opened. */
  close(): void {
    this.endBatch(0)
    for (const fd of this.#descriptors.values()) if (fd !== undefined) closeSync(fd)
    this.#descriptors.clear()
  }

  #beginDirect(file: OpenFile, bytes: Uint8Array, offset: number, onPiece: OnPiece): boolean {
    if (this.#direct === undefined || !file.mayBeDirect || bytes.length < MIN_DIRECT_BYTES) return false
    const fd = this.#descriptorOf(file)
    if (fd === undefined) return false
    const batch = this.#batch
    const isBegun = this.#direct.write(fd, bytes, offset, (written) => {
      batch.pending--
      if (this.#givenUp.has(file.entry)) return
      onPiece(written === bytes.length ? undefined : this.#writeAgain(file, bytes, offset))
    })
    if (isBegun) batch.pending++
    return isBegun
  }

  /** In the ordinary way, which may go well, and else says what is wrong. */
  #writeAgain(file: OpenFile, bytes: Uint8Array, offset: number): unknown {
    try {
      this.#writer.write(file, bytes, offset)
      return undefined
    } catch (error) {
      return error
    }
  }

  #descriptorOf(file: OpenFile): number | undefined {
    const { entry, fd } = file
    if (!this.#descriptors.has(entry)) this.#descriptors.set(entry, openDirectly(fd))
    return this.#descriptors.get(entry)
  }
}
