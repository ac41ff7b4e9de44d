import type { EntryAttributes, EntrySink } from '../../engine/archive/entry-tree.ts'
import type { FilePart } from '../../engine/archive/file-parts.ts'
import type { BlobChange } from '../../engine/archive/saver/patch-batch.ts'
import { ChangedChecksum, differenceOf } from '../../engine/kernels/crc32c.ts'
import type { ByteString } from '../../engine/repository/tree/node.ts'
import type { IncrementalBase, PreviousFile } from './incremental-base.ts'
import { type IncrementalFile, type PageSizes, readIncrementalFile } from './incremental-file.ts'

/** What a manifest says of a file that was put together here. */
export interface PatchedFile {
  readonly size: number
  /** CRC-32C of its content, known when `finish` of the patcher has resolved; undefined when that of the file before is not known. */
  readonly checksum: () => number | undefined
}

/** An incremental file as it arrives. */
export interface IncrementalMember {
  /** Of the file it is about, in the data directory. */
  readonly path: ByteString
  /** Of the incremental file. */
  readonly size: number
  readonly content: AsyncIterable<Uint8Array>
}

/** Blocks of the earlier snapshot that the disk is told of before they are read. */
const BLOCKS_ANNOUNCED = 256

/**
 * Puts files together from what an earlier snapshot has and the pages that changed since. Blobs without a changed page stay by their ids and
 * are not read; the others are patched and saved anew, on threads where their bytes are at hand. A file that grew by more than its changed pages
 * has zeros there, as `pg_combinebackup` makes it.
 */
export class RelationPatcher {
  readonly #base: IncrementalBase
  readonly #pages: PageSizes
  readonly #blockBytes: number
  readonly #before: Uint8Array
  readonly #after: Uint8Array
  /** The changed pages of one block. */
  readonly #received: Uint8Array
  readonly #saving: Promise<unknown>[] = []

  constructor(base: IncrementalBase, pages: PageSizes) {
    this.#base = base
    this.#pages = pages
    this.#blockBytes = base.blockBytes
    this.#before = new Uint8Array(base.blockBytes)
    this.#after = new Uint8Array(base.blockBytes)
    this.#received = new Uint8Array(base.blockBytes)
  }

  /**
   * Stores the file an incremental one is about, as `place` of the snapshot.
   * @throws HoldfastError HF_SOURCE_DAMAGED for a malformed one, HF_DATA_DAMAGED when the earlier snapshot lacks what is needed
   */
  async patch(
    entries: EntrySink,
    place: ByteString,
    attributes: EntryAttributes,
    { path, size, content }: IncrementalMember,
  ): Promise<PatchedFile> {
    const change = await readIncrementalFile(path, size, content, this.#pages)
    const previous = await this.#base.find(path, this.#pages.pageBytes)
    const newSize = change.pages * this.#pages.pageBytes
    const checksum =
      previous.checksum === undefined ? undefined : new ChangedChecksum(previous.checksum, previous.size, newSize)
    if (change.changed.length === 0 && newSize === previous.size) {
      await change.finish()
      this.#base.stored(previous, 0, previous.blocks)
      entries.storedFile(place, attributes, previous.content, newSize)
    } else {
      const { saved } = await entries.patchedFile(place, attributes, this.#parts(change, previous, newSize, checksum))
      this.#saving.push(saved)
      if (checksum !== undefined && newSize < previous.size) await this.#cutOff(previous, newSize, checksum)
    }
    return { size: newSize, checksum: () => checksum?.finish() }
  }

  /** Resolves when all files are put together. @throws HoldfastError HF_DATA_DAMAGED when blobs of the earlier snapshot turned out to be unreadable */
  async finish(): Promise<void> {
    for (const outcome of await Promise.allSettled(this.#saving))
      if (outcome.status === 'rejected') throw outcome.reason
  }

  async *#parts(
    change: IncrementalFile,
    previous: PreviousFile,
    newSize: number,
    checksum: ChangedChecksum | undefined,
  ): AsyncGenerator<FilePart> {
    const touched = touchedBlocks(change.changed, this.#pages.pageBytes, this.#blockBytes, previous.size, newSize)
    const old = this.#base.isAtHand
      ? undefined
      : this.#base.load(
          previous,
          touched.filter((block) => block < previous.blocks),
        )
    let next = 0
    let page = 0
    let announced = 0
    for (const [i, block] of touched.entries()) {
      if (old === undefined)
        for (; announced < Math.min(i + BLOCKS_ANNOUNCED, touched.length); announced++)
          if (touched[announced]! < previous.blocks) this.#base.announce(previous, touched[announced]!)
      if (block > next) yield this.#base.stored(previous, next, block)
      next = block + 1
      const start = block * this.#blockBytes
      const end = Math.min(start + this.#blockBytes, newSize)
      const isThere = block < previous.blocks
      // Before the next pages are read: both are valid until something more is asked for.
      const changes = await this.#changesOf(change, page, start, end)
      page += changes.length
      const sealed = isThere && old === undefined ? this.#base.sealed(previous, block) : undefined
      if (sealed !== undefined) {
        const onPatched = (difference: number): void => checksum?.differs(end, difference)
        yield { kind: 'patched', ...sealed, size: end - start, changes, onPatched }
        continue
      }
      this.#before.fill(0)
      if (isThere) this.#before.set(await this.#oldBlock(old, previous, block))
      this.#after.set(this.#before)
      for (const { at, bytes } of changes) this.#after.set(bytes, at)
      const length = end - start
      checksum?.differs(end, differenceOf(wordsOf(this.#before, length), wordsOf(this.#after, length)))
      yield { kind: 'blob', bytes: this.#after.subarray(0, length) }
    }
    const blocks = Math.ceil(newSize / this.#blockBytes)
    if (blocks > next) yield this.#base.stored(previous, next, blocks)
    await change.finish()
  }

  /** Reads the changed pages of a block, from the page that is the next one in `change`. */
  async #changesOf(change: IncrementalFile, first: number, start: number, end: number): Promise<readonly BlobChange[]> {
    const { pageBytes } = this.#pages
    const changes: BlobChange[] = []
    for (let page = first; page < change.changed.length && change.changed[page]! * pageBytes < end; page++) {
      const at = change.changed[page]! * pageBytes - start
      const bytes = this.#received.subarray(at, at + pageBytes)
      await change.readPage(bytes)
      changes.push({ at, bytes })
    }
    return changes
  }

  async #oldBlock(
    old: AsyncGenerator<Uint8Array> | undefined,
    previous: PreviousFile,
    block: number,
  ): Promise<Uint8Array> {
    const blobs = old ?? this.#base.load(previous, Uint32Array.of(block))
    return (await blobs.next()).value!
  }

  /** What is cut off has to be read for the checksum of what stays. */
  async #cutOff(previous: PreviousFile, newSize: number, checksum: ChangedChecksum): Promise<void> {
    const first = Math.floor(newSize / this.#blockBytes)
    const blocks = Uint32Array.from({ length: previous.blocks - first }, (_, i) => first + i)
    let skip = newSize - first * this.#blockBytes
    for await (const bytes of this.#base.load(previous, blocks)) {
      checksum.cutOff(bytes.subarray(skip))
      skip = 0
    }
  }
}

const wordsOf = (bytes: Uint8Array, length: number): Int32Array =>
  new Int32Array(bytes.buffer, bytes.byteOffset, length / 4)

/** The blocks of a file that are not as they were, ascending: with a changed page, or of another length. */
function touchedBlocks(
  changed: Uint32Array,
  pageBytes: number,
  blockBytes: number,
  oldSize: number,
  newSize: number,
): Uint32Array {
  const blocks = new Set<number>()
  for (const page of changed) blocks.add(Math.floor((page * pageBytes) / blockBytes))
  const lengthOf = (size: number, block: number): number => Math.min(blockBytes, size - block * blockBytes)
  const end = Math.ceil(newSize / blockBytes)
  for (let block = Math.floor(Math.min(oldSize, newSize) / blockBytes); block < end; block++)
    if (lengthOf(oldSize, block) !== lengthOf(newSize, block)) blocks.add(block)
  return Uint32Array.from(blocks).sort()
}
