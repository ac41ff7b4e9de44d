import type { Id } from '../../lib/id.ts'
import { PackWindows } from './pack-windows.ts'
import type { Repository } from './repository.ts'
import { decodeTree, type Tree } from './tree/decode-tree.ts'

/**
 * Loads trees one after the other, as walks need them. From a repository on this machine it reads synchronously from packs it keeps open, in pieces larger than a blob,
 * which for small blobs is many times faster than a promise each. Close it after use.
 */
export class TreeLoader {
  readonly #repository: Repository
  readonly #packs: PackWindows | undefined

  constructor(repository: Repository) {
    this.#repository = repository
    const { directory } = repository.storage.properties
    this.#packs = directory && new PackWindows(directory.path)
  }

  /** @throws HoldfastError HF_BLOB_NOT_FOUND, HF_PACK_DAMAGED, HF_TREE_INVALID, storage errors */
  async load(id: Id, signal?: AbortSignal): Promise<Tree> {
    return decodeTree(await this.loadBytes(id, signal), id)
  }

  /** As `load`, the bytes of the tree blob. */
  async loadBytes(id: Id, signal?: AbortSignal): Promise<Uint8Array> {
    return this.loadBytesAtHand(id) ?? (await this.#repository.loadBlob('tree', id, signal))
  }

  /** The tree if it can be had without waiting and is intact; otherwise undefined, and `load` may still find it elsewhere. */
  loadAtHand(id: Id): Tree | undefined {
    const plaintext = this.loadBytesAtHand(id)
    return plaintext && decodeTree(plaintext, id)
  }

  /** As `loadAtHand`, the bytes of the tree blob. */
  loadBytesAtHand(id: Id): Uint8Array | undefined {
    const location = this.#repository.index.find('tree', id)
    if (!location || !this.#packs) return undefined
    try {
      return this.#repository.openBlob('tree', id, location, this.#packs.read(location))
    } catch {
      return undefined
    }
  }

  close(): void {
    this.#packs?.close()
  }
}
