import type { Id } from '../../lib/id.ts'
import { throwIfInterrupted } from '../storage/interruption.ts'
import type { BlobType } from './blob.ts'
import { PackWindows } from './pack-windows.ts'
import { RemoteWindows } from './remote-windows.ts'
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
 * Loads blobs of one type, one after the other, in nearly the order in which they lie. From a repository on this machine, and from copies of
 * packs that a cache keeps here, it reads synchronously from packs it keeps open, in pieces larger than a blob, which for small blobs is many
 * times faster than a promise each. From other stores it fetches large pieces, when asked to. Close it after use.
 */
export class BlobLoader {
  readonly #repository: Repository
  readonly #type: BlobType
  readonly #packs: PackWindows | undefined
  readonly #windows: RemoteWindows | undefined
  readonly #room: BlobRoom | undefined
  #sealed = new Uint8Array(0)

  /**
   * @param room where blobs are opened that are at hand; without it each is in memory of its own
   * @param inWindows fetch from far stores in large pieces, of which some are kept: for blobs that lie near each other, as trees do
   */
  constructor(repository: Repository, type: BlobType, room?: BlobRoom, inWindows: boolean = type === 'tree') {
    this.#repository = repository
    this.#type = type
    this.#room = room
    const { storage } = repository
    const copies = type === 'tree' ? storage.copies : undefined
    const path = storage.properties.directory?.path ?? copies?.path
    this.#packs = path === undefined ? undefined : new PackWindows(path)
    if (this.#packs === undefined && inWindows)
      this.#windows = new RemoteWindows(storage, (pack) => repository.index.packFacts(pack)?.sizeBytes ?? 0)
  }

  /** Plaintext of a blob. @throws HoldfastError HF_BLOB_NOT_FOUND, HF_PACK_DAMAGED, storage errors */
  async load(id: Id, signal?: AbortSignal): Promise<Uint8Array> {
    return (
      this.loadAtHand(id) ??
      (await this.#loadFromWindow(id, signal)) ??
      (await this.#repository.loadBlob(this.#type, id, signal))
    )
  }

  /** Whether `loadAtHand` finds the blob, unless it is damaged. */
  isAtHand(id: Id): boolean {
    const location = this.#repository.index.find(this.#type, id)
    if (location === undefined) return false
    return this.#packs?.has(location.pack) ?? this.#windows?.atHand(location) !== undefined
  }

  /** The blob if it can be had without waiting and is intact; otherwise undefined, and `load` may still find it elsewhere. */
  loadAtHand(id: Id): Uint8Array | undefined {
    const location = this.#repository.index.find(this.#type, id)
    if (!location) return undefined
    try {
      const sealed = this.#packs ? this.#packs.read(location) : this.#windows?.atHand(location)
      return sealed && this.#repository.openBlob(this.#type, id, location, sealed, this.#room)
    } catch {
      return undefined
    }
  }

  /** Says that a blob will be asked for soon. Returns whether more may be announced. */
  announce(id: Id, signal?: AbortSignal): boolean {
    const location = this.#windows && this.#repository.index.find(this.#type, id)
    return location === undefined || this.#windows!.announce(location, signal)
  }

  /** Says that `sealedAtHand` will be asked for soon, so that disks have more than one read to deal with. */
  announceSealed(id: Uint8Array): void {
    const location = this.#packs && this.#repository.index.findBytes(this.#type, id)
    if (location !== undefined) this.#packs!.willReadAlone(location)
  }

  /**
   * The bytes of a blob as stored, if they can be had without waiting: neither opened nor checked, and valid until the next blob. Of several
   * places it lies in, the first. `id` is its 32 bytes. Nothing beside it is read: for blobs that lie far from each other.
   */
  sealedAtHand(id: Uint8Array): { readonly sealed: Uint8Array; readonly uncompressedLength: number } | undefined {
    const location = this.#repository.index.findBytes(this.#type, id)
    if (!location || !this.#packs) return undefined
    try {
      if (this.#sealed.length < location.length) this.#sealed = new Uint8Array(2 * location.length)
      const sealed = this.#packs.readAlone(location, this.#sealed)
      return { sealed, uncompressedLength: location.uncompressedLength }
    } catch {
      return undefined
    }
  }

  close(): void {
    this.#packs?.close()
    this.#windows?.close()
  }

  /** Undefined when it is not to be had so, or not intact: it may lie elsewhere, too. */
  async #loadFromWindow(id: Id, signal: AbortSignal | undefined): Promise<Uint8Array | undefined> {
    const location = this.#windows && this.#repository.index.find(this.#type, id)
    if (location === undefined) return undefined
    try {
      const sealed = await this.#windows!.fetch(location, signal)
      return this.#repository.openBlob(this.#type, id, location, sealed, this.#room)
    } catch {
      throwIfInterrupted(signal)
      return undefined
    }
  }
}
