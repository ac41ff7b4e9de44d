import { ID_BYTES, type Id } from '../../lib/id.ts'
import { BlobTable, type BlobTableMemory } from '../repository/index/blob-table.ts'
import { type MasterIndex, plaintextLengthOf } from '../repository/index/master-index.ts'

/** A blob no index knows. */
export const NO_ROW = 0xffff_ffff

/**
 * The data blobs of a repository by one number each: the row in a table of the index. Four bytes stand for a blob, equal blobs have equal
 * numbers, and threads find everything else about it in the same table.
 */
export class DataBlobs {
  readonly memory: BlobTableMemory
  readonly #table: BlobTable
  readonly #scratch = Buffer.alloc(ID_BYTES)

  constructor(memory: BlobTableMemory) {
    this.memory = memory
    this.#table = new BlobTable(memory)
  }

  static ofIndex(index: MasterIndex): DataBlobs {
    return new DataBlobs(index.table('data').memory)
  }

  /** NO_ROW when no index knows the blob. */
  find(id: Id): number {
    this.#scratch.write(id, 'hex')
    const row = this.#table.find(this.#scratch)
    return row < 0 ? NO_ROW : row
  }

  id(row: number): Id {
    return this.#table.idHex(row)
  }

  /** Whether `digest` is the blob's id. */
  isId(row: number, digest: Uint8Array): boolean {
    const { ids } = this.#table
    const start = row * ID_BYTES
    for (let i = 0; i < ID_BYTES; i++) if (ids[start + i] !== digest[i]) return false
    return true
  }

  /** Number of the pack it lies in. */
  pack(row: number): number {
    return this.#table.pack(row)
  }

  /** Where it begins in its pack. */
  offset(row: number): number {
    return this.#table.offset(row)
  }

  /** Stored bytes. */
  length(row: number): number {
    return this.#table.length(row)
  }

  /** 0 when it is stored as it is. */
  uncompressedLength(row: number): number {
    return this.#table.uncompressedLength(row)
  }

  plaintextLength(row: number): number {
    const length = this.#table.length(row)
    return plaintextLengthOf({ length, uncompressedLength: this.#table.uncompressedLength(row) })
  }
}
