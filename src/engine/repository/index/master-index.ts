import { ID_BYTES, type Id } from '../../../lib/id.ts'
import { type BlobLocation, type BlobType, blobTypes } from '../blob.ts'
import { entryBytes, PACK_FRAME_BYTES } from '../pack/header.ts'
import { type BlobTable, BlobTableBuilder, type BlobTableMemory } from './blob-table.ts'
import type { IndexedPack } from './index-file.ts'
import { expandRows, type PackedRows, ROW_BYTES } from './packed-index.ts'

/** Rows added since the last sorted table was built are looked up in a map; more than this many become a table of their own. */
const RECENT_LIMIT = 20_000
/** More tables than this are merged into one, so that a miss stays cheap. */
const TABLE_LIMIT = 6

/** What worker threads need to tell whether a blob is already stored. */
export interface SharedIndex {
  readonly tables: Readonly<Record<BlobType, readonly BlobTableMemory[]>>
}

/** Facts about one pack as the index knows it. */
export interface PackFacts {
  readonly id: Id
  readonly number: number
  /** Size the file must have. */
  readonly sizeBytes: number
  readonly blobs: number
}

/**
 * Where every blob of the repository lies, all index files together. The same blob may lie in several packs, and a pack may be listed by
 * several index files; both are legal.
 */
export class MasterIndex {
  readonly #packNumbers = new Map<Id, number>()
  readonly #packIds: Id[] = []
  #packSizes = new Float64Array(256)
  #packBlobs = new Uint32Array(256)
  readonly #tables: Record<BlobType, BlobTable[]> = { data: [], tree: [] }
  readonly #building: Record<BlobType, BlobTableBuilder> = {
    data: new BlobTableBuilder(),
    tree: new BlobTableBuilder(),
  }
  readonly #recent: Record<BlobType, Map<Id, number>> = { data: new Map(), tree: new Map() }
  readonly #recentRows: BlobLocation[] = []

  /** Number of entries, duplicates counted. */
  get count(): number {
    let total = this.#recentRows.length
    for (const type of blobTypes) {
      total += this.#building[type].count
      for (const table of this.#tables[type]) total += table.count
    }
    return total
  }

  get packCount(): number {
    return this.#packIds.length
  }

  /**
   * Adds what an index file lists while loading; call `settle` before the first lookup. A pack listed again by another index file is
   * skipped; one whose blobs are spread over several listings (old writers did that) is put together.
   */
  load(listed: IndexedPack): void {
    const known = this.#packNumbers.get(listed.pack)
    if (known === undefined) {
      const number = this.#addListed(listed)
      for (const blob of listed.blobs)
        this.#building[blob.type].appendHex(blob.id, number, blob.offset, blob.length, blob.uncompressedLength)
    } else if (this.#packBlobs[known] !== listed.blobs.length) this.#completePack(known, listed)
  }

  /** As `load`, from the decoded form of the local cache. */
  loadPacked(rows: PackedRows): void {
    if (this.#packNumbers.has(rows.pack)) {
      this.load(expandRows(rows))
      return
    }
    const number = this.#addPack(rows.pack, rows.count)
    for (let i = 0, at = rows.start; i < rows.count; i++, at += ROW_BYTES) {
      const { bytes } = rows
      const type: BlobType = bytes[at + ID_BYTES] === 1 ? 'tree' : 'data'
      const length = bytes.readUInt32LE(at + ID_BYTES + 5)
      const uncompressedLength = bytes.readUInt32LE(at + ID_BYTES + 9)
      this.#building[type].append(bytes, at, number, bytes.readUInt32LE(at + ID_BYTES + 1), length, uncompressedLength)
      this.#packSizes[number]! += length + entryBytes(uncompressedLength)
    }
  }

  /** Makes everything loaded so far available to lookups. */
  settle(): void {
    for (const type of blobTypes) {
      const builder = this.#building[type]
      if (builder.count === 0) continue
      this.#tables[type].push(builder.build())
      this.#building[type] = new BlobTableBuilder()
      if (this.#tables[type].length > TABLE_LIMIT) this.#merge(type)
    }
  }

  /** Adds a pack written by this process; its blobs are found at once. */
  add(written: IndexedPack): void {
    if (this.#packNumbers.has(written.pack)) return
    this.#addListed(written)
    for (const blob of written.blobs) {
      this.#recent[blob.type].set(blob.id, this.#recentRows.length)
      this.#recentRows.push({
        pack: written.pack,
        offset: blob.offset,
        length: blob.length,
        uncompressedLength: blob.uncompressedLength,
      })
    }
    if (this.#recentRows.length > RECENT_LIMIT) this.#settleRecent()
  }

  has(type: BlobType, id: Id): boolean {
    if (this.#recent[type].has(id)) return true
    return this.hasBytes(type, this.#bytesOf(id), 0, false)
  }

  /** As `has`, for an id given as 32 bytes of `source` at `at`. */
  hasBytes(type: BlobType, source: Uint8Array, at = 0, lookInRecent = true): boolean {
    for (const table of this.#tables[type]) if (table.find(source, at) >= 0) return true
    if (!lookInRecent || this.#recent[type].size === 0) return false
    return this.#recent[type].has(Buffer.from(source.buffer, source.byteOffset + at, ID_BYTES).toString('hex'))
  }

  /** A place where the blob lies, or undefined when no index knows it. */
  find(type: BlobType, id: Id): BlobLocation | undefined {
    const recent = this.#recent[type].get(id)
    if (recent !== undefined) return this.#recentRows[recent]
    const bytes = this.#bytesOf(id)
    for (const table of this.#tables[type]) {
      const row = table.find(bytes)
      if (row >= 0) return this.#location(table, row)
    }
    return undefined
  }

  /** Every place where the blob lies. */
  findAll(type: BlobType, id: Id): BlobLocation[] {
    const found: BlobLocation[] = []
    const bytes = this.#bytesOf(id)
    for (const table of this.#tables[type]) {
      let row = table.find(bytes)
      if (row < 0) continue
      do found.push(this.#location(table, row++))
      while (table.repeats(row))
    }
    const recent = this.#recent[type].get(id)
    if (recent !== undefined) found.push(this.#recentRows[recent]!)
    return found
  }

  /** Plaintext length of a blob, or undefined when no index knows it. */
  plaintextLength(type: BlobType, id: Id): number | undefined {
    const location = this.find(type, id)
    return location && plaintextLengthOf(location)
  }

  hasPack(id: Id): boolean {
    return this.#packNumbers.has(id)
  }

  packFacts(id: Id): PackFacts | undefined {
    const number = this.#packNumbers.get(id)
    return number === undefined
      ? undefined
      : { id, number, sizeBytes: this.#packSizes[number]!, blobs: this.#packBlobs[number]! }
  }

  *packs(): IterableIterator<PackFacts> {
    for (let number = 0; number < this.#packIds.length; number++)
      yield { id: this.#packIds[number]!, number, sizeBytes: this.#packSizes[number]!, blobs: this.#packBlobs[number]! }
  }

  packId(number: number): Id {
    return this.#packIds[number]!
  }

  /** The sorted tables of one type, everything included; rows refer to packs by number. */
  tables(type: BlobType): readonly BlobTable[] {
    this.#settleRecent()
    return this.#tables[type]
  }

  /** Everything known now, readable by other threads; blobs added later are not in it. */
  share(): SharedIndex {
    return {
      tables: { data: this.tables('data').map((t) => t.memory), tree: this.tables('tree').map((t) => t.memory) },
    }
  }

  #addListed(listed: IndexedPack): number {
    const number = this.#addPack(listed.pack, listed.blobs.length)
    for (const blob of listed.blobs) this.#packSizes[number]! += blob.length + entryBytes(blob.uncompressedLength)
    return number
  }

  #addPack(pack: Id, blobs: number): number {
    const number = this.#packIds.length
    if (number === this.#packSizes.length) {
      const sizes = new Float64Array(number * 2)
      sizes.set(this.#packSizes)
      this.#packSizes = sizes
      const counts = new Uint32Array(number * 2)
      counts.set(this.#packBlobs)
      this.#packBlobs = counts
    }
    this.#packNumbers.set(pack, number)
    this.#packIds.push(pack)
    this.#packSizes[number] = PACK_FRAME_BYTES
    this.#packBlobs[number] = blobs
    return number
  }

  #completePack(number: number, listed: IndexedPack): void {
    this.settle()
    for (const blob of listed.blobs) {
      if (this.findAll(blob.type, blob.id).some((at) => at.pack === listed.pack && at.offset === blob.offset)) continue
      this.#building[blob.type].appendHex(blob.id, number, blob.offset, blob.length, blob.uncompressedLength)
      this.#packSizes[number]! += blob.length + entryBytes(blob.uncompressedLength)
      this.#packBlobs[number]! += 1
    }
  }

  #settleRecent(): void {
    this.settle()
    if (this.#recentRows.length === 0) return
    for (const type of blobTypes) {
      for (const [id, row] of this.#recent[type]) {
        const { pack, offset, length, uncompressedLength } = this.#recentRows[row]!
        this.#building[type].appendHex(id, this.#packNumbers.get(pack)!, offset, length, uncompressedLength)
      }
      this.#recent[type].clear()
    }
    this.#recentRows.length = 0
    this.settle()
  }

  #merge(type: BlobType): void {
    const tables = this.#tables[type]
    const builder = new BlobTableBuilder(tables.reduce((sum, table) => sum + table.count, 0))
    for (const table of tables) builder.appendTable(table)
    this.#tables[type] = [builder.build()]
  }

  readonly #scratch: Buffer = Buffer.alloc(ID_BYTES)

  #bytesOf(id: Id): Uint8Array {
    this.#scratch.write(id, 'hex')
    return this.#scratch
  }

  #location(table: BlobTable, row: number): BlobLocation {
    return {
      pack: this.#packIds[table.pack(row)]!,
      offset: table.offset(row),
      length: table.length(row),
      uncompressedLength: table.uncompressedLength(row),
    }
  }
}

/** Plaintext bytes of the blob at `location`. */
export const plaintextLengthOf = (location: {
  readonly length: number
  readonly uncompressedLength: number
}): number => (location.uncompressedLength > 0 ? location.uncompressedLength : location.length - 32)
