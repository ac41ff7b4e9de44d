import { closeSync, constants, ftruncateSync, writeSync } from 'node:fs'
import { systemErrorCode } from '../../../lib/errors.ts'
import { fstat } from '../../posix/attributes.ts'
import type { DirectoryAt } from '../../posix/directory-at.ts'
import { readAttributes } from '../../posix/extended-attributes.ts'
import type { EntryTable } from '../entry-table.ts'
import { type AttributeRules, AttributeSetter, type KnownAttributes } from './attribute-setter.ts'
import { type CachedDirectory, DirectoryCache, type NewFileAttributes } from './directory-cache.ts'
import { dataRuns } from './zero-runs.ts'

/** How entries are written; plain data for all threads. */
export interface WriteRules extends AttributeRules {
  /** Permission bits the system takes away from new files. */
  readonly umask: number
  /** Who new files belong to, unless their directory says otherwise. */
  readonly uid: number
  readonly gid: number
  /** Leave holes in new files instead of writing zeros. */
  readonly sparse: boolean
  /** Write large files past the system's cache: for who waits in the end until all is on the disk. */
  readonly direct: boolean
  /** What stands in the way of an entry may be removed even if it is a directory with something in it. */
  readonly removeTrees: boolean
}

/** A file that is open for writing. */
export interface OpenFile {
  readonly entry: number
  readonly fd: number
  /** Zeros need not be written: where nothing is written there are holes. */
  readonly hasHoles: boolean
  /** Whether it may be written to past the system's cache: nothing of it is there. */
  readonly mayBeDirect: boolean
}

/** A file whose attributes, when it was opened, are known. */
export interface CreatedFile extends OpenFile {
  readonly known: KnownAttributes
}

const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL
const PERMISSIONS = 0o777
const OWNER_ONLY = 0o700

/**
 * Makes entries in the target with as few system calls as they need: a usual file takes open, write, futimens and close. Belongs to one
 * thread.
 */
export class EntryWriter implements Disposable {
  readonly table: EntryTable
  readonly directories: DirectoryCache
  readonly attributes: AttributeSetter
  readonly #rules: WriteRules

  /** `target` is the open directory that everything goes to; it is closed with the writer. */
  constructor(table: EntryTable, target: DirectoryAt, rules: WriteRules) {
    this.table = table
    this.directories = new DirectoryCache(table, target)
    this.attributes = new AttributeSetter(table, rules)
    this.#rules = rules
  }

  /** The open directory an entry lies in. */
  directoryOf(entry: number): CachedDirectory {
    return this.directories.open(this.table.parent(entry))
  }

  /**
   * Makes the file of an entry that is to be created or replaced.
   *
   * @param inPieces it is written in several pieces, in any order: it gets its size at once
   */
  createFile(entry: number, inPieces: boolean): CreatedFile {
    const { memory } = this.table
    const directory = this.directoryOf(entry)
    const name = this.table.name(entry)
    const uid = memory.uid[entry]!
    const gid = memory.gid[entry]!
    const { uid: newUid, gid: newGid } = directory.newFile ?? this.#rules
    // What is about to change hands stays closed to others until then.
    const allowed = uid === newUid && gid === newGid ? PERMISSIONS : OWNER_ONLY
    const requested = memory.mode[entry]! & allowed
    if (this.table.action(entry) === 'replace') this.removeObstacle(directory.handle, name)
    const fd = directory.handle.openFile(name, CREATE, requested)
    try {
      directory.newFile ??= this.#lookAtNewFile(fd, requested)
      const { newFile } = directory
      const mode = newFile.isPlain ? requested & ~this.#rules.umask : -1
      const known = { uid: newFile.uid, gid: newFile.gid, mode, hasNoXattrs: newFile.isPlain }
      // Not reserved: the file system finds room when the pieces are together, and some would write zeros first.
      if (this.#rules.sparse || inPieces) ftruncateSync(fd, memory.number[entry]!)
      return { ...this.adoptFile(entry, fd), known }
    } catch (error) {
      closeSync(fd)
      throw error
    }
  }

  /** Opens the file of an entry whose content is partly right, and gives it its size. */
  openForUpdate(entry: number): CreatedFile {
    const sizeBytes = this.table.memory.number[entry]!
    const flags = constants.O_WRONLY | constants.O_NONBLOCK
    const fd = this.directoryOf(entry).handle.openFile(this.table.name(entry), flags, 0)
    try {
      const attributes = fstat(fd)
      if (attributes.type !== 'file' || attributes.links !== 1) throw changedMeanwhile()
      if (attributes.size !== sizeBytes) ftruncateSync(fd, sizeBytes)
      const { uid, gid, mode } = attributes
      return { entry, fd, hasHoles: false, mayBeDirect: false, known: { uid, gid, mode, hasNoXattrs: false } }
    } catch (error) {
      closeSync(fd)
      throw error
    }
  }

  /** A file that is open, perhaps by another thread. */
  adoptFile(entry: number, fd: number): OpenFile {
    const { sparse, direct } = this.#rules
    const isNew = this.table.action(entry) !== 'update'
    return { entry, fd, hasHoles: sparse && isNew, mayBeDirect: direct && !sparse && isNew }
  }

  /** Writes bytes at `offset` of a file. */
  write(file: OpenFile, bytes: Uint8Array, offset: number): void {
    if (!file.hasHoles) {
      writeFully(file.fd, bytes, 0, bytes.length, offset)
      return
    }
    for (const { start, end } of dataRuns(bytes, offset)) writeFully(file.fd, bytes, start, end, offset + start)
  }

  /** Gives a written file its attributes and closes it; closes it also when that fails. */
  finishFile(file: CreatedFile): void {
    try {
      this.attributes.setByDescriptor(file.fd, file.entry, file.known)
    } finally {
      closeSync(file.fd)
    }
  }

  /** Gives a file whose content is right the attributes of its entry. */
  adjustFile(entry: number): void {
    const flags = constants.O_RDONLY | constants.O_NONBLOCK
    const fd = this.directoryOf(entry).handle.openFile(this.table.name(entry), flags, 0)
    try {
      const attributes = fstat(fd)
      if (attributes.type !== 'file') throw changedMeanwhile()
      this.attributes.setByDescriptor(fd, entry, { ...attributes, hasNoXattrs: false })
    } finally {
      closeSync(fd)
    }
  }

  /** Makes a link, device or fifo unless it is there, and gives it the attributes of its entry. */
  restoreSpecial(entry: number): void {
    const { handle } = this.directoryOf(entry)
    const name = this.table.name(entry)
    const kind = this.table.kind(entry)
    const action = this.table.action(entry)
    if (action === 'replace') this.removeObstacle(handle, name)
    if (action === 'adjust') {
      // It is the right link already.
    } else if (kind === 'symlink') handle.makeSymlink(name, this.table.extra(entry).linkTarget)
    else handle.makeNode(name, specialFormats[kind as SpecialKind] | 0o600, this.table.memory.number[entry]!)
    this.attributes.setByName(handle, name, entry)
  }

  /** Makes a further name of the file that entry `number` of this one has brought back. */
  createLink(entry: number): void {
    const first = this.table.memory.number[entry]!
    const from = this.directoryOf(first).handle
    const { handle } = this.directoryOf(entry)
    const name = this.table.name(entry)
    if (this.table.action(entry) === 'replace') this.removeObstacle(handle, name)
    handle.makeLink(name, from, this.table.name(first))
  }

  /** Makes a directory with access for its owner alone, unless it is there; what else is there instead is removed. */
  createDirectory(entry: number): void {
    const { handle } = this.directoryOf(entry)
    const name = this.table.name(entry)
    try {
      handle.makeDirectory(name, OWNER_ONLY)
    } catch (error) {
      if (systemErrorCode(error) !== 'EEXIST') throw error
      if (handle.lstat(name).type !== 'dir') {
        handle.removeFile(name)
        handle.makeDirectory(name, OWNER_ONLY)
      } else if (!this.#rules.isSuperuser) this.#makeAccessible(entry)
    }
  }

  /** Removes what is in the way of an entry: a directory only when it is empty, or when the rules say so. */
  removeObstacle(directory: DirectoryAt, name: Uint8Array): void {
    try {
      directory.removeFile(name)
    } catch (error) {
      const code = systemErrorCode(error)
      if (code === 'ENOENT') return
      // unlink(2) of a directory: EISDIR on Linux, EPERM by POSIX.
      if ((code !== 'EISDIR' && code !== 'EPERM') || directory.lstat(name).type !== 'dir') throw error
      if (this.#rules.removeTrees) removeTree(directory, name)
      else directory.removeDirectory(name)
    }
  }

  /** Gives a directory, after all that is done in it, the attributes of its entry. */
  adjustDirectory(entry: number): void {
    const { fd } = this.directories.open(entry).handle
    this.attributes.setByDescriptor(fd, entry, { ...fstat(fd), hasNoXattrs: false })
    this.directories.forget(entry)
  }

  close(): void {
    this.directories.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** What the first file in a directory was given tells what all others are given. */
  #lookAtNewFile(fd: number, requested: number): NewFileAttributes {
    const { uid, gid, mode } = fstat(fd)
    const isPlain = (mode & 0o7777) === (requested & ~this.#rules.umask) && readAttributes(fd).length === 0
    return { uid, gid, isPlain }
  }

  /** A directory of ours that we may not write to, as an earlier restore has left it. */
  #makeAccessible(entry: number): void {
    const { handle } = this.directoryOf(entry)
    const name = this.table.name(entry)
    const { uid, mode } = handle.lstat(name)
    if (uid === this.#rules.uid && (mode & OWNER_ONLY) !== OWNER_ONLY) handle.chmod(name, (mode & 0o7777) | OWNER_ONLY)
  }
}

type SpecialKind = 'dev' | 'chardev' | 'fifo'

const specialFormats: Readonly<Record<SpecialKind, number>> = { dev: 0o060000, chardev: 0o020000, fifo: 0o010000 }

/** Removes a directory with all that is in it, without following links. */
export function removeTree(parent: DirectoryAt, name: Uint8Array): void {
  const open = [emptied(parent, name)]
  try {
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      const below = top.subdirectories.pop()
      if (below !== undefined) {
        open.push(emptied(top.directory, below))
        continue
      }
      open.pop()
      top.directory.close()
      top.parent.removeDirectory(top.name)
    }
  } finally {
    for (const { directory } of open) directory.close()
  }
}

/** A directory without its files, and what else is in it. */
interface EmptiedDirectory {
  readonly parent: DirectoryAt
  readonly name: Uint8Array
  readonly directory: DirectoryAt
  readonly subdirectories: Uint8Array[]
}

function emptied(parent: DirectoryAt, name: Uint8Array): EmptiedDirectory {
  const directory = parent.openDirectory(name)
  try {
    const subdirectories: Uint8Array[] = []
    for (const entry of directory.entries()) {
      if (entry.attributes?.type === 'dir') subdirectories.push(entry.name)
      else directory.removeFile(entry.name)
    }
    return { parent, name, directory, subdirectories }
  } catch (error) {
    directory.close()
    throw error
  }
}

function writeFully(fd: number, bytes: Uint8Array, start: number, end: number, offset: number): void {
  for (let done = start; done < end; ) done += writeSync(fd, bytes, done, end - done, offset + done - start)
}

const changedMeanwhile = (): Error =>
  Object.assign(new Error('it was replaced by something else during the restore'), { code: 'ESTALE' })
