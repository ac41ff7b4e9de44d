import { HoldfastError } from '../../../lib/errors.ts'
import { ID_BYTES, type Id } from '../../../lib/id.ts'
import { CRYPTO_OVERHEAD_BYTES } from '../../kernels/cipher.ts'
import type { BlobType } from '../blob.ts'
import { BlobRows, BlobRowsBuilder, entriesOf } from './blob-rows.ts'

/**
 * The list of blobs at the end of a pack (restic's format, "Pack Format"): per blob a type byte, the stored length, for compressed blobs
 * the plaintext length, and the id; integers little-endian. Offsets are not stored, blobs lie one behind the other from 0.
 */
export const PLAIN_ENTRY_BYTES: number = 1 + 4 + ID_BYTES
export const COMPRESSED_ENTRY_BYTES: number = 1 + 4 + 4 + ID_BYTES

/** Sealed header and its length field: what a pack has besides blobs and entries. */
export const PACK_FRAME_BYTES: number = CRYPTO_OVERHEAD_BYTES + 4

/** No sealed header longer than this is ever read. */
export const MAX_HEADER_BYTES: number = 16 * 1024 * 1024 + 4

/** So a writer closes the pack before (409,199 entries). */
export const MAX_PACK_ENTRIES: number = Math.floor((MAX_HEADER_BYTES - PACK_FRAME_BYTES) / COMPRESSED_ENTRY_BYTES)

/** The smallest possible pack: one empty uncompressed blob and the frame. */
export const MIN_PACK_BYTES: number = PLAIN_ENTRY_BYTES + PACK_FRAME_BYTES

/** Offsets are 32-bit numbers wherever they are stored. */
const MAX_OFFSET = 0xffff_ffff

export interface PackEntry {
  readonly type: BlobType
  readonly id: Id
  readonly offset: number
  readonly length: number
  /** 0 for a blob that is not compressed. */
  readonly uncompressedLength: number
}

/** Bytes the header spends on one blob. */
export const entryBytes = (uncompressedLength: number): number =>
  uncompressedLength > 0 ? COMPRESSED_ENTRY_BYTES : PLAIN_ENTRY_BYTES

/** The size a pack with these blobs has as a file. */
export function packBytes(entries: Iterable<{ readonly length: number; readonly uncompressedLength: number }>): number {
  let total = PACK_FRAME_BYTES
  for (const entry of entries) total += entry.length + entryBytes(entry.uncompressedLength)
  return total
}

/** Writes the plaintext header of a pack whose blobs lie one behind the other in the order of `rows`. */
export function encodeHeader(rows: Uint8Array): Uint8Array {
  const blobs = new BlobRows(rows)
  let size = 0
  for (let row = 0; row < blobs.count; row++) size += entryBytes(blobs.uncompressedLength(row))
  const header = Buffer.alloc(size)
  let at = 0
  for (let row = 0; row < blobs.count; row++) {
    const uncompressedLength = blobs.uncompressedLength(row)
    header[at] = (uncompressedLength > 0 ? 2 : 0) + (blobs.type(row) === 'tree' ? 1 : 0)
    at = header.writeUInt32LE(blobs.length(row), at + 1)
    if (uncompressedLength > 0) at = header.writeUInt32LE(uncompressedLength, at)
    at += blobs.bytes.copy(header, at, blobs.idAt(row), blobs.idAt(row) + ID_BYTES)
  }
  return header
}

/**
 * Reads a plaintext header. `pack` is for messages.
 * @throws HoldfastError HF_PACK_DAMAGED when it is not a whole number of known entries.
 */
export const decodeHeader = (header: Uint8Array, pack: Id): PackEntry[] => entriesOf(decodeHeaderRows(header, pack))

/** The same as rows, without an object for each blob. */
export function decodeHeaderRows(header: Uint8Array, pack: Id): Uint8Array {
  const bytes = Buffer.from(header.buffer, header.byteOffset, header.byteLength)
  const rows = new BlobRowsBuilder()
  let offset = 0
  let at = 0
  while (at < bytes.length) {
    const kind = bytes[at]!
    const size = kind >= 2 ? COMPRESSED_ENTRY_BYTES : PLAIN_ENTRY_BYTES
    if (kind > 3) throw damaged(pack, `entry ${rows.count} has the unknown type ${kind}`)
    if (at + size > bytes.length) throw damaged(pack, 'the header ends in the middle of an entry')
    const length = bytes.readUInt32LE(at + 1)
    const uncompressedLength = kind >= 2 ? bytes.readUInt32LE(at + 5) : 0
    if (length < CRYPTO_OVERHEAD_BYTES) throw damaged(pack, `entry ${rows.count} is too short to be sealed`)
    if (kind >= 2 && uncompressedLength === 0)
      throw damaged(pack, `entry ${rows.count} claims an empty compressed blob`)
    if (offset > MAX_OFFSET) throw damaged(pack, `entry ${rows.count} lies beyond the largest offset`)
    rows.append(kind & 1 ? 'tree' : 'data', bytes, at + size - ID_BYTES, offset, length, uncompressedLength)
    offset += length
    at += size
  }
  return rows.take()
}

/**
 * The length of the sealed header from the last four bytes of a pack of `packSize` bytes.
 * @throws HoldfastError HF_PACK_DAMAGED when no valid pack can end like this.
 */
export function sealedHeaderBytes(lengthField: Uint8Array, packSize: number, pack: Id): number {
  const length = Buffer.from(lengthField.buffer, lengthField.byteOffset, 4).readUInt32LE(0)
  if (packSize < MIN_PACK_BYTES) throw damaged(pack, `a file of ${packSize} bytes is too small`)
  if (length < CRYPTO_OVERHEAD_BYTES + PLAIN_ENTRY_BYTES || length > packSize - 4 || length > MAX_HEADER_BYTES)
    throw damaged(pack, `the header length ${length} is impossible in a file of ${packSize} bytes`)
  return length
}

const damaged = (pack: Id, what: string): HoldfastError =>
  new HoldfastError('HF_PACK_DAMAGED', `pack ${pack}: ${what}`, {
    context: { pack },
    hint: 'run "holdfast check --read-data" to see what else is damaged, then "holdfast repair packs"',
  })
