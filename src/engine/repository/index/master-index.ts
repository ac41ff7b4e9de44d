import { ID_BYTES, type Id } from '../../../lib/id.ts'
import { type BlobLocation, type BlobType, blobTypes } from '../blob.ts'
import { BlobRows, BlobRowsBuilder, type PackListing } from '../pack/blob-rows.ts'
import { entryBytes, PACK_FRAME_BYTES } from '../pack/header.ts'
import { type BlobTable, BlobTableBuilder, type BlobTableMemory } from './blob-table.ts'

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
  /** Rows not yet in a sorted table; sorted at the next lookup. */
  readonly #unsorted: Record<BlobType, BlobTableBuilder> = {
    data: new BlobTableBuilder(),
    tree: new BlobTableBuilder(),
  }

  /** Number of entries, duplicates counted. */
  get count(): number {
    let total = 0
    for (const type of blobTypes) for (const table of this.tables(type)) total += table.count
    return total
  }

  get packCount(): number {
    return this.#packIds.length
  }

  /**
   * Adds the blobs of a pack, listed by an index file or just written. A pack known already is skipped; one whose blobs are spread over
   * several listings (old writers did that) is put together.
   */
  load({ pack, rows }: PackListing): void {
    const blobs = new BlobRows(rows)
    const known = this.#packNumbers.get(pack)
    if (known !== undefined && this.#packBlobs[known] === blobs.count) return
    const number = known ?? this.#addPack(pack)
    for (let row = 0; row < blobs.count; row++) {
      const type = blobs.type(row)
      const offset = blobs.offset(row)
      if (
        known !== undefined &&
        this.findAll(type, blobs.id(row)).some((at) => at.pack === pack && at.offset === offset)
      )
        continue
      const length = blobs.length(row)
      const uncompressedLength = blobs.uncompressedLength(row)
      this.#unsorted[type].append(blobs.bytes, blobs.idAt(row), number, offset, length, uncompressedLength)
      this.#packSizes[number]! += length + entryBytes(uncompressedLength)
      this.#packBlobs[number]! += 1
    }
  }

  has(type: BlobType, id: Id): boolean {
    return this.hasBytes(type, this.#bytesOf(id))
  }

  /** As `has`, for an id given as 32 bytes of `source` at `at`. */
  hasBytes(type: BlobType, source: Uint8Array, at = 0): boolean {
    for (const table of this.tables(type)) if (table.find(source, at) >= 0) return true
    return false
  }

  /** A place where the blob lies, or undefined when no index knows it. */
  find(type: BlobType, id: Id): BlobLocation | undefined {
    return this.findBytes(type, this.#bytesOf(id))
  }

  /** As `find`, for an id given as 32 bytes of `source` at `at`. */
  findBytes(type: BlobType, source: Uint8Array, at = 0): BlobLocation | undefined {
    for (const table of this.tables(type)) {
      const row = table.find(source, at)
      if (row >= 0) return this.#location(table, row)
    }
    return undefined
  }

  /** Every place where the blob lies. */
  findAll(type: BlobType, id: Id): BlobLocation[] {
    const found: BlobLocation[] = []
    const bytes = this.#bytesOf(id)
    for (const table of this.tables(type)) {
      let row = table.find(bytes)
      if (row < 0) continue
      do found.push(this.#location(table, row++))
      while (table.repeats(row))
    }
    return found
  }

  /** Plaintext length of a blob, or undefined when no index knows it. */
  plaintextLength(type: BlobType, id: Id): number | undefined {
    return this.plaintextLengthAt(type, this.#bytesOf(id), 0)
  }

  /** As `plaintextLength`, for an id given as 32 bytes of `source` at `at`. Nothing is made, so that it can be asked for very many. */
  plaintextLengthAt(type: BlobType, source: Uint8Array, at: number): number | undefined {
    for (const table of this.tables(type)) {
      const row = table.find(source, at)
      if (row >= 0) return table.plaintextLength(row)
    }
    return undefined
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

  /** Everything known, pack by pack, of the packs that `keep` accepts: what an index file would list. */
  listings(keep: (pack: Id) => boolean): PackListing[] {
    const builders = this.#packIds.map((pack) => (keep(pack) ? new BlobRowsBuilder() : undefined))
    for (const type of blobTypes)
      for (const table of this.tables(type))
        for (let row = 0; row < table.count; row++)
          builders[table.pack(row)]?.append(
            type,
            table.ids,
            row * ID_BYTES,
            table.offset(row),
            table.length(row),
            table.uncompressedLength(row),
          )
    return builders.flatMap((builder, number) =>
      builder ? [{ pack: this.#packIds[number]!, rows: builder.take() }] : [],
    )
  }

  packId(number: number): Id {
    return this.#packIds[number]!
  }

  /** The sorted tables of one type, everything included; rows refer to packs by number. */
  tables(type: BlobType): readonly BlobTable[] {
    const unsorted = this.#unsorted[type]
    const tables = this.#tables[type]
    if (unsorted.count === 0) return tables
    tables.push(unsorted.build())
    // Each table is at least twice as large as the next: a lookup visits few of them, and a row is merged a few times in all.
    while (tables.length > 1 && tables.at(-1)!.count * 2 > tables.at(-2)!.count) {
      const merged = new BlobTableBuilder(tables.at(-1)!.count + tables.at(-2)!.count)
      merged.appendTable(tables.pop()!)
      merged.appendTable(tables.pop()!)
      tables.push(merged.build())
    }
    return tables
  }

  /** One sorted table of everything known of a type. */
  table(type: BlobType): BlobTable {
    const tables = this.tables(type)
    if (tables.length !== 1) {
      const merged = new BlobTableBuilder(tables.reduce((sum, table) => sum + table.count, 1))
      for (const table of tables) merged.appendTable(table)
      this.#tables[type] = [merged.build()]
    }
    return this.#tables[type][0]!
  }

  /** Everything known now, readable by other threads; blobs added later are not in it. */
  share(): SharedIndex {
    return {
      tables: { data: this.tables('data').map((t) => t.memory), tree: this.tables('tree').map((t) => t.memory) },
    }
  }

  #addPack(pack: Id): number {
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
    this.#packBlobs[number] = 0
    return number
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
