import { chmodSync, constants } from 'node:fs'
import { utf8 } from '../../lib/bytes.ts'
import { createStatx, NO_FOLLOW } from './attributes.ts'
import type { DirectoryAt, DirectoryAtOpener } from './directory-at.ts'
import { type DirectoryOpener, nativeDirectoryOpener } from './directory-reader.ts'
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_REMOVEDIR,
  AT_SYMLINK_NOFOLLOW,
  createPathArgument,
  type Libc,
  O_CLOEXEC,
  O_PATH,
  PATH_MAX,
  type PathArgument,
} from './libc.ts'
import { mknodat } from './nodes.ts'
import { checkPlainName, joinPath } from './plain-name.ts'
import { ownSystemError, type SystemError, systemError, systemErrorAbout } from './system-error.ts'
import { createTimesArgument, type TimesArgument } from './times.ts'

const DIRECTORY_FLAGS = constants.O_RDONLY | constants.O_DIRECTORY | O_CLOEXEC

/** What all directories of a thread share: kept buffers for the arguments of calls. */
interface Shared {
  readonly library: Libc
  readonly first: PathArgument
  readonly second: PathArgument
  readonly statx: ReturnType<typeof createStatx>
  readonly times: TimesArgument
  readonly readDirectory: DirectoryOpener
  readonly linkTarget: Uint8Array
}

/** By the system's *at calls, each with the descriptor of the directory and a name in it. */
export function nativeDirectoryAt(library: Libc): DirectoryAtOpener {
  const shared: Shared = {
    library,
    first: createPathArgument(library),
    second: createPathArgument(library),
    statx: createStatx(library),
    times: createTimesArgument(library),
    readDirectory: nativeDirectoryOpener(library),
    linkTarget: new Uint8Array(PATH_MAX),
  }
  return (path) => {
    const fd = library.openat(AT_FDCWD, shared.first.set(path, 'open'), DIRECTORY_FLAGS, 0)
    if (fd < 0) throw library.error('open', path)
    return new NativeDirectory(shared, fd, path)
  }
}

class NativeDirectory implements DirectoryAt {
  readonly fd: number
  readonly path: Uint8Array
  readonly #shared: Shared
  readonly #library: Libc
  #open = true

  constructor(shared: Shared, fd: number, path: Uint8Array) {
    this.#shared = shared
    this.#library = shared.library
    this.fd = fd
    this.path = path
  }

  openDirectory(name: Uint8Array): DirectoryAt {
    const flags = DIRECTORY_FLAGS | constants.O_NOFOLLOW
    const fd = this.#library.openat(this.fd, this.#name(name, 'open'), flags, 0)
    if (fd < 0) throw this.#error('open', name)
    return new NativeDirectory(this.#shared, fd, joinPath(this.path, name))
  }

  openFile(name: Uint8Array, flags: number, mode: number): number {
    const address = this.#name(name, 'open')
    const fd = this.#library.openat(this.fd, address, flags | constants.O_NOFOLLOW | O_CLOEXEC, mode)
    if (fd < 0) throw this.#error('open', name)
    return fd
  }

  makeDirectory(name: Uint8Array, mode: number): void {
    if (this.#library.mkdirat(this.fd, this.#name(name, 'mkdir'), mode) !== 0) throw this.#error('mkdir', name)
  }

  makeLink(name: Uint8Array, from: DirectoryAt, fromName: Uint8Array): void {
    const address = this.#name(name, 'link')
    checkPlainName(fromName, 'link', from.path)
    const fromAddress = this.#shared.second.set(fromName, 'link')
    if (this.#library.linkat(from.fd, fromAddress, this.fd, address, 0) !== 0) throw this.#error('link', name)
  }

  makeSymlink(name: Uint8Array, target: Uint8Array): void {
    const address = this.#name(name, 'symlink')
    const targetAddress = this.#shared.second.set(target, 'symlink')
    if (this.#library.symlinkat(targetAddress, this.fd, address) !== 0) throw this.#error('symlink', name)
  }

  makeNode(name: Uint8Array, mode: number, rdev: number | bigint): void {
    const errno = mknodat(this.#library, this.fd, this.#name(name, 'mknod'), mode, rdev)
    if (errno !== 0) throw systemError(errno, 'mknod', joinPath(this.path, name))
  }

  removeFile(name: Uint8Array): void {
    if (this.#library.unlinkat(this.fd, this.#name(name, 'unlink'), 0) !== 0) throw this.#error('unlink', name)
  }

  removeDirectory(name: Uint8Array): void {
    const address = this.#name(name, 'rmdir')
    if (this.#library.unlinkat(this.fd, address, AT_REMOVEDIR) !== 0) throw this.#error('rmdir', name)
  }

  rename(name: Uint8Array, to: DirectoryAt, toName: Uint8Array): void {
    const address = this.#name(name, 'rename')
    checkPlainName(toName, 'rename', to.path)
    const toAddress = this.#shared.second.set(toName, 'rename')
    if (this.#library.renameat(this.fd, address, to.fd, toAddress) !== 0) throw this.#error('rename', name)
  }

  lstat(name: Uint8Array): ReturnType<DirectoryAt['lstat']> {
    const { statx } = this.#shared
    if (!statx.call(this.fd, this.#name(name, 'lstat'), NO_FOLLOW)) throw this.#error('lstat', name)
    return statx.attributes()
  }

  readLink(name: Uint8Array): Uint8Array {
    const { linkTarget } = this.#shared
    const address = this.#name(name, 'readlink')
    const length = this.#library.readlinkat(this.fd, address, this.#library.addressOf(linkTarget), linkTarget.length)
    if (length < 0) throw this.#error('readlink', name)
    return linkTarget.slice(0, length)
  }

  entries(): ReturnType<DirectoryAt['entries']> {
    // By way of itself: the listing has a position of its own, so that it can be asked again.
    using directory = this.#shared.readDirectory(utf8(`/proc/self/fd/${this.fd}/.`), { shownPath: this.path })
    return directory.entries()
  }

  chown(name: Uint8Array, uid: number, gid: number): void {
    const address = this.#name(name, 'lchown')
    if (this.#library.fchownat(this.fd, address, uid, gid, AT_SYMLINK_NOFOLLOW) !== 0) throw this.#error('lchown', name)
  }

  chmod(name: Uint8Array, mode: number): void {
    // There is no chmod that does not follow links before Linux 6.6: what was opened by O_PATH cannot be replaced any more.
    const fd = this.#library.openat(this.fd, this.#name(name, 'chmod'), O_PATH | constants.O_NOFOLLOW | O_CLOEXEC, 0)
    if (fd < 0) throw this.#error('chmod', name)
    try {
      const { first, statx } = this.#shared
      if (!statx.call(fd, first.set(new Uint8Array(), 'chmod'), AT_EMPTY_PATH)) throw this.#error('chmod', name)
      // Newer kernels say so themselves; older ones change the link on some file systems.
      if (statx.attributes().type === 'symlink') throw ownSystemError('ENOTSUP', 'chmod', joinPath(this.path, name))
      chmodSync(`/proc/self/fd/${fd}`, mode)
    } catch (error) {
      throw systemErrorAbout(error, joinPath(this.path, name))
    } finally {
      this.#library.close(fd)
    }
  }

  setTimes(...[name, accessed, modified]: Parameters<DirectoryAt['setTimes']>): void {
    const address = this.#name(name, 'lutime')
    const times = this.#shared.times.set(accessed, modified)
    if (this.#library.utimensat(this.fd, address, times, AT_SYMLINK_NOFOLLOW) !== 0) throw this.#error('lutime', name)
  }

  pathTo(name: Uint8Array): Uint8Array {
    checkPlainName(name, 'open', this.path)
    return joinPath(utf8(`/proc/self/fd/${this.fd}`), name)
  }

  close(): void {
    if (this.#open) this.#library.close(this.fd)
    this.#open = false
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** Address of `name` as an argument. */
  #name(name: Uint8Array, syscall: string): number {
    checkPlainName(name, syscall, this.path)
    return this.#shared.first.set(name, syscall)
  }

  #error(syscall: string, name: Uint8Array): SystemError {
    return this.#library.error(syscall, joinPath(this.path, name))
  }
}
