import type { EntryAttributes, EntrySink } from '../../engine/archive/entry-tree.ts'
import type { FilePart } from '../../engine/archive/stream-saver.ts'
import type { ByteString } from '../../engine/repository/tree/node.ts'
import { ChangedChecksum } from './crc32c.ts'
import type { IncrementalBase, PreviousFile } from './incremental-base.ts'
import { type IncrementalFile, type PageSizes, readIncrementalFile } from './incremental-file.ts'

/** What a manifest says of a file that was put together here. */
export interface PatchedFile {
  readonly size: number
  /** CRC-32C of its content; undefined when that of the file before is not known. */
  readonly checksum: number | undefined
}

/** An incremental file as it arrives. */
export interface IncrementalMember {
  /** Of the file it is about, in the data directory. */
  readonly path: ByteString
  /** Of the incremental file. */
  readonly size: number
  readonly content: AsyncIterable<Uint8Array>
}

/**
 * Puts files together from what an earlier snapshot has and the pages that changed since. Blobs without a changed page stay by their ids and
 * are not read; the others are loaded, patched and saved anew, one at a time. A file that grew by more than its changed pages has zeros there,
 * as `pg_combinebackup` makes it.
 */
export class RelationPatcher {
  readonly #base: IncrementalBase
  readonly #pages: PageSizes
  readonly #blockBytes: number
  readonly #before: Uint8Array
  readonly #after: Uint8Array
  readonly #beforeWords: Int32Array
  readonly #afterWords: Int32Array

  constructor(base: IncrementalBase, pages: PageSizes) {
    this.#base = base
    this.#pages = pages
    this.#blockBytes = base.blockBytes
    this.#before = new Uint8Array(base.blockBytes)
    this.#after = new Uint8Array(base.blockBytes)
    this.#beforeWords = new Int32Array(this.#before.buffer)
    this.#afterWords = new Int32Array(this.#after.buffer)
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
      this.#base.stored(previous, 0, previous.content.length)
      entries.storedFile(place, attributes, previous.content, newSize)
    } else {
      await entries.patchedFile(place, attributes, this.#parts(change, previous, newSize, checksum))
      if (checksum !== undefined && newSize < previous.size) await this.#cutOff(previous, newSize, checksum)
    }
    return { size: newSize, checksum: checksum?.finish() }
  }

  async *#parts(
    change: IncrementalFile,
    previous: PreviousFile,
    newSize: number,
    checksum: ChangedChecksum | undefined,
  ): AsyncGenerator<FilePart> {
    const { pageBytes } = this.#pages
    const touched = touchedBlocks(change.changed, pageBytes, this.#blockBytes, previous.size, newSize)
    const old = this.#base.load(
      previous,
      touched.filter((block) => block < previous.content.length),
    )
    let next = 0
    let page = 0
    for (const block of touched) {
      if (block > next) yield this.#base.stored(previous, next, block)
      next = block + 1
      const start = block * this.#blockBytes
      const end = Math.min(start + this.#blockBytes, newSize)
      this.#before.fill(0)
      if (block < previous.content.length) this.#before.set((await old.next()).value!)
      this.#after.set(this.#before)
      for (; page < change.changed.length && change.changed[page]! * pageBytes < end; page++) {
        const at = change.changed[page]! * pageBytes - start
        await change.readPage(this.#after.subarray(at, at + pageBytes))
        checksum?.changed(start + at, this.#beforeWords, this.#afterWords, at, at + pageBytes)
      }
      yield { kind: 'blob', bytes: this.#after.subarray(0, end - start) }
    }
    const blocks = Math.ceil(newSize / this.#blockBytes)
    if (blocks > next) yield this.#base.stored(previous, next, blocks)
    await change.finish()
  }

  /** What is cut off has to be read for the checksum of what stays. */
  async #cutOff(previous: PreviousFile, newSize: number, checksum: ChangedChecksum): Promise<void> {
    const first = Math.floor(newSize / this.#blockBytes)
    const blocks = Uint32Array.from({ length: previous.content.length - first }, (_, i) => first + i)
    let skip = newSize - first * this.#blockBytes
    for await (const bytes of this.#base.load(previous, blocks)) {
      checksum.cutOff(bytes.subarray(skip))
      skip = 0
    }
  }
}

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
