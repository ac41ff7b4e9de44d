import type { Id } from '../../lib/id.ts'
import type { BlobType } from './blob.ts'
import { PackWindows } from './pack-windows.ts'
import type { BlobRoom, Repository } from './repository.ts'

/** Memory that is used again: what was opened in it is valid until the next blob. */
export class ReusedRoom implements BlobRoom {
  #opened = new Uint8Array(0)
  #decompressed = new Uint8Array(0)

  opened(length: number): Uint8Array {
    if (this.#opened.length < length) this.#opened = new Uint8Array(length)
    return this.#opened.subarray(0, length)
  }

  decompressed(length: number): Uint8Array {
    if (this.#decompressed.length < length) this.#decompressed = new Uint8Array(length)
    return this.#decompressed.subarray(0, length)
  }
}

/**
 * Loads blobs of one type, one after the other, in nearly the order in which they lie. From a repository on this machine it reads
 * synchronously from packs it keeps open, in pieces larger than a blob, which for small blobs is many times faster than a promise each. Close
 * it after use.
 */
export class BlobLoader {
  readonly #repository: Repository
  readonly #type: BlobType
  readonly #packs: PackWindows | undefined
  readonly #room: BlobRoom | undefined

  /** `room`: where blobs are opened that are at hand; without it each is in memory of its own. */
  constructor(repository: Repository, type: BlobType, room?: BlobRoom) {
    this.#repository = repository
    this.#type = type
    this.#room = room
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
      return this.#repository.openBlob(this.#type, id, location, this.#packs.read(location), this.#room)
    } catch {
      return undefined
    }
  }

  /**
   * The bytes of a blob as stored, if they can be had without waiting: neither opened nor checked, and valid until the next blob. Of several
   * places it lies in, the first.
   */
  sealedAtHand(id: Id): { readonly sealed: Uint8Array; readonly uncompressedLength: number } | undefined {
    const location = this.#repository.index.find(this.#type, id)
    if (!location || !this.#packs) return undefined
    try {
      return { sealed: this.#packs.read(location), uncompressedLength: location.uncompressedLength }
    } catch {
      return undefined
    }
  }

  close(): void {
    this.#packs?.close()
  }
}
