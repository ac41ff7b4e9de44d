import { ID_BYTES, type Id } from '../../../lib/id.ts'
import type { BlobType } from '../blob.ts'
import type { PackEntry } from './header.ts'

/**
 * A dense form of "blobs of a pack", for what is made in bulk: passed between threads, written to index files, kept in the local cache.
 * Per blob ROW_BYTES: id, type (0 data, 1 tree), offset, stored length, uncompressed length; integers little-endian.
 */
export const ROW_BYTES: number = ID_BYTES + 1 + 3 * 4

const TYPE_AT = ID_BYTES
const OFFSET_AT = TYPE_AT + 1
const LENGTH_AT = OFFSET_AT + 4
const UNCOMPRESSED_AT = LENGTH_AT + 4

/** A pack and its blobs. */
export interface PackListing {
  readonly pack: Id
  /** Whole rows. */
  readonly rows: Uint8Array
}

export const rowCount = (rows: Uint8Array): number => rows.length / ROW_BYTES

/** Reads single fields of rows without making objects. */
export class BlobRows {
  readonly bytes: Buffer
  readonly count: number

  constructor(rows: Uint8Array) {
    this.bytes = Buffer.from(rows.buffer, rows.byteOffset, rows.byteLength)
    this.count = rowCount(rows)
  }

  type(row: number): BlobType {
    return this.bytes[row * ROW_BYTES + TYPE_AT] === 1 ? 'tree' : 'data'
  }

  /** Where the id of `row` begins in `bytes`. */
  idAt(row: number): number {
    return row * ROW_BYTES
  }

  id(row: number): Id {
    return this.bytes.toString('hex', row * ROW_BYTES, row * ROW_BYTES + ID_BYTES)
  }

  offset(row: number): number {
    return this.bytes.readUInt32LE(row * ROW_BYTES + OFFSET_AT)
  }

  length(row: number): number {
    return this.bytes.readUInt32LE(row * ROW_BYTES + LENGTH_AT)
  }

  uncompressedLength(row: number): number {
    return this.bytes.readUInt32LE(row * ROW_BYTES + UNCOMPRESSED_AT)
  }

  entry(row: number): PackEntry {
    return {
      type: this.type(row),
      id: this.id(row),
      offset: this.offset(row),
      length: this.length(row),
      uncompressedLength: this.uncompressedLength(row),
    }
  }
}

/** Collects rows. */
export class BlobRowsBuilder {
  #bytes = Buffer.alloc(64 * ROW_BYTES)
  count = 0

  /** Adds a blob whose id is the 32 bytes of `id` at `idAt`. */
  append(
    type: BlobType,
    id: Uint8Array,
    idAt: number,
    offset: number,
    length: number,
    uncompressedLength: number,
  ): void {
    const at = this.count++ * ROW_BYTES
    if (at === this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes, Buffer.alloc(at)])
    for (let i = 0; i < ID_BYTES; i++) this.#bytes[at + i] = id[idAt + i]!
    this.#bytes[at + TYPE_AT] = type === 'tree' ? 1 : 0
    this.#bytes.writeUInt32LE(offset, at + OFFSET_AT)
    this.#bytes.writeUInt32LE(length, at + LENGTH_AT)
    this.#bytes.writeUInt32LE(uncompressedLength, at + UNCOMPRESSED_AT)
  }

  /** The rows so far, in memory of their own; the builder is empty afterwards. */
  take(): Uint8Array {
    const rows = new Uint8Array(this.#bytes.subarray(0, this.count * ROW_BYTES))
    this.count = 0
    return rows
  }
}

/** Rows of `entries`. */
export function rowsOf(entries: readonly PackEntry[]): Uint8Array {
  const builder = new BlobRowsBuilder()
  for (const { type, id, offset, length, uncompressedLength } of entries)
    builder.append(type, Buffer.from(id, 'hex'), 0, offset, length, uncompressedLength)
  return builder.take()
}

/** `rows` as objects. */
export function entriesOf(rows: Uint8Array): PackEntry[] {
  const reader = new BlobRows(rows)
  return Array.from({ length: reader.count }, (_, row) => reader.entry(row))
}
