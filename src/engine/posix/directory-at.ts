import type { FileAttributes, FileTime } from './attributes.ts'
import type { DirectoryListing } from './directory-listing.ts'

/**
 * An open directory, and what can be done to the names in it. Names are looked up in the directory that was opened, wherever it has been
 * moved meanwhile, and links are never followed: whoever writes a tree downwards from one of these cannot be led out of it.
 *
 * Names are single components: `EINVAL` for '', '.', '..' and whatever holds '/' or NUL. Errors are those of the system, about the full path.
 * The directory itself is changed by its descriptor (`setTimes(fd)`, `fchmod`, `fchown`, `writeAttribute(fd)`).
 */
export interface DirectoryAt extends Disposable {
  readonly fd: number
  /** What errors call this directory: the path it was opened by. */
  readonly path: Uint8Array
  /** Opens a directory in this one; `ENOTDIR` for everything else, links included. */
  openDirectory(name: Uint8Array): DirectoryAt
  /**
   * Opens a file; `ELOOP` when the name is a link.
   *
   * @param flags of open(2); O_NOFOLLOW and O_CLOEXEC are added
   * @param mode permissions of a file that is created, from which the umask is taken away
   * @returns a descriptor for node:fs
   */
  openFile(name: Uint8Array, flags: number, mode: number): number
  makeDirectory(name: Uint8Array, mode: number): void
  makeLink(name: Uint8Array, from: DirectoryAt, fromName: Uint8Array): void
  makeSymlink(name: Uint8Array, target: Uint8Array): void
  /** See NodeMaker in nodes.ts. */
  makeNode(name: Uint8Array, mode: number, rdev: number | bigint): void
  /** Removes anything but a directory. */
  removeFile(name: Uint8Array): void
  /** Removes an empty directory. */
  removeDirectory(name: Uint8Array): void
  /** Moves a name, replacing what is at the new one as rename(2) does. */
  rename(name: Uint8Array, to: DirectoryAt, toName: Uint8Array): void
  lstat(name: Uint8Array): FileAttributes
  readLink(name: Uint8Array): Uint8Array
  /** All entries as `DirectoryHandle.entries` tells them; may be asked again. */
  entries(): DirectoryListing
  chown(name: Uint8Array, uid: number, gid: number): void
  /** Sets permission bits; `ENOTSUP` for links, which have none. */
  chmod(name: Uint8Array, mode: number): void
  setTimes(name: Uint8Array, accessed: FileTime, modified: FileTime): void
  /** A path by which this process reaches the name, for calls that know only paths (extended attributes). As long as the directory is open. */
  pathTo(name: Uint8Array): Uint8Array
  close(): void
}

/** How to open the first directory; `openDirectoryAt` uses the best one this machine has. */
export type DirectoryAtOpener = (path: Uint8Array) => DirectoryAt
