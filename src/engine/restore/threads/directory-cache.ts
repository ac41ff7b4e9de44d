import type { DirectoryAt } from '../../posix/directory-at.ts'
import { type EntryTable, ROOT } from '../entry-table.ts'

/** What the system gives a file made in a directory, before anybody sets anything. */
export interface NewFileAttributes {
  readonly uid: number
  readonly gid: number
  /** Whether its mode is the wanted one less the umask, and it has no extended attributes: no default access control list is at work. */
  readonly isPlain: boolean
}

export interface CachedDirectory {
  readonly handle: DirectoryAt
  /** As seen at the first file made in it. */
  newFile: NewFileAttributes | undefined
}

/** Enough for the directories from the root down to where a walk is, and for some neighbours. */
const OPEN_DIRECTORIES = 48

/**
 * Keeps directories of the target open, by entry. Each is reached from the one above it, never by a path and never through a link, so
 * nobody who changes the target meanwhile can lead the restore out of it.
 */
export class DirectoryCache implements Disposable {
  readonly #table: EntryTable
  readonly #root: CachedDirectory
  readonly #open = new Map<number, CachedDirectory>()
  #lastEntry = -1
  #last: CachedDirectory | undefined

  /** `root` is the open target, and is closed with the cache. */
  constructor(table: EntryTable, root: DirectoryAt) {
    this.#table = table
    this.#root = { handle: root, newFile: undefined }
  }

  /** The open directory of an entry, valid until the next but one call. Errors are those of opening. */
  open(entry: number): CachedDirectory {
    if (entry === ROOT) return this.#root
    if (entry === this.#lastEntry) return this.#last!
    let directory = this.#open.get(entry)
    if (directory === undefined) directory = this.#openBelow(entry)
    else {
      // The order of a Map is that of insertion: what is used goes to the end.
      this.#open.delete(entry)
      this.#open.set(entry, directory)
    }
    this.#lastEntry = entry
    this.#last = directory
    return directory
  }

  /** Forgets a directory that is about to be removed or replaced. */
  forget(entry: number): void {
    this.#open.get(entry)?.handle.close()
    this.#open.delete(entry)
    if (entry === this.#lastEntry) this.#lastEntry = -1
  }

  close(): void {
    for (const { handle } of this.#open.values()) handle.close()
    this.#open.clear()
    this.#root.handle.close()
    this.#lastEntry = -1
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #openBelow(entry: number): CachedDirectory {
    const path = [entry]
    let above = this.#table.parent(entry)
    while (above !== ROOT && !this.#open.has(above)) {
      path.push(above)
      above = this.#table.parent(above)
    }
    let directory = above === ROOT ? this.#root : this.#open.get(above)!
    for (let i = path.length - 1; i >= 0; i--) {
      const opened = { handle: directory.handle.openDirectory(this.#table.name(path[i]!)), newFile: undefined }
      this.#add(path[i]!, opened)
      directory = opened
    }
    return directory
  }

  #add(entry: number, directory: CachedDirectory): void {
    this.#open.set(entry, directory)
    if (this.#open.size <= OPEN_DIRECTORIES) return
    const [oldest, { handle }] = this.#open.entries().next().value!
    handle.close()
    this.#open.delete(oldest)
    if (oldest === this.#lastEntry) this.#lastEntry = -1
  }
}
