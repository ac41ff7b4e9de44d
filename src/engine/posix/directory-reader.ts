import { closeSync, constants, existsSync, openSync, readdirSync } from 'node:fs'
import { constants as systemConstants } from 'node:os'
import { asBuffer, compareBytes, utf8 } from '../../lib/bytes.ts'
import { systemErrorCode } from '../../lib/errors.ts'
import {
  type AttributeReader,
  createStatx,
  encodeStatx,
  type FileAttributes,
  NO_FOLLOW,
  nativeAttributeReader,
  portableAttributeReader,
  STATX_BYTES,
  STATX_ROW_WORDS,
} from './attributes.ts'
import { DirectoryListing } from './directory-listing.ts'
import { AT_FDCWD, createPathArgument, type Libc, libc, O_CLOEXEC } from './libc.ts'
import { joinPath } from './plain-name.ts'
import { compareNames, sortNames } from './sort-names.ts'
import { type SystemError, systemErrorAbout } from './system-error.ts'

const { ENOENT } = systemConstants.errno

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
  entries(): DirectoryListing
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
export function readDirectory(path: Uint8Array, options?: DirectoryOptions): DirectoryListing {
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

function collect(names: readonly Uint8Array[], attributesOf: (name: Uint8Array) => FileAttributes): DirectoryListing {
  const rows = new Uint32Array(names.length * STATX_ROW_WORDS)
  const kept: Uint8Array[] = []
  const errors = new Map<number, SystemError>()
  for (const name of names) {
    try {
      encodeStatx(attributesOf(name), rows, kept.length * STATX_ROW_WORDS)
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') continue
      errors.set(kept.length, error as SystemError)
    }
    kept.push(name)
  }
  const ends = new Uint32Array(kept.length)
  let end = 0
  for (const [i, name] of kept.entries()) ends[i] = end += name.length
  return new DirectoryListing({ names: Buffer.concat(kept), ends, rows, errors })
}

/** Enough for most directories in one call; grows, and is not kept above KEPT_BYTES. */
const FIRST_BYTES = 64 * 1024
const KEPT_BYTES = 1024 * 1024
const FIRST_ENTRIES = 1024

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
  const lister = createLister(library)
  return (path, options) => {
    const shown = options?.shownPath ?? path
    const fd = withAccessTimeKept(options, (flags) => {
      const opened = library.openat(AT_FDCWD, pathArgument.set(path, 'open'), flags | O_CLOEXEC, 0)
      if (opened < 0) throw library.error('open', shown)
      return opened
    })
    return nativeHandle(library, attributeReader, lister, fd, shown)
  }
}

function nativeHandle(
  library: Libc,
  attributeReader: AttributeReader,
  lister: Lister,
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
    entries: () => lister.read(fd, path),
    close,
    [Symbol.dispose]: close,
  }
}

interface Lister {
  read(fd: number, path: Uint8Array): DirectoryListing
}

function createLister(library: Libc): Lister {
  const statx = createStatx(library)
  let dirents = new Uint8Array(FIRST_BYTES)
  let starts = new Uint32Array(FIRST_ENTRIES)
  let rows = new Uint32Array(rowWords(FIRST_ENTRIES))

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
      const listed = index(used)
      if (rows.length < rowWords(listed)) rows = new Uint32Array(rowWords(listed))
      const address = library.addressOf(dirents)
      const rowsAddress = library.addressOf(new Uint8Array(rows.buffer))
      const names = new Uint8Array(nameBytes(dirents, starts, listed))
      const ends = new Uint32Array(listed)
      let errors: Map<number, SystemError> | undefined
      let count = 0
      let end = 0
      for (let i = 0; i < listed; i++) {
        const start = starts[i]!
        if (!statx.callInto(fd, address + start, NO_FOLLOW, rowsAddress + count * STATX_ROW_WORDS * 4)) {
          const name = dirents.subarray(start, dirents.indexOf(0, start))
          const error = library.error('lstat', joinPath(path, name))
          if (error.code === 'ENOENT') continue
          errors ??= new Map()
          errors.set(count, error)
        }
        for (let at = start; dirents[at] !== 0; at++) names[end++] = dirents[at]!
        ends[count++] = end
      }
      const listing = new DirectoryListing({
        names: names.subarray(0, end),
        ends: ends.subarray(0, count),
        rows: rows.slice(0, count * STATX_ROW_WORDS),
        errors,
      })
      if (dirents.length > KEPT_BYTES) {
        dirents = new Uint8Array(FIRST_BYTES)
        starts = new Uint32Array(FIRST_ENTRIES)
        rows = new Uint32Array(rowWords(FIRST_ENTRIES))
      }
      return listing
    },
  }
}

/** Rows lie closer together than what statx writes for each, all but the last of which is written over by the next. */
const rowWords = (count: number): number => count * STATX_ROW_WORDS + STATX_BYTES / 4

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
