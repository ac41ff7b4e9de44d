import { ID_BYTES, type Id } from '../../../lib/id.ts'
import type { PackEntry } from '../pack/header.ts'
import type { IndexedPack } from './index-file.ts'

/**
 * An index file in decoded, dense form, for the local cache. Per pack: its id, the number of blobs; per blob: id, type (0 data, 1 tree),
 * offset, stored length, uncompressed length. Integers little-endian.
 */
const PACK_BYTES = ID_BYTES + 4
export const ROW_BYTES: number = ID_BYTES + 1 + 3 * 4

export function packIndex(packs: readonly IndexedPack[]): Uint8Array {
  const size = packs.reduce((sum, pack) => sum + PACK_BYTES + pack.blobs.length * ROW_BYTES, 0)
  const bytes = Buffer.alloc(size)
  let at = 0
  for (const { pack, blobs } of packs) {
    at += bytes.write(pack, at, 'hex')
    at = bytes.writeUInt32LE(blobs.length, at)
    for (const blob of blobs) {
      at += bytes.write(blob.id, at, 'hex')
      bytes[at] = blob.type === 'tree' ? 1 : 0
      at = bytes.writeUInt32LE(blob.offset, at + 1)
      at = bytes.writeUInt32LE(blob.length, at)
      at = bytes.writeUInt32LE(blob.uncompressedLength, at)
    }
  }
  return bytes
}

/** The blobs of one pack as dense rows of ROW_BYTES each, inside `bytes`. */
export interface PackedRows {
  readonly pack: Id
  readonly bytes: Buffer
  readonly start: number
  readonly count: number
}

/** Walks over what `packIndex` made; undefined when it is not whole. */
export function unpackIndex(packed: Uint8Array): PackedRows[] | undefined {
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength)
  const packs: PackedRows[] = []
  let at = 0
  while (at < bytes.length) {
    if (at + PACK_BYTES > bytes.length) return undefined
    const pack = bytes.toString('hex', at, at + ID_BYTES)
    const count = bytes.readUInt32LE(at + ID_BYTES)
    at += PACK_BYTES
    if (at + count * ROW_BYTES > bytes.length) return undefined
    packs.push({ pack, bytes, start: at, count })
    at += count * ROW_BYTES
  }
  return packs
}

/** The same pack as objects. */
export function expandRows({ pack, bytes, start, count }: PackedRows): IndexedPack {
  const blobs: PackEntry[] = []
  for (let i = 0, at = start; i < count; i++, at += ROW_BYTES)
    blobs.push({
      id: bytes.toString('hex', at, at + ID_BYTES),
      type: bytes[at + ID_BYTES] === 1 ? 'tree' : 'data',
      offset: bytes.readUInt32LE(at + ID_BYTES + 1),
      length: bytes.readUInt32LE(at + ID_BYTES + 5),
      uncompressedLength: bytes.readUInt32LE(at + ID_BYTES + 9),
    })
  return { pack, blobs }
}
