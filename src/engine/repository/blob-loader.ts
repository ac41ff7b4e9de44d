import type { Id } from '../../lib/id.ts'
import type { BlobType } from './blob.ts'
import { PackWindows } from './pack-windows.ts'
import type { Repository } from './repository.ts'

/**
 * Loads blobs of one type, one after the other, in nearly the order in which they lie. From a repository on this machine it reads
 * synchronously from packs it keeps open, in pieces larger than a blob, which for small blobs is many times faster than a promise each. Close
 * it after use.
 */
export class BlobLoader {
  readonly #repository: Repository
  readonly #type: BlobType
  readonly #packs: PackWindows | undefined

  constructor(repository: Repository, type: BlobType) {
    this.#repository = repository
    this.#type = type
    const { directory } = repository.storage.properties
    this.#packs = directory && new PackWindows(directory.path)
  }

  /** Plaintext of a blob. @throws HoldfastError HF_BLOB_NOT_FOUND, HF_PACK_DAMAGED, storage errors */
  async load(id: Id, signal?: AbortSignal): Promise<Uint8Array> {
    return this.loadAtHand(id) ?? (await this.#repository.loadBlob(this.#type, id, signal))
  }

  /** The blob if it can be had without waiting and is intact; otherwise undefined, and `load` may still find it elsewhere. */
  loadAtHand(id: Id): Uint8Array | undefined {
    const location = this.#repository.index.find(this.#type, id)
    if (!location || !this.#packs) return undefined
    try {
      return this.#repository.openBlob(this.#type, id, location, this.#packs.read(location))
    } catch {
      return undefined
    }
  }

  close(): void {
    this.#packs?.close()
  }
}
