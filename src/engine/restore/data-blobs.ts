import { ID_BYTES, type Id } from '../../lib/id.ts'
import { BlobTable, type BlobTableMemory } from '../repository/index/blob-table.ts'
import { type MasterIndex, plaintextLengthOf } from '../repository/index/master-index.ts'

/** A blob no index knows. */
export const NO_ROW = 0xffff_ffff

/**
 * The data blobs of a repository by one number each: the row in the index's tables, counted through all tables. Four bytes stand for a
 * blob, equal blobs have equal numbers, and threads find everything else about it in the same tables. Valid while nothing is added to the
 * index.
 */
export class DataBlobs {
  readonly #tables: readonly BlobTable[]
  readonly #starts: readonly number[]
  readonly #scratch = Buffer.alloc(ID_BYTES)

  constructor(tables: readonly BlobTable[]) {
    this.#tables = tables
    let next = 0
    this.#starts = tables.map((table) => {
      const start = next
      next += table.count
      return start
    })
  }

  static ofIndex(index: MasterIndex): DataBlobs {
    return new DataBlobs(index.tables('data'))
  }

  /** For another thread. */
  static ofMemory(tables: readonly BlobTableMemory[]): DataBlobs {
    return new DataBlobs(tables.map((memory) => new BlobTable(memory)))
  }

  /** NO_ROW when no index knows the blob. */
  find(id: Id): number {
    this.#scratch.write(id, 'hex')
    for (let t = 0; t < this.#tables.length; t++) {
      const row = this.#tables[t]!.find(this.#scratch)
      if (row >= 0) return this.#starts[t]! + row
    }
    return NO_ROW
  }

  id(row: number): Id {
    const table = this.#tableOf(row)
    return this.#tables[table]!.idHex(row - this.#starts[table]!)
  }

  /** Whether `digest` is the blob's id. */
  isId(row: number, digest: Uint8Array): boolean {
    const table = this.#tableOf(row)
    const { ids } = this.#tables[table]!
    const start = (row - this.#starts[table]!) * ID_BYTES
    for (let i = 0; i < ID_BYTES; i++) if (ids[start + i] !== digest[i]) return false
    return true
  }

  /** Number of the pack it lies in. */
  pack(row: number): number {
    const table = this.#tableOf(row)
    return this.#tables[table]!.pack(row - this.#starts[table]!)
  }

  /** Where it begins in its pack. */
  offset(row: number): number {
    const table = this.#tableOf(row)
    return this.#tables[table]!.offset(row - this.#starts[table]!)
  }

  /** Stored bytes. */
  length(row: number): number {
    const table = this.#tableOf(row)
    return this.#tables[table]!.length(row - this.#starts[table]!)
  }

  /** 0 when it is stored as it is. */
  uncompressedLength(row: number): number {
    const table = this.#tableOf(row)
    return this.#tables[table]!.uncompressedLength(row - this.#starts[table]!)
  }

  plaintextLength(row: number): number {
    const table = this.#tableOf(row)
    const at = row - this.#starts[table]!
    const length = this.#tables[table]!.length(at)
    return plaintextLengthOf({ length, uncompressedLength: this.#tables[table]!.uncompressedLength(at) })
  }

  #tableOf(row: number): number {
    let table = this.#starts.length - 1
    while (row < this.#starts[table]!) table--
    return table
  }
}
