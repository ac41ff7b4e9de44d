import type { Id } from '../../lib/id.ts'
import type { Storage } from '../storage/storage.ts'
import type { BlobLocation } from './blob.ts'

/** Packs up to this size are fetched whole, larger ones in windows that begin at a multiple of it. */
const WINDOW_BYTES = 2 * 1024 * 1024
/** The windows used last are kept, up to so many bytes; one is always. */
const KEPT_BYTES = 32 * 1024 * 1024

interface Window {
  readonly pack: Id
  readonly start: number
  readonly end: number
  readonly fetching: Promise<Uint8Array>
  /** Once it is there. */
  bytes: Uint8Array | undefined
}

/**
 * Reads parts of packs of a store that is far away, in windows much larger than a tree: a walk asks for trees in nearly the order in which
 * they lie, and another request would take longer than the bytes that nobody wants.
 */
export class RemoteWindows {
  readonly #storage: Storage
  readonly #sizeOf: (pack: Id) => number
  /** The one used last comes last. */
  #windows: Window[] = []

  /** `sizeOf`: bytes of a pack, as the index knows them. */
  constructor(storage: Storage, sizeOf: (pack: Id) => number) {
    this.#storage = storage
    this.#sizeOf = sizeOf
  }

  /** The bytes of a blob, as stored, when they were fetched; a view on memory that stays as it is. */
  atHand(location: BlobLocation): Uint8Array | undefined {
    const window = this.#find(location)
    return window?.bytes && blobIn(window, window.bytes, location)
  }

  /** Fetches the window around a blob, unless it is on its way already. @throws errors of the storage */
  async fetch(location: BlobLocation, signal?: AbortSignal): Promise<Uint8Array> {
    const window = this.#find(location) ?? this.#begin(location, signal)
    return blobIn(window, await window.fetching, location)
  }

  close(): void {
    this.#windows = []
  }

  #find({ pack, offset, length }: BlobLocation): Window | undefined {
    const windows = this.#windows
    for (let i = windows.length - 1; i >= 0; i--) {
      const window = windows[i]!
      if (window.pack !== pack || window.start > offset || window.end < offset + length) continue
      if (i < windows.length - 1) windows.push(...windows.splice(i, 1))
      return window
    }
    return undefined
  }

  #begin({ pack, offset, length }: BlobLocation, signal: AbortSignal | undefined): Window {
    const size = this.#sizeOf(pack)
    const start = size <= WINDOW_BYTES ? 0 : offset - (offset % WINDOW_BYTES)
    const end = Math.max(offset + length, Math.min(start + WINDOW_BYTES, size))
    const range = { offset: start, length: end - start }
    const fetching = this.#storage.get({ kind: 'data', name: pack }, range, { signal })
    const window: Window = { pack, start, end, fetching, bytes: undefined }
    this.#windows.push(window)
    fetching.then(
      (bytes) => {
        window.bytes = bytes
        this.#drop()
      },
      // Whoever asks next tries again.
      () => {
        this.#windows = this.#windows.filter((other) => other !== window)
      },
    )
    return window
  }

  /** Lets go of what was not used for the longest time. */
  #drop(): void {
    let kept = 0
    for (let i = this.#windows.length - 1; i >= 0; i--) {
      const { bytes } = this.#windows[i]!
      if (bytes === undefined) continue
      kept += bytes.length
      if (kept > KEPT_BYTES && kept > bytes.length) this.#windows.splice(i, 1)
    }
  }
}

const blobIn = ({ start }: Window, bytes: Uint8Array, { offset, length }: BlobLocation): Uint8Array =>
  bytes.subarray(offset - start, offset - start + length)
