import { closeSync, constants, existsSync, openSync, readdirSync } from 'node:fs'
import { constants as systemConstants } from 'node:os'
import { asBuffer, compareBytes, utf8 } from '../../lib/bytes.ts'
import { systemErrorCode } from '../../lib/errors.ts'
import {
  type AttributeReader,
  createStatx,
  type FileAttributes,
  NO_FOLLOW,
  nativeAttributeReader,
  portableAttributeReader,
} from './attributes.ts'
import { AT_FDCWD, createPathArgument, type Libc, libc, O_CLOEXEC } from './libc.ts'
import { joinPath } from './plain-name.ts'
import { compareNames, sortNames } from './sort-names.ts'
import { type SystemError, systemErrorAbout } from './system-error.ts'

const { ENOENT } = systemConstants.errno

/**
 * One entry of a directory. `name` shares its memory with the other names of the listing: copy it (`slice`) before sending it to another
 * thread.
 */
export type DirectoryEntry =
  | { readonly name: Uint8Array; readonly attributes: FileAttributes; readonly error: undefined }
  | { readonly name: Uint8Array; readonly attributes: undefined; readonly error: SystemError }

export interface DirectoryOptions {
  /** Leave the directory's own access time alone where the system lets us (the owner's directories, or all for root). */
  readonly preserveAccessTime?: boolean
  /** What errors call the directory; the path it is opened by, when absent. */
  readonly shownPath?: Uint8Array
}

/** An open directory. */
export interface DirectoryHandle extends Disposable {
  /** Attributes of the directory itself. */
  attributes(): FileAttributes
  /**
   * All entries but `.` and `..`, each name once, in the order of their bytes, with what lstat says of each. What vanishes meanwhile is
   * left out; what cannot be looked at comes with its error. To be called once.
   */
  entries(): DirectoryEntry[]
  close(): void
}

/** How to open directories; `openDirectory` uses the best one this machine has. */
export type DirectoryOpener = (path: Uint8Array, options?: DirectoryOptions) => DirectoryHandle

let opener: DirectoryOpener | undefined

/** Opens a directory, which must not be a symbolic link (`ENOTDIR`). */
export function openDirectory(path: Uint8Array, options?: DirectoryOptions): DirectoryHandle {
  if (!opener) {
    const library = libc()
    opener = library ? nativeDirectoryOpener(library) : portableDirectoryOpener
  }
  return opener(path, options)
}

/** The entries of the directory at `path`, as `DirectoryHandle.entries` gives them. */
export function readDirectory(path: Uint8Array, options?: DirectoryOptions): DirectoryEntry[] {
  using directory = openDirectory(path, options)
  return directory.entries()
}

const OPEN_FLAGS = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** Calls `open` without O_NOATIME again where that is refused: only the owner may ask for it. */
function withAccessTimeKept<T>(options: DirectoryOptions | undefined, open: (flags: number) => T): T {
  if (!options?.preserveAccessTime || constants.O_NOATIME === undefined) return open(OPEN_FLAGS)
  try {
    return open(OPEN_FLAGS | constants.O_NOATIME)
  } catch (error) {
    if (systemErrorCode(error) !== 'EPERM') throw error
    return open(OPEN_FLAGS)
  }
}

/** By node:fs. Where the system has /proc, a directory that is replaced while it is read is no danger here either. */
export const portableDirectoryOpener: DirectoryOpener = (path, options) => {
  const shown = options?.shownPath ?? path
  const fd = withAccessTimeKept(options, (flags) => {
    try {
      return openSync(asBuffer(path), flags)
    } catch (error) {
      throw systemErrorAbout(error, shown)
    }
  })
  let open = true
  const close = (): void => {
    if (open) closeSync(fd)
    open = false
  }
  return {
    attributes: () => portableAttributeReader.fstat(fd),
    entries: () => {
      const direct = `/proc/self/fd/${fd}`
      const folder = existsSync(direct) ? utf8(direct) : path
      const names = portableNames(folder, shown)
      return collect(names, (name) => {
        try {
          return portableAttributeReader.lstat(joinPath(folder, name))
        } catch (error) {
          throw systemErrorAbout(error, joinPath(shown, name))
        }
      })
    },
    close,
    [Symbol.dispose]: close,
  }
}

function portableNames(folder: Uint8Array, shown: Uint8Array): readonly Uint8Array[] {
  try {
    const names = readdirSync(asBuffer(folder), { encoding: 'buffer' }).sort(compareBytes)
    return names.filter((name, i) => i === 0 || compareBytes(name, names[i - 1]!) !== 0)
  } catch (error) {
    throw systemErrorAbout(error, shown)
  }
}

function collect(names: readonly Uint8Array[], attributesOf: (name: Uint8Array) => FileAttributes): DirectoryEntry[] {
  const entries: DirectoryEntry[] = []
  for (const name of names) {
    try {
      entries.push({ name, attributes: attributesOf(name), error: undefined })
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT')
        entries.push({ name, attributes: undefined, error: error as SystemError })
    }
  }
  return entries
}

/** Enough for most directories in one call; grows, and is not kept above KEPT_BYTES. */
const FIRST_BYTES = 64 * 1024
const KEPT_BYTES = 1024 * 1024

/** getdents64 needs room for one entry with the longest name; less than this left over means growing. */
const ROOM_BYTES = 8 * 1024

/** Where the name begins in struct linux_dirent64 (getdents(2)), after inode, offset, length and type. */
const NAME_OFFSET = 19
const LENGTH_OFFSET = 16

/**
 * By getdents64 and statx, which looks names up in the directory itself: no path is walked and nothing is copied but the names. Two
 * system calls per directory beside opening and closing, and one per entry.
 */
export function nativeDirectoryOpener(library: Libc): DirectoryOpener {
  const pathArgument = createPathArgument(library)
  const attributeReader = nativeAttributeReader(library)
  const listing = createListing(library)
  return (path, options) => {
    const shown = options?.shownPath ?? path
    const fd = withAccessTimeKept(options, (flags) => {
      const opened = library.openat(AT_FDCWD, pathArgument.set(path, 'open'), flags | O_CLOEXEC, 0)
      if (opened < 0) throw library.error('open', shown)
      return opened
    })
    return nativeHandle(library, attributeReader, listing, fd, shown)
  }
}

function nativeHandle(
  library: Libc,
  attributeReader: AttributeReader,
  listing: Listing,
  fd: number,
  path: Uint8Array,
): DirectoryHandle {
  let open = true
  const close = (): void => {
    if (open) library.close(fd)
    open = false
  }
  return {
    attributes: () => attributeReader.fstat(fd),
    entries: () => listing.read(fd, path),
    close,
    [Symbol.dispose]: close,
  }
}

interface Listing {
  read(fd: number, path: Uint8Array): DirectoryEntry[]
}

function createListing(library: Libc): Listing {
  const statx = createStatx(library)
  let dirents = new Uint8Array(FIRST_BYTES)
  let starts = new Uint32Array(1024)

  /** Reads the whole directory into `dirents`; returns the number of bytes. */
  const fill = (fd: number, path: Uint8Array): number => {
    let used = 0
    for (;;) {
      if (dirents.length - used < ROOM_BYTES) {
        const larger = new Uint8Array(dirents.length * 4)
        larger.set(dirents.subarray(0, used))
        dirents = larger
      }
      const { getdents64 } = library.systemCalls
      const got = library.syscall(getdents64, fd, library.addressOf(dirents) + used, dirents.length - used, 0)
      // A directory that was removed since it was opened has no entries; readdir(3) takes ENOENT for the end, too.
      if (got === 0 || (got < 0 && library.errno() === ENOENT)) return used
      if (got < 0) throw library.error('scandir', path)
      used += got
    }
  }

  /** Puts the places of all names into `starts`, sorted, each name once; returns their number. */
  const index = (used: number): number => {
    let count = 0
    for (let at = 0; at < used; ) {
      const start = at + NAME_OFFSET
      at += dirents[at + LENGTH_OFFSET]! + dirents[at + LENGTH_OFFSET + 1]! * 256
      if (isDots(dirents, start)) continue
      if (count === starts.length) {
        const larger = new Uint32Array(count * 4)
        larger.set(starts)
        starts = larger
      }
      starts[count++] = start
    }
    sortNames(dirents, starts, count)
    let distinct = 0
    for (let i = 0; i < count; i++) {
      const start = starts[i]!
      if (distinct === 0 || compareNames(dirents, starts[distinct - 1]!, start) !== 0) starts[distinct++] = start
    }
    return distinct
  }

  return {
    read(fd, path) {
      const used = fill(fd, path)
      const count = index(used)
      const address = library.addressOf(dirents)
      const names = new Uint8Array(nameBytes(dirents, starts, count))
      const entries: DirectoryEntry[] = []
      let end = 0
      for (let i = 0; i < count; i++) {
        const start = starts[i]!
        const from = end
        for (let at = start; dirents[at] !== 0; at++) names[end++] = dirents[at]!
        const name = names.subarray(from, end)
        if (statx.call(fd, address + start, NO_FOLLOW)) {
          entries.push({ name, attributes: statx.attributes(), error: undefined })
          continue
        }
        const error = library.error('lstat', joinPath(path, name))
        if (error.code !== 'ENOENT') entries.push({ name, attributes: undefined, error })
      }
      if (dirents.length > KEPT_BYTES) {
        dirents = new Uint8Array(FIRST_BYTES)
        starts = new Uint32Array(1024)
      }
      return entries
    },
  }
}

/** Whether the name is `.` or `..`. */
const isDots = (bytes: Uint8Array, start: number): boolean =>
  bytes[start] === 0x2e && (bytes[start + 1] === 0 || (bytes[start + 1] === 0x2e && bytes[start + 2] === 0))

function nameBytes(bytes: Uint8Array, starts: Uint32Array, count: number): number {
  let total = 0
  for (let i = 0; i < count; i++) {
    const start = starts[i]!
    let end = start
    while (bytes[end] !== 0) end++
    total += end - start
  }
  return total
}
