import type { RdbEntry, RdbKey } from './entry.ts'
import { type RdbObserver, RdbReader, type RdbSummary } from './reader.ts'

/** Takes keys with their values as they stand in the file. */
export interface ValueObserver extends Omit<RdbObserver, 'onKey' | 'onEntry'> {
  /** Whether the value is wanted. */
  onKey(key: RdbKey): boolean
  /** The next bytes of the value of the last wanted key, unchanged and in pieces; they stay valid. */
  onValue(bytes: Uint8Array): void
  /** The last wanted key is complete. */
  onEntry(entry: RdbEntry): void
}

type Part =
  | { readonly at: 'key'; readonly key: RdbKey }
  | { readonly at: 'end'; readonly entry: RdbEntry }
  | { readonly at: 'other'; readonly tell: () => void }

/** Reads an RDB file as `RdbReader` does, and gives the bytes of values besides, without holding them. */
export class RdbSplitter {
  readonly #reader: RdbReader
  readonly #observer: ValueObserver
  #parts: Part[] = []
  #wanted: RdbKey | undefined
  /** Where in the file the next chunk begins. */
  #offset = 0

  constructor(observer: ValueObserver) {
    this.#observer = observer
    this.#reader = new RdbReader({
      onKey: (key) => this.#parts.push({ at: 'key', key }),
      onEntry: (entry) => this.#parts.push({ at: 'end', entry }),
      // In their place between the keys, which may be in the middle of a chunk.
      onAux: (name, value) => this.#parts.push({ at: 'other', tell: () => observer.onAux?.(name, value) }),
      onLibrary: (code) => this.#parts.push({ at: 'other', tell: () => observer.onLibrary?.(code) }),
      onModuleData: () => this.#parts.push({ at: 'other', tell: () => observer.onModuleData?.() }),
    })
  }

  /** @throws HoldfastError as RdbReader */
  push(chunk: Uint8Array): void {
    const base = this.#offset
    this.#offset += chunk.length
    this.#reader.push(chunk)
    // Where a value begins or ends is known as soon as the byte before has come: always within this chunk or at its end.
    let from = 0
    const give = (end: number): void => {
      if (end > from) this.#observer.onValue(chunk.subarray(from, end))
      from = end
    }
    for (const part of this.#parts) {
      if (part.at === 'other') part.tell()
      else if (part.at === 'key') {
        this.#wanted = this.#observer.onKey(part.key) ? part.key : undefined
        from = part.key.start - base
      } else if (this.#wanted !== undefined) {
        give(part.entry.end - base)
        this.#observer.onEntry(part.entry)
        this.#wanted = undefined
      }
    }
    this.#parts = []
    if (this.#wanted !== undefined) give(chunk.length)
  }

  /** @throws HoldfastError as RdbReader */
  end(): RdbSummary {
    return this.#reader.end()
  }
}
