import { type BlobType, blobTypes } from '../blob.ts'
import type { MasterIndex } from '../index/master-index.ts'
import { entryBytes, PACK_FRAME_BYTES } from '../pack/header.ts'
import type { UsedBlobs } from '../used-blobs.ts'
import type { PruneStats } from './prune-plan.ts'

/** How much of one pack is in use; the header counts as used. */
export interface PackUsage {
  usedBlobs: number
  unusedBlobs: number
  /** Those of `unusedBlobs` that are in use but also lie elsewhere. */
  duplicateBlobs: number
  usedBytes: number
  unusedBytes: number
  /** `mixed`: both types in one pack, as old versions wrote. */
  type: BlobType | 'mixed' | undefined
  hasUncompressed: boolean
}

/**
 * Usage of all packs, by pack number. Of a blob that lies in several packs one copy counts as used: preferably in a pack that is kept
 * anyway or that holds nothing but such copies (the work of an interrupted prune), else the last one.
 */
export function measurePacks(index: MasterIndex, used: UsedBlobs, stats: PruneStats): PackUsage[] {
  const packs: PackUsage[] = Array.from({ length: index.packCount }, () => ({
    usedBlobs: 0,
    unusedBlobs: 0,
    duplicateBlobs: 0,
    usedBytes: PACK_FRAME_BYTES,
    unusedBytes: 0,
    type: undefined,
    hasUncompressed: false,
  }))
  const duplicates: { type: BlobType; first: number; end: number }[] = []
  for (const type of blobTypes) {
    const table = used.tables[type]
    for (let first = 0; first < table.count; ) {
      let end = first + 1
      while (table.repeats(end)) end++
      const inUse = used.marks[type][first] === 1
      if (inUse && end - first > 1) duplicates.push({ type, first, end })
      for (let row = first; row < end; row++) {
        const pack = packs[table.pack(row)]!
        const bytes = table.length(row)
        pack.type = pack.type === undefined || pack.type === type ? type : 'mixed'
        pack.usedBytes += entryBytes(table.uncompressedLength(row))
        if (table.uncompressedLength(row) === 0) pack.hasUncompressed = true
        if (inUse && end - first === 1) {
          pack.usedBlobs++
          pack.usedBytes += bytes
          stats.blobs.used++
          stats.bytes.used += bytes
        } else {
          pack.unusedBlobs++
          pack.unusedBytes += bytes
          if (inUse) pack.duplicateBlobs++
          stats.blobs[inUse ? 'duplicate' : 'unused']++
          stats.bytes[inUse ? 'duplicate' : 'unused'] += bytes
        }
      }
      first = end
    }
  }
  for (const { type, first, end } of duplicates) {
    const table = used.tables[type]
    let chosen = end - 1
    for (let row = first; row < end; row++) {
      const pack = packs[table.pack(row)]!
      if (pack.usedBlobs > 0 || pack.duplicateBlobs === pack.unusedBlobs) {
        chosen = row
        break
      }
    }
    const pack = packs[table.pack(chosen)]!
    const bytes = table.length(chosen)
    pack.usedBlobs++
    pack.usedBytes += bytes
    pack.unusedBlobs--
    pack.unusedBytes -= bytes
    pack.duplicateBlobs--
    stats.blobs.used++
    stats.bytes.used += bytes
    stats.blobs.duplicate--
    stats.bytes.duplicate -= bytes
  }
  return packs
}
