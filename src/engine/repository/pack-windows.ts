import { closeSync, openSync, readSync } from 'node:fs'
import type { Id } from '../../lib/id.ts'
import { willRead } from '../posix/advice.ts'
import { pathOf } from '../storage/local/layout.ts'
import type { BlobLocation } from './blob.ts'

/** Open packs at a time; trees of neighbouring directories lie in the same few, blocks of a database in as many as it has snapshots. */
const OPEN_PACKS = 64
/** Read at once, from a multiple of it on, and kept: trees are small and asked for in nearly the order in which they lie. */
const WINDOW_BYTES = 128 * 1024
const KEPT_WINDOWS = 32

interface Window {
  readonly pack: Id
  readonly start: number
  readonly memory: Uint8Array
  length: number
}

/** Reads small parts of packs that lie in a directory of this machine, synchronously. Close it after use. */
export class PackWindows {
  readonly #directory: string
  readonly #packs = new Map<Id, number>()
  /** The one used last comes last. */
  #windows: Window[] = []

  /** `directory` holds the repository in the local layout. */
  constructor(directory: string) {
    this.#directory = directory
  }

  /** The bytes of a blob, as stored: a view that holds until the next call. @throws RangeError when the pack ends before; system errors */
  read({ pack, offset, length }: BlobLocation): Uint8Array {
    const start = offset - (offset % WINDOW_BYTES)
    const from = offset - start
    if (from + length > WINDOW_BYTES) return this.#fill(pack, offset, new Uint8Array(length), length)
    const window = this.#window(pack, start)
    if (window.length < from + length) throw tooShort()
    return window.memory.subarray(from, from + length)
  }

  /** As `read`, into the beginning of `memory`, which has room for it, and nothing beside it. */
  readAlone({ pack, offset, length }: BlobLocation, memory: Uint8Array): Uint8Array {
    return this.#fill(pack, offset, memory.subarray(0, length), length)
  }

  /** Says that `readAlone` will be asked for a blob soon. Never fails. */
  willReadAlone({ pack, offset, length }: BlobLocation): void {
    try {
      willRead(this.#open(pack), offset, length)
    } catch {
      // Whoever reads it hears of it.
    }
  }

  /** Whether the pack is there. */
  has(pack: Id): boolean {
    try {
      this.#open(pack)
      return true
    } catch {
      return false
    }
  }

  close(): void {
    for (const fd of this.#packs.values()) closeSync(fd)
    this.#packs.clear()
    this.#windows = []
  }

  #window(pack: Id, start: number): Window {
    const windows = this.#windows
    for (let i = windows.length - 1; i >= 0; i--) {
      const window = windows[i]!
      if (window.start !== start || window.pack !== pack) continue
      if (i < windows.length - 1) windows.push(...windows.splice(i, 1))
      return window
    }
    const memory = windows.length < KEPT_WINDOWS ? new Uint8Array(WINDOW_BYTES) : windows.shift()!.memory
    const window: Window = { pack, start, memory, length: 0 }
    window.length = this.#fill(pack, start, memory, 0).length
    windows.push(window)
    return window
  }

  /** Fills `target` as far as the pack goes, at least `required` bytes. */
  #fill(pack: Id, offset: number, target: Uint8Array, required: number): Uint8Array {
    const fd = this.#open(pack)
    let done = 0
    while (done < target.length) {
      const read = readSync(fd, target, done, target.length - done, offset + done)
      if (read === 0) break
      done += read
    }
    if (done < required) throw tooShort()
    return target.subarray(0, done)
  }

  #open(pack: Id): number {
    const known = this.#packs.get(pack)
    if (known !== undefined) return known
    const fd = openSync(pathOf(this.#directory, { kind: 'data', name: pack }), 'r')
    this.#packs.set(pack, fd)
    if (this.#packs.size > OPEN_PACKS) {
      const [oldest, oldestFd] = this.#packs.entries().next().value!
      this.#packs.delete(oldest)
      closeSync(oldestFd)
    }
    return fd
  }
}

const tooShort = (): RangeError => new RangeError('the pack is shorter than the index says')
