import { ID_BYTES } from '../../../lib/id.ts'
import { type PackListing, ROW_BYTES } from '../pack/blob-rows.ts'

/** Per pack: its id, the number of rows, the rows. */
const PACK_BYTES = ID_BYTES + 4

/** A decoded index file as bytes, for the local cache. */
export function encodeListings(packs: readonly PackListing[]): Uint8Array {
  const bytes = Buffer.alloc(packs.reduce((sum, { rows }) => sum + PACK_BYTES + rows.length, 0))
  let at = 0
  for (const { pack, rows } of packs) {
    at += bytes.write(pack, at, 'hex')
    at = bytes.writeUInt32LE(rows.length / ROW_BYTES, at)
    bytes.set(rows, at)
    at += rows.length
  }
  return bytes
}

/** What `encodeListings` made, over the same memory; undefined when it is not whole. */
export function decodeListings(encoded: Uint8Array): PackListing[] | undefined {
  const bytes = Buffer.from(encoded.buffer, encoded.byteOffset, encoded.byteLength)
  const packs: PackListing[] = []
  for (let at = 0; at < bytes.length; ) {
    if (at + PACK_BYTES > bytes.length) return undefined
    const end = at + PACK_BYTES + bytes.readUInt32LE(at + ID_BYTES) * ROW_BYTES
    if (end > bytes.length) return undefined
    packs.push({ pack: bytes.toString('hex', at, at + ID_BYTES), rows: bytes.subarray(at + PACK_BYTES, end) })
    at = end
  }
  return packs
}
