import { setImmediate } from 'node:timers/promises'
import { monotonicMilliseconds } from '../../lib/clock.ts'
import { lstat } from '../posix/attributes.ts'
import type { DirectoryListing } from '../posix/directory-listing.ts'
import { readDirectory } from '../posix/directory-reader.ts'
import type { ByteString } from '../repository/tree/node.ts'
import { absolutePath } from './filter/clean-path.ts'
import type { Selector } from './filter/selector.ts'
import { pathBytes } from './node-reader.ts'
import { joinPath } from './target-tree.ts'

/** Entries held at most: some 20 MB. */
const MAX_ENTRIES = 128_000
/** A listing older than this is read again: what it says may have changed. */
const MAX_AGE_MS = 5_000
/** How long the event loop may be kept busy in one go. */
const SLICE_MS = 2

interface Listing {
  readonly entries: DirectoryListing
  readonly readAt: number
}

/**
 * Lists the directories a backup will walk while the password is being turned into a key, which takes half a second of another processor
 * core. Nothing depends on it: what is not here when the walk comes by, or is too old, is read then.
 */
export class ReadAhead {
  readonly #selector: Selector
  readonly #listings = new Map<ByteString, Listing>()
  #entries = 0
  #stopped = false

  constructor(selector: Selector) {
    this.#selector = selector
  }

  /** Lists what is below `targets` in the order of the walk, in slices, until all is listed or `stop` is called. Never fails. */
  async run(targets: readonly ByteString[]): Promise<void> {
    const waiting = targets
      .map((target) => absolutePath(target))
      .filter(isDirectory)
      .reverse()
    let sliceEnd = monotonicMilliseconds() + SLICE_MS
    for (let path = waiting.pop(); path !== undefined && !this.#stopped; path = waiting.pop()) {
      if (this.#entries >= MAX_ENTRIES) return
      const below = this.#list(path)
      for (let i = below.length - 1; i >= 0; i--) waiting.push(below[i]!)
      if (monotonicMilliseconds() < sliceEnd) continue
      await setImmediate()
      sliceEnd = monotonicMilliseconds() + SLICE_MS
    }
  }

  /** Ends `run`; what is listed stays. */
  stop(): void {
    this.#stopped = true
  }

  /** The entries of a directory, once. */
  take(path: ByteString): DirectoryListing | undefined {
    const listing = this.#listings.get(path)
    if (!listing) return undefined
    this.#listings.delete(path)
    return monotonicMilliseconds() - listing.readAt <= MAX_AGE_MS ? listing.entries : undefined
  }

  /** Lists one directory and returns those in it that are to be backed up. */
  #list(path: ByteString): ByteString[] {
    try {
      const entries = readDirectory(pathBytes(path))
      this.#listings.set(path, { entries, readAt: monotonicMilliseconds() })
      this.#entries += entries.count
      const below: ByteString[] = []
      for (let i = 0; i < entries.count; i++) {
        if (!entries.isDirectory(i)) continue
        const child = joinPath(path, entries.nameString(i))
        if (this.#selector.selectByName(child) && this.#selector.select(child, entries.attributes(i))) below.push(child)
      }
      return below
    } catch {
      // The walk comes by again and reports what is wrong.
      return []
    }
  }
}

function isDirectory(path: ByteString): boolean {
  try {
    return lstat(pathBytes(path)).type === 'dir'
  } catch {
    return false
  }
}
