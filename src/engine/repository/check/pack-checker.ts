import { asBuffer, toHex } from '../../../lib/bytes.ts'
import { ID_BYTES, type Id } from '../../../lib/id.ts'
import { type Cipher, CRYPTO_OVERHEAD_BYTES } from '../../kernels/cipher.ts'
import { hashTogether, type Sha256Job, Sha256Stream } from '../../kernels/sha256.ts'
import { createZstd, type Zstd } from '../../kernels/zstd.ts'
import type { BlobTable } from '../index/blob-table.ts'
import {
  decodeHeader,
  entryBytes,
  MAX_HEADER_BYTES,
  MIN_PACK_BYTES,
  PACK_FRAME_BYTES,
  sealedHeaderBytes,
} from '../pack/header.ts'
import { Problems, reasonOf } from './finding.ts'
import { type PackColumns, type PackRows, TREE_ROW } from './pack-rows.ts'

/** A pack is read in windows of whole blobs up to this size, so that memory stays flat however large packs are. */
const WINDOW_BYTES = 8 * 1024 * 1024

/** Plaintext that is hashed together: enough blobs to keep all lanes busy, little enough to stay near the processor. */
const BATCH_BYTES = 2 * 1024 * 1024
const BATCH_BLOBS = 256

/** The field behind the header that tells its length. */
const LENGTH_BYTES = 4

/** The part of a pack a checker wants next. What it gets must not change until it asks again. */
export interface PackWindow {
  readonly offset: number
  readonly length: number
}

export interface PackToCheck {
  readonly id: Id
  /** The number the index gives it. */
  readonly number: number
  /** Size of the file. */
  readonly sizeBytes: number
}

interface PendingBlob {
  readonly table: BlobTable
  readonly row: number
}

/**
 * Verifies packs: every blob against its id, the header against the index, the file against its name. Keeps its buffers; belongs to one
 * thread and checks one pack at a time.
 */
export class PackChecker {
  readonly #rows: PackRows
  readonly #cipher: Cipher
  readonly #zstd: Zstd = createZstd({ level: 1 })
  readonly #digests: readonly Uint8Array[]
  readonly #pending: PendingBlob[] = []
  readonly #jobs: Sha256Job[] = []
  #plain = new Uint8Array(BATCH_BYTES)
  #compressed = new Uint8Array(BATCH_BYTES)
  #used = 0

  constructor(rows: PackRows, cipher: Cipher) {
    this.#rows = rows
    this.#cipher = cipher
    const digests = new Uint8Array(BATCH_BLOBS * ID_BYTES)
    this.#digests = Array.from({ length: BATCH_BLOBS }, (_, i) => digests.subarray(i * ID_BYTES, (i + 1) * ID_BYTES))
  }

  /** Asks for the whole file, window by window, and returns what is wrong with it. What the caller throws into it ends the check. */
  *check(pack: PackToCheck): Generator<PackWindow, Problems, Uint8Array> {
    const problems = new Problems()
    this.#forgetPending()
    const columns = this.#rows.columns(pack.number)
    if (!columns) {
      problems.add('the index lists more blobs than a pack can have')
      return problems
    }
    const stream = new Sha256Stream()
    const blobsEnd = contiguousBytes(columns)
    let position = 0
    if (blobsEnd === undefined) {
      problems.add('index for pack contains gaps / overlapping blobs')
      yield* this.#checkScattered(columns, pack.sizeBytes, problems)
    } else {
      position = yield* this.#checkContiguous(columns, pack.sizeBytes, stream, problems)
    }
    // What follows the blobs is the header. In a damaged pack it may be anything, as long as memory stays flat.
    const tailStart = Math.max(position, pack.sizeBytes - MAX_HEADER_BYTES - LENGTH_BYTES)
    while (position < tailStart) {
      const length = Math.min(WINDOW_BYTES, tailStart - position)
      stream.update(yield { offset: position, length })
      position += length
    }
    const tail = yield { offset: tailStart, length: pack.sizeBytes - tailStart }
    const name = toHex(stream.update(tail).digest())
    if (name !== pack.id) problems.add(`unexpected pack id ${name}`)
    this.#checkHeader(pack, columns, tail, problems)
    return problems
  }

  /** Reads blobs that lie one behind the other from 0, and hashes the file along with them. Returns where the last whole one ends. */
  *#checkContiguous(
    columns: PackColumns,
    sizeBytes: number,
    stream: Sha256Stream,
    problems: Problems,
  ): Generator<PackWindow, number, Uint8Array> {
    let position = 0
    for (let first = 0; first < columns.count; ) {
      let end = first
      let length = 0
      for (; end < columns.count; end++) {
        const next = lengthOf(columns, end)
        if (position + length + next > sizeBytes || (end > first && length + next > WINDOW_BYTES)) break
        length += next
      }
      if (end === first) {
        for (; end < columns.count; end++) problems.add(`blob ${idOf(columns, end)}: lies beyond the end of the file`)
        break
      }
      const window = yield { offset: position, length }
      let hashed = 0
      let at = 0
      for (let i = first; i < end; i++) {
        const next = lengthOf(columns, i)
        if (!this.#hasRoom(plaintextLengthOf(columns, i))) {
          this.#flush(problems, stream, window.subarray(hashed, at))
          hashed = at
        }
        this.#open(columns, i, window.subarray(at, at + next), problems)
        at += next
      }
      this.#flush(problems, stream, window.subarray(hashed, length))
      position += length
      first = end
    }
    return position
  }

  /** Reads blobs one by one, wherever the index says they are. */
  *#checkScattered(
    columns: PackColumns,
    sizeBytes: number,
    problems: Problems,
  ): Generator<PackWindow, void, Uint8Array> {
    for (let i = 0; i < columns.count; i++) {
      const [table, row] = placeOf(columns, i)
      const [offset, length] = [table.offset(row), table.length(row)]
      if (offset + length > sizeBytes) {
        problems.add(`blob ${table.idHex(row)}: lies beyond the end of the file`)
        continue
      }
      const sealed = yield { offset, length }
      if (!this.#hasRoom(plaintextLengthOf(columns, i))) this.#flush(problems)
      this.#open(columns, i, sealed, problems)
    }
    this.#flush(problems)
  }

  #hasRoom(plaintextBytes: number): boolean {
    return this.#used + plaintextBytes <= this.#plain.length && this.#pending.length < BATCH_BLOBS
  }

  /** Authenticates, decrypts and decompresses a blob; its hash is computed with the next flush. */
  #open(columns: PackColumns, index: number, sealed: Uint8Array, problems: Problems): void {
    const [table, row] = placeOf(columns, index)
    try {
      const length = plaintextLengthOf(columns, index)
      if (length > this.#plain.length) this.#plain = new Uint8Array(length)
      const plain = this.#plain.subarray(this.#used, this.#used + length)
      if (table.uncompressedLength(row) === 0) this.#cipher.open(sealed, plain)
      else {
        if (sealed.length > this.#compressed.length) this.#compressed = new Uint8Array(sealed.length)
        const bytes = this.#cipher.open(sealed, this.#compressed)
        if (this.#zstd.decompress(this.#compressed.subarray(0, bytes), plain) !== length)
          throw new RangeError('it is shorter than the index says')
      }
      this.#jobs.push({ bytes: plain, digest: this.#digests[this.#pending.length]! })
      this.#pending.push({ table, row })
      this.#used += length
    } catch (error) {
      problems.add(`blob ${table.idHex(row)}: ${reasonOf(error)}`)
    }
  }

  /** Hashes what is pending, side by side with the stretch of the file it was in. */
  #flush(problems: Problems, stream?: Sha256Stream, stretch?: Uint8Array): void {
    const pending = this.#pending
    if (stream && stretch) this.#jobs.push({ bytes: stretch, stream })
    hashTogether(this.#jobs)
    for (let i = 0; i < pending.length; i++) {
      const { table, row } = pending[i]!
      if (!isSameId(table.ids, row * ID_BYTES, this.#digests[i]!, 0))
        problems.add(`blob ${table.idHex(row)}: does not have the content its id stands for`)
    }
    this.#forgetPending()
    if (this.#plain.length > BATCH_BYTES * 4) this.#plain = new Uint8Array(BATCH_BYTES)
  }

  #forgetPending(): void {
    this.#pending.length = 0
    this.#jobs.length = 0
    this.#used = 0
  }

  /** `tail` is the end of the file, long enough for every valid header. */
  #checkHeader(pack: PackToCheck, columns: PackColumns, tail: Uint8Array, problems: Problems): void {
    if (pack.sizeBytes < MIN_PACK_BYTES) {
      problems.add(`pack header: there is no room for one in ${pack.sizeBytes} bytes`)
      return
    }
    let header: Uint8Array
    try {
      const length = sealedHeaderBytes(tail.subarray(-LENGTH_BYTES), pack.sizeBytes, pack.id)
      header = new Uint8Array(length - CRYPTO_OVERHEAD_BYTES)
      const end = tail.length - LENGTH_BYTES
      // A header may only be as long as to reach into what has been read as blobs when it is damaged.
      if (length > end) throw new RangeError(`it is said to have ${length} bytes, ${end} are left`)
      this.#cipher.open(tail.subarray(end - length, end), header)
    } catch (error) {
      problems.add(`pack header: ${reasonOf(error)}`)
      return
    }
    if (headerMatches(asBuffer(header), columns)) return
    try {
      compareEntries(header, pack.id, columns, problems)
    } catch (error) {
      problems.add(`pack header: ${reasonOf(error)}`)
    }
  }
}

/** Whether a plaintext header says of all blobs what the index says. */
function headerMatches(header: Buffer, columns: PackColumns): boolean {
  let at = 0
  let offset = 0
  for (let i = 0; i < columns.count; i++) {
    const [table, row] = placeOf(columns, i)
    const uncompressedLength = table.uncompressedLength(row)
    const end = at + entryBytes(uncompressedLength)
    if (end > header.length || table.offset(row) !== offset) return false
    const kind = (uncompressedLength > 0 ? 2 : 0) + (isTree(columns, i) ? 1 : 0)
    if (header[at] !== kind || header.readUInt32LE(at + 1) !== table.length(row)) return false
    if (uncompressedLength > 0 && header.readUInt32LE(at + 5) !== uncompressedLength) return false
    if (!isSameId(table.ids, row * ID_BYTES, header, end - ID_BYTES)) return false
    offset += table.length(row)
    at = end
  }
  return at === header.length
}

/** Names what differs between header and index. */
function compareEntries(header: Uint8Array, pack: Id, columns: PackColumns, problems: Problems): void {
  const entryText = (type: string, id: Id, offset: number, length: number, uncompressedLength: number): string =>
    `${type} ${id} ${offset} ${length} ${uncompressedLength}`
  const listed = new Set<string>()
  let listedBytes = PACK_FRAME_BYTES - LENGTH_BYTES
  for (let i = 0; i < columns.count; i++) {
    const [table, row] = placeOf(columns, i)
    const uncompressedLength = table.uncompressedLength(row)
    listedBytes += entryBytes(uncompressedLength)
    const type = isTree(columns, i) ? 'tree' : 'data'
    listed.add(entryText(type, table.idHex(row), table.offset(row), table.length(row), uncompressedLength))
  }
  const storedBytes = header.length + CRYPTO_OVERHEAD_BYTES
  if (storedBytes !== listedBytes)
    problems.add(`pack header size does not match, want ${listedBytes}, got ${storedBytes}`)
  for (const { type, id, offset, length, uncompressedLength } of decodeHeader(header, pack))
    if (!listed.delete(entryText(type, id, offset, length, uncompressedLength)))
      problems.add(`blob ${id} is not contained in index or position is incorrect`)
  for (const entry of listed)
    problems.add(`blob ${entry.split(' ')[1]} is not in the pack header or position is incorrect`)
}

/** Bytes of the blobs when they lie one behind the other from 0 as they should; undefined when they do not. */
function contiguousBytes(columns: PackColumns): number | undefined {
  let position = 0
  for (let i = 0; i < columns.count; i++) {
    const [table, row] = placeOf(columns, i)
    if (table.offset(row) !== position) return undefined
    position += table.length(row)
  }
  return position
}

const isTree = ({ rows }: PackColumns, index: number): boolean => rows[index]! >= TREE_ROW

function placeOf({ tables, rows }: PackColumns, index: number): readonly [BlobTable, number] {
  const row = rows[index]!
  return row >= TREE_ROW ? [tables.tree, row - TREE_ROW] : [tables.data, row]
}

function lengthOf(columns: PackColumns, index: number): number {
  const [table, row] = placeOf(columns, index)
  return table.length(row)
}

function idOf(columns: PackColumns, index: number): Id {
  const [table, row] = placeOf(columns, index)
  return table.idHex(row)
}

function plaintextLengthOf(columns: PackColumns, index: number): number {
  const [table, row] = placeOf(columns, index)
  const uncompressedLength = table.uncompressedLength(row)
  return uncompressedLength > 0 ? uncompressedLength : Math.max(0, table.length(row) - CRYPTO_OVERHEAD_BYTES)
}

function isSameId(ids: Uint8Array, at: number, other: Uint8Array, otherAt: number): boolean {
  for (let i = 0; i < ID_BYTES; i++) if (ids[at + i] !== other[otherAt + i]) return false
  return true
}
