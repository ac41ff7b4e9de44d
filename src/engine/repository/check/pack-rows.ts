import { type BlobType, blobTypes } from '../blob.ts'
import { BlobTable, type BlobTableMemory } from '../index/blob-table.ts'
import type { MasterIndex } from '../index/master-index.ts'
import { MAX_PACK_ENTRIES } from '../pack/header.ts'

/** The rows of each pack in one table: those of pack n are `rows[starts[n]]` up to `rows[starts[n + 1]]`. */
interface RowsByPack {
  readonly table: BlobTableMemory
  readonly starts: SharedArrayBuffer
  readonly rows: SharedArrayBuffer
}

/** The index turned around, readable by all threads; four bytes a blob beside the tables. */
export type PackRowsMemory = Readonly<Record<BlobType, RowsByPack>>

/** Blobs of one pack as columns, ascending by offset. */
export interface PackColumns {
  readonly count: number
  readonly tables: Readonly<Record<BlobType, BlobTable>>
  /** Row numbers. Those of trees have TREE_ROW added. */
  readonly rows: Float64Array
}

/** Beyond every row number: a table has fewer than 2^32 rows. */
export const TREE_ROW: number = 2 ** 32

/** A power of two above MAX_PACK_ENTRIES; times an offset it stays exact. */
const MAX_COUNT = 2 ** 20

/** Sorts the rows of both tables by pack. */
export function groupRows(index: MasterIndex): PackRowsMemory {
  const group = (type: BlobType): RowsByPack => {
    const table = index.table(type)
    const starts = new Uint32Array(new SharedArrayBuffer((index.packCount + 2) * 4))
    const rows = new Uint32Array(new SharedArrayBuffer(table.count * 4))
    // Counted two places further, summed, and filled one place further, a start ends up where it belongs.
    for (let row = 0; row < table.count; row++) starts[table.pack(row) + 2]!++
    for (let pack = 2; pack < starts.length; pack++) starts[pack]! += starts[pack - 1]!
    for (let row = 0; row < table.count; row++) rows[starts[table.pack(row) + 1]!++] = row
    return { table: table.memory, starts: starts.buffer as SharedArrayBuffer, rows: rows.buffer as SharedArrayBuffer }
  }
  return { data: group('data'), tree: group('tree') }
}

/** Reads what `groupRows` made, in any thread. */
export class PackRows {
  readonly #tables: Readonly<Record<BlobType, BlobTable>>
  readonly #starts: Readonly<Record<BlobType, Uint32Array>>
  readonly #rows: Readonly<Record<BlobType, Uint32Array>>

  constructor({ data, tree }: PackRowsMemory) {
    this.#tables = { data: new BlobTable(data.table), tree: new BlobTable(tree.table) }
    this.#starts = { data: new Uint32Array(data.starts), tree: new Uint32Array(tree.starts) }
    this.#rows = { data: new Uint32Array(data.rows), tree: new Uint32Array(tree.rows) }
  }

  /** The blobs of the pack with this number; undefined when they are more than a pack can have. */
  columns(pack: number): PackColumns | undefined {
    const count = blobTypes.reduce((sum, type) => sum + this.#starts[type][pack + 1]! - this.#starts[type][pack]!, 0)
    if (count > MAX_PACK_ENTRIES) return undefined
    const unsorted = new Float64Array(count)
    // Offset and position in one number: sorting numbers is many times faster than sorting objects.
    const keys = new Float64Array(count)
    let next = 0
    for (const type of blobTypes) {
      const [starts, rows, table] = [this.#starts[type], this.#rows[type], this.#tables[type]]
      for (let at = starts[pack]!; at < starts[pack + 1]!; at++, next++) {
        const row = rows[at]!
        unsorted[next] = type === 'tree' ? TREE_ROW + row : row
        keys[next] = table.offset(row) * MAX_COUNT + next
      }
    }
    keys.sort()
    return { count, tables: this.#tables, rows: keys.map((key) => unsorted[key % MAX_COUNT]!) }
  }
}
