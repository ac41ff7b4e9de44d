import { fromUtf8, utf8 } from '../../../lib/bytes.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import { type Id, isId } from '../../../lib/id.ts'
import { BlobRows, type PackListing } from '../pack/blob-rows.ts'
import type { PackEntry } from '../pack/header.ts'

/** One pack and all its blobs, as an index file lists them. */
export interface IndexedPack {
  readonly pack: Id
  readonly blobs: readonly PackEntry[]
}

/** An index file is written out when it holds this many blobs ... */
export const FULL_INDEX_BLOBS = 50_000
/** ... or when this much time has passed, so that an interrupted run loses little. */
export const FULL_INDEX_AGE_MS: number = 10 * 60 * 1000

/** The JSON of an index file (restic's format, "Indexing"), with its final newline. */
export function encodeIndex(packs: Iterable<PackListing>): Uint8Array {
  const listed: string[] = []
  for (const { pack, rows } of packs) {
    const blobs = new BlobRows(rows)
    const parts: string[] = []
    for (let row = 0; row < blobs.count; row++) {
      const uncompressed = blobs.uncompressedLength(row)
      const length = `"offset":${blobs.offset(row)},"length":${blobs.length(row)}`
      const rest = uncompressed > 0 ? `,"uncompressed_length":${uncompressed}` : ''
      parts.push(`{"id":"${blobs.id(row)}","type":"${blobs.type(row)}",${length}${rest}}`)
    }
    listed.push(`{"id":"${pack}","blobs":[${parts.join(',')}]}`)
  }
  return utf8(`{"packs":[${listed.join(',')}]}\n`)
}

/**
 * Decodes an index file and calls `visit` for each pack, in order.
 * @throws HoldfastError HF_DATA_DAMAGED when anything in it is not as the format says; `name` is for the message.
 */
export function decodeIndex(json: Uint8Array, name: Id, visit: (pack: IndexedPack) => void): void {
  const damaged = (what: string, cause?: unknown): HoldfastError =>
    new HoldfastError('HF_DATA_DAMAGED', `index ${name} ${what}`, { cause, hint: 'run "holdfast repair index"' })
  let root: { packs?: unknown }
  try {
    root = JSON.parse(fromUtf8(json))
  } catch (cause) {
    throw damaged('is not JSON', cause)
  }
  if (root === null || typeof root !== 'object' || Array.isArray(root)) throw damaged('is not a JSON object')
  const packs = root.packs ?? []
  if (!Array.isArray(packs)) throw damaged('has no list of packs')
  for (const pack of packs as { id?: unknown; blobs?: unknown }[]) {
    if (typeof pack?.id !== 'string' || !isId(pack.id)) throw damaged('lists a pack without a valid id')
    const list = pack.blobs ?? []
    if (!Array.isArray(list)) throw damaged(`has no list of blobs for pack ${pack.id}`)
    const blobs: PackEntry[] = []
    for (const blob of list as (Partial<
      Record<'id' | 'type' | 'offset' | 'length' | 'uncompressed_length', unknown>
    > | null)[]) {
      const { id, type, offset, length, uncompressed_length: uncompressedLength = 0 } = blob ?? {}
      if (typeof id !== 'string' || !isId(id)) throw damaged(`lists a blob without a valid id in pack ${pack.id}`)
      if (type !== 'data' && type !== 'tree') throw damaged(`gives blob ${id} the unknown type ${JSON.stringify(type)}`)
      if (!isUint32(offset) || !isUint32(length) || !isUint32(uncompressedLength))
        throw damaged(`gives blob ${id} an impossible place in pack ${pack.id}`)
      blobs.push({ type, id, offset, length, uncompressedLength })
    }
    visit({ pack: pack.id, blobs })
  }
}

const isUint32 = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0xffff_ffff
