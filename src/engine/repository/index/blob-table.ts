import { ID_BYTES } from '../../../lib/id.ts'
import { CRYPTO_OVERHEAD_BYTES } from '../../kernels/cipher.ts'

/** Words per entry beside the id: pack number, offset, stored length, uncompressed length. */
const FIELDS = 4

/** Plain arrays on shared memory, so that worker threads read the same table without a copy. */
export interface BlobTableMemory {
  readonly count: number
  /** `count` ids, ascending. */
  readonly ids: SharedArrayBuffer
  /** `count` times: pack number, offset, stored length, uncompressed length (0: stored as it is). */
  readonly fields: SharedArrayBuffer
}

/** Rows in the making; `reserve` then fill, or `append` one by one. */
export class BlobTableBuilder {
  #ids: Uint8Array
  #fields: Uint32Array
  count = 0

  constructor(capacity = 1024) {
    this.#ids = new Uint8Array(capacity * ID_BYTES)
    this.#fields = new Uint32Array(capacity * FIELDS)
  }

  /** Adds a row whose id is the 32 bytes of `source` at `at`. */
  append(
    source: Uint8Array,
    at: number,
    pack: number,
    offset: number,
    length: number,
    uncompressedLength: number,
  ): void {
    const row = this.#next()
    const to = row * ID_BYTES
    for (let i = 0; i < ID_BYTES; i++) this.#ids[to + i] = source[at + i]!
    this.#setFields(row, pack, offset, length, uncompressedLength)
  }

  /** Adds all rows of `table` for whose pack number `keepPack` gives true. */
  appendTable(table: BlobTable, keepPack: (pack: number) => boolean = () => true): void {
    for (let row = 0; row < table.count; row++) {
      if (!keepPack(table.pack(row))) continue
      this.append(
        table.ids,
        row * ID_BYTES,
        table.pack(row),
        table.offset(row),
        table.length(row),
        table.uncompressedLength(row),
      )
    }
  }

  /** The sorted table; the builder is empty afterwards. */
  build(): BlobTable {
    const { count } = this
    const order = sortedOrder(this.#ids, count)
    const ids = new SharedArrayBuffer(count * ID_BYTES)
    const fields = new SharedArrayBuffer(count * FIELDS * 4)
    const idWords = new Int32Array(ids)
    const fromWords = new Int32Array(this.#ids.buffer, 0, count * (ID_BYTES / 4))
    const fieldWords = new Uint32Array(fields)
    for (let row = 0; row < count; row++) {
      const from = order[row]!
      for (let i = 0; i < ID_BYTES / 4; i++) idWords[row * 8 + i] = fromWords[from * 8 + i]!
      for (let i = 0; i < FIELDS; i++) fieldWords[row * FIELDS + i] = this.#fields[from * FIELDS + i]!
    }
    this.count = 0
    this.#ids = new Uint8Array(1024 * ID_BYTES)
    this.#fields = new Uint32Array(1024 * FIELDS)
    return new BlobTable({ count, ids, fields })
  }

  #next(): number {
    if ((this.count + 1) * ID_BYTES > this.#ids.length) {
      const ids = new Uint8Array(this.#ids.length * 2)
      ids.set(this.#ids)
      this.#ids = ids
      const fields = new Uint32Array(this.#fields.length * 2)
      fields.set(this.#fields)
      this.#fields = fields
    }
    return this.count++
  }

  #setFields(row: number, pack: number, offset: number, length: number, uncompressedLength: number): void {
    const at = row * FIELDS
    this.#fields[at] = pack
    this.#fields[at + 1] = offset
    this.#fields[at + 2] = length
    this.#fields[at + 3] = uncompressedLength
  }
}

/**
 * An immutable table of blob locations sorted by id, 48 bytes a row. A lookup goes to the few rows that share the first bytes of the id,
 * which as parts of a SHA-256 are evenly spread, and searches among them.
 */
export class BlobTable {
  readonly memory: BlobTableMemory
  readonly count: number
  readonly ids: Uint8Array
  readonly #fields: Uint32Array
  /** By the first two bytes of an id: the first row that begins so, or the row where it would stand. Absent in a small table. */
  readonly #starts: Uint32Array | undefined

  constructor(memory: BlobTableMemory) {
    this.memory = memory
    this.count = memory.count
    this.ids = new Uint8Array(memory.ids)
    this.#fields = new Uint32Array(memory.fields)
    this.#starts = this.count < LEAST_ROWS_FOR_BUCKETS ? undefined : bucketStarts(this.ids, this.count)
  }

  /** The first row with the id that `source` has at `at`, or -1. Equal ids lie side by side. */
  find(source: Uint8Array, at = 0): number {
    const { ids, count } = this
    if (count === 0) return -1
    const prefix = prefixOf(source, at)
    const bucket = prefix >>> 16
    let low = this.#starts?.[bucket] ?? 0
    let high = this.#starts?.[bucket + 1] ?? count
    while (low < high) {
      const middle = (low + high) >>> 1
      const found = prefixOf(ids, middle * ID_BYTES)
      if (found < prefix || (found === prefix && compareIds(ids, middle * ID_BYTES, source, at) < 0)) low = middle + 1
      else high = middle
    }
    return low < count && compareIds(ids, low * ID_BYTES, source, at) === 0 ? low : -1
  }

  /** Whether `row` has the same id as the row before it. */
  repeats(row: number): boolean {
    return row > 0 && row < this.count && compareIds(this.ids, (row - 1) * ID_BYTES, this.ids, row * ID_BYTES) === 0
  }

  pack(row: number): number {
    return this.#fields[row * FIELDS]!
  }

  offset(row: number): number {
    return this.#fields[row * FIELDS + 1]!
  }

  length(row: number): number {
    return this.#fields[row * FIELDS + 2]!
  }

  uncompressedLength(row: number): number {
    return this.#fields[row * FIELDS + 3]!
  }

  plaintextLength(row: number): number {
    return this.uncompressedLength(row) || this.length(row) - CRYPTO_OVERHEAD_BYTES
  }

  idHex(row: number): string {
    return Buffer.from(this.memory.ids, row * ID_BYTES, ID_BYTES).toString('hex')
  }
}

/** The first four bytes of an id as a number. */
function prefixOf(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
}

function compareIds(a: Uint8Array, aAt: number, b: Uint8Array, bAt: number): number {
  for (let i = 0; i < ID_BYTES; i++) {
    const difference = a[aAt + i]! - b[bAt + i]!
    if (difference !== 0) return difference
  }
  return 0
}

const BUCKETS = 65536
/** Fewer are found as quickly without, and tables of single packs are small. */
const LEAST_ROWS_FOR_BUCKETS = 4096

function bucketStarts(ids: Uint8Array, count: number): Uint32Array {
  const starts = new Uint32Array(BUCKETS + 1)
  for (let row = 0; row < count; row++) starts[digit(ids, row, 0) + 1]!++
  for (let bucket = 1; bucket <= BUCKETS; bucket++) starts[bucket]! += starts[bucket - 1]!
  return starts
}

/** Up to so many rows, so few share their first two bytes that the second pass of the sort costs more than it saves. */
const MOST_ROWS_FOR_ONE_PASS = 4 * BUCKETS

/** Row numbers in ascending order of id: a radix sort by the first bytes, then insertion among the few that share them. */
function sortedOrder(ids: Uint8Array, count: number): Uint32Array {
  let order = new Uint32Array(count)
  let next = new Uint32Array(count)
  for (let row = 0; row < count; row++) order[row] = row
  const starts = new Uint32Array(BUCKETS + 1)
  for (const byte of count <= MOST_ROWS_FOR_ONE_PASS ? [0] : [2, 0]) {
    starts.fill(0)
    for (let i = 0; i < count; i++) starts[digit(ids, i, byte) + 1]!++
    for (let d = 1; d <= BUCKETS; d++) starts[d]! += starts[d - 1]!
    for (let i = 0; i < count; i++) {
      const row = order[i]!
      next[starts[digit(ids, row, byte)]!++] = row
    }
    ;[order, next] = [next, order]
  }
  for (let i = 1; i < count; i++) {
    const row = order[i]!
    let j = i
    while (j > 0 && compareIds(ids, order[j - 1]! * ID_BYTES, ids, row * ID_BYTES) > 0) {
      order[j] = order[j - 1]!
      j--
    }
    order[j] = row
  }
  return order
}

const digit = (ids: Uint8Array, row: number, byte: number): number =>
  (ids[row * ID_BYTES + byte]! << 8) | ids[row * ID_BYTES + byte + 1]!
