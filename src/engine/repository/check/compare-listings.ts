import { CRYPTO_OVERHEAD_BYTES } from '../../kernels/cipher.ts'
import { entriesOf } from '../pack/blob-rows.ts'
import { entryBytes, type PackEntry } from '../pack/header.ts'
import type { Problems } from './finding.ts'

/** Names what differs between the header of a pack and what the index lists. */
export function compareListings(header: Uint8Array, index: Uint8Array, problems: Problems): void {
  const listed = new Map(entriesOf(index).map((entry) => [textOf(entry), entry]))
  const entries = entriesOf(header)
  const [got, want] = [headerBytes(entries), headerBytes(entriesOf(index))]
  if (got !== want) problems.add(`pack header size does not match, want ${want}, got ${got}`)
  for (const entry of entries)
    if (!listed.delete(textOf(entry)))
      problems.add(`blob ${entry.id} is not contained in index or position is incorrect`)
  for (const { id } of listed.values()) problems.add(`blob ${id} is not in the pack header or position is incorrect`)
}

const textOf = ({ type, id, offset, length, uncompressedLength }: PackEntry): string =>
  `${type} ${id} ${offset} ${length} ${uncompressedLength}`

/** Bytes of a sealed header with these entries. */
const headerBytes = (entries: readonly PackEntry[]): number =>
  entries.reduce((sum, { uncompressedLength }) => sum + entryBytes(uncompressedLength), CRYPTO_OVERHEAD_BYTES)
