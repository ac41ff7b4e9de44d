import { HoldfastError } from '../../lib/errors.ts'
import type { Id } from '../../lib/id.ts'
import { BlobLoader } from './blob-loader.ts'
import type { Repository } from './repository.ts'
import { decodePackedTree, decodeTree, type Tree, type TreeOf } from './tree/decode-tree.ts'

/** Loads trees one after the other, as walks need them. Close it after use. */
export class TreeLoader {
  readonly #blobs: BlobLoader

  constructor(repository: Repository) {
    this.#blobs = new BlobLoader(repository, 'tree')
  }

  /** @throws HoldfastError HF_BLOB_NOT_FOUND, HF_PACK_DAMAGED, HF_TREE_INVALID, storage errors */
  async load(id: Id, signal?: AbortSignal): Promise<Tree> {
    return decodeTree(await this.loadBytes(id, signal), id)
  }

  /** As `load`, with lists of blobs as bytes. */
  async loadPacked(id: Id, signal?: AbortSignal): Promise<TreeOf<Uint8Array>> {
    return decodePackedTree(await this.loadBytes(id, signal), id)
  }

  /** As `load`, the bytes of the tree blob. */
  async loadBytes(id: Id, signal?: AbortSignal): Promise<Uint8Array> {
    return await this.#blobs.load(id, signal)
  }

  /** The tree if it can be had without waiting and is intact; otherwise undefined, and `load` may still find it elsewhere. */
  loadAtHand(id: Id): Tree | undefined {
    const plaintext = this.loadBytesAtHand(id)
    try {
      return plaintext && decodeTree(plaintext, id)
    } catch (error) {
      // `load` tells what is wrong with it.
      if (error instanceof HoldfastError) return undefined
      throw error
    }
  }

  /** As `loadAtHand`, the bytes of the tree blob. */
  loadBytesAtHand(id: Id): Uint8Array | undefined {
    return this.#blobs.loadAtHand(id)
  }

  /** Whether `loadAtHand` finds the tree, unless it is damaged. */
  isAtHand(id: Id): boolean {
    return this.#blobs.isAtHand(id)
  }

  close(): void {
    this.#blobs.close()
  }
}
