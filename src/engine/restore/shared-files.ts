import { closeSync, constants } from 'node:fs'
import { fstat } from '../posix/attributes.ts'
import type { EntryTable } from './entry-table.ts'
import type { CreatedFile, EntryWriter } from './threads/entry-writer.ts'

/** Files nobody writes to at the moment that are kept open all the same. */
const MAX_IDLE_FILES = 256

interface SharedFile {
  /** Tasks that have not yet written to it. */
  tasksLeft: number
  /** Tasks that are writing to it now. */
  users: number
  /** Undefined before it is first needed. */
  file: CreatedFile | undefined
  isOpen: boolean
  /** What was opened first: the same has to be opened again. */
  device: number | bigint
  inode: number | bigint
}

/**
 * The files that several tasks write to. They are opened on the main thread and written to by all threads, since descriptors belong to the
 * process.
 */
export class SharedFiles {
  readonly #writer: EntryWriter
  readonly #table: EntryTable
  readonly #files = new Map<number, SharedFile>()
  /** Open files without users, the longest idle first. */
  readonly #idle = new Set<number>()

  constructor(writer: EntryWriter, tasksOfShared: ReadonlyMap<number, number>) {
    this.#writer = writer
    this.#table = writer.table
    for (const [entry, tasksLeft] of tasksOfShared)
      this.#files.set(entry, { tasksLeft, users: 0, file: undefined, isOpen: false, device: 0, inode: 0 })
  }

  /** The open file, for one task, until `release`. */
  acquire(entry: number): CreatedFile {
    const shared = this.#files.get(entry)!
    const file = shared.isOpen ? shared.file! : this.#open(entry, shared)
    shared.users++
    this.#idle.delete(entry)
    return file
  }

  /** The file while it is acquired. */
  file(entry: number): CreatedFile | undefined {
    return this.#files.get(entry)?.file
  }

  /** A task is through with the file. Returns it, still open, when this was the last one: the caller finishes and closes it. */
  release(entry: number): CreatedFile | undefined {
    const shared = this.#files.get(entry)!
    shared.users--
    shared.tasksLeft--
    if (shared.tasksLeft === 0) {
      this.#files.delete(entry)
      return shared.file
    }
    if (shared.users === 0) {
      this.#idle.add(entry)
      if (this.#idle.size > MAX_IDLE_FILES) this.#closeOldest()
    }
    return undefined
  }

  /** A task that would write to the file is not going to, because something went wrong with it. */
  withdraw(entry: number): void {
    const shared = this.#files.get(entry)!
    shared.tasksLeft--
    if (shared.tasksLeft > 0) return
    if (shared.isOpen) closeSync(shared.file!.fd)
    this.#idle.delete(entry)
    this.#files.delete(entry)
  }

  /** Closes all that is open. */
  close(): void {
    for (const { file, isOpen } of this.#files.values()) if (isOpen) closeSync(file!.fd)
    this.#files.clear()
  }

  #open(entry: number, shared: SharedFile): CreatedFile {
    if (shared.file !== undefined) {
      shared.file = { ...shared.file, fd: this.#openAgain(entry, shared) }
    } else {
      const isUpdate = this.#table.action(entry) === 'update'
      shared.file = isUpdate ? this.#writer.openForUpdate(entry) : this.#writer.createFile(entry, true)
      const { device, inode } = fstat(shared.file.fd)
      shared.device = device
      shared.inode = inode
    }
    shared.isOpen = true
    return shared.file
  }

  #openAgain(entry: number, { device, inode }: SharedFile): number {
    const { handle } = this.#writer.directoryOf(entry)
    const fd = handle.openFile(this.#table.name(entry), constants.O_WRONLY | constants.O_NONBLOCK, 0)
    const found = fstat(fd)
    if (found.device === device && found.inode === inode) return fd
    closeSync(fd)
    throw Object.assign(new Error('it was replaced by something else during the restore'), { code: 'ESTALE' })
  }

  #closeOldest(): void {
    const [oldest] = this.#idle
    const shared = this.#files.get(oldest!)!
    this.#idle.delete(oldest!)
    closeSync(shared.file!.fd)
    shared.isOpen = false
  }
}
