import type { Id } from '../../lib/id.ts'
import type { Storage } from '../storage/storage.ts'
import type { BlobLocation } from './blob.ts'

/** The first window in a part of a pack is so long, and begins at a multiple of it; see `remoteRanges` for what a request costs. */
const FIRST_BYTES = 1024 * 1024
/** A window behind one that was read is twice as long as that one, up to this. */
const LONGEST_BYTES = 8 * 1024 * 1024
/** Packs up to this size are fetched whole. */
const WHOLE_BYTES = 2 * 1024 * 1024
/** The windows used last are kept, up to so many bytes; one is always. */
const KEPT_BYTES = 48 * 1024 * 1024
/** Nothing more is fetched ahead while so much is on its way. */
const AHEAD_BYTES = 32 * 1024 * 1024

interface Window {
  readonly pack: Id
  readonly start: number
  readonly end: number
  readonly fetching: Promise<Uint8Array>
  /** Once it is there. */
  bytes: Uint8Array | undefined
}

/**
 * Reads parts of packs of a store that is far away, in windows much larger than a tree or the content of a small file: they are asked for in
 * nearly the order in which they lie, and another request would take longer than the bytes that nobody wants.
 */
export class RemoteWindows {
  readonly #storage: Storage
  readonly #sizeOf: (pack: Id) => number
  /** The one used last comes last. */
  #windows: Window[] = []
  #bytesOnTheirWay = 0

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

  /**
   * Fetches the window around a blob that will be asked for soon. A failure is told to who asks then.
   * @returns whether more may be announced: false when much is on its way already
   */
  announce(location: BlobLocation, signal?: AbortSignal): boolean {
    if (this.#find(location) !== undefined) return true
    if (this.#bytesOnTheirWay >= AHEAD_BYTES) return false
    this.#begin(location, signal)
    return true
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
    const { start, wanted } = this.#place(pack, offset)
    const end = Math.max(offset + length, Math.min(start + wanted, this.#sizeOf(pack)))
    const range = { offset: start, length: end - start }
    const fetching = this.#storage.get({ kind: 'data', name: pack }, range, { signal })
    const window: Window = { pack, start, end, fetching, bytes: undefined }
    this.#windows.push(window)
    this.#bytesOnTheirWay += range.length
    fetching.then(
      (bytes) => {
        this.#bytesOnTheirWay -= range.length
        window.bytes = bytes
        this.#drop()
      },
      // Whoever asks next tries again.
      () => {
        this.#bytesOnTheirWay -= range.length
        this.#windows = this.#windows.filter((other) => other !== window)
      },
    )
    return window
  }

  /** Where the window begins that is read for what lies at `offset`, and how long it should be. */
  #place(pack: Id, offset: number): { readonly start: number; readonly wanted: number } {
    if (this.#sizeOf(pack) <= WHOLE_BYTES) return { start: 0, wanted: WHOLE_BYTES }
    const start = offset - (offset % FIRST_BYTES)
    // The last one that reaches beyond there: a blob at its end may lie in it only in part.
    const before = this.#windows.findLast(
      ({ pack: of, start: from, end }) => of === pack && from <= start && end >= start,
    )
    if (before === undefined) return { start, wanted: FIRST_BYTES }
    return { start: Math.min(before.end, offset), wanted: Math.min(LONGEST_BYTES, 2 * (before.end - before.start)) }
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
