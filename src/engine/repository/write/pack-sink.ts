import type { BlobType } from '../blob.ts'
import type { PackListing } from '../pack/blob-rows.ts'
import type { FinishedPack } from '../pack/pack-writer.ts'

/** Follows the packs that a run stores, so that they can go elsewhere as well without being made again. */
export interface PackSink {
  /**
   * Keeps the content of a pack that is about to be stored, and may take its time: the run waits. Not called for packs that threads write into
   * the repository's own directory. The memory of `bytes` is used again afterwards.
   *
   * Never fails: what could not be kept is read back from the repository.
   */
  readonly keep?: (pack: FinishedPack) => Promise<void>
  /** A pack is stored durably. Its index file may come later. Must not throw. */
  readonly onStored: (pack: PackListing & { readonly type: BlobType }) => void
}
