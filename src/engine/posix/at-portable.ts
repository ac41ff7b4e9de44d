import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  lchownSync,
  linkSync,
  mkdirSync,
  openSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs'
import { asBuffer, utf8 } from '../../lib/bytes.ts'
import { portableAttributeReader } from './attributes.ts'
import type { DirectoryAt, DirectoryAtOpener } from './directory-at.ts'
import { portableDirectoryOpener } from './directory-reader.ts'
import { O_PATH } from './libc.ts'
import { refuseNode } from './nodes.ts'
import { checkPlainName, joinPath } from './plain-name.ts'
import { ownSystemError, systemErrorAbout } from './system-error.ts'
import { portableTimesSetter } from './times.ts'

const DIRECTORY_FLAGS = constants.O_RDONLY | constants.O_DIRECTORY

/** Where Linux shows the open files of a process: a path that begins there leads to what is open, whatever its name is now. */
const DESCRIPTORS = '/proc/self/fd'

/** Whether paths can go by way of open directories. Without it a directory that somebody replaces by a link at the wrong moment is followed. */
export const canReachByDescriptor = (): boolean => existsSync(DESCRIPTORS)

/**
 * By node:fs on paths below `/proc/self/fd`, where there is such a thing; else by plain paths.
 *
 * @param byDescriptor false makes it use plain paths
 */
export function portableDirectoryAt(byDescriptor: boolean = canReachByDescriptor()): DirectoryAtOpener {
  return (path) => openAt(path, path, DIRECTORY_FLAGS, byDescriptor)
}

function openAt(by: Uint8Array, path: Uint8Array, flags: number, byDescriptor: boolean): DirectoryAt {
  return new PortableDirectory(
    about(path, () => openSync(asBuffer(by), flags)),
    path,
    byDescriptor,
  )
}

/** Runs `work`; its errors are told about `path`. */
function about<T>(path: Uint8Array, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw systemErrorAbout(error, path)
  }
}

class PortableDirectory implements DirectoryAt {
  readonly fd: number
  readonly path: Uint8Array
  readonly #byDescriptor: boolean
  /** What names are put behind. */
  readonly #base: Uint8Array
  #open = true

  constructor(fd: number, path: Uint8Array, byDescriptor: boolean) {
    this.fd = fd
    this.path = path
    this.#byDescriptor = byDescriptor
    this.#base = byDescriptor ? utf8(`${DESCRIPTORS}/${fd}`) : path
  }

  openDirectory(name: Uint8Array): DirectoryAt {
    const flags = DIRECTORY_FLAGS | constants.O_NOFOLLOW
    return openAt(this.pathTo(name), joinPath(this.path, name), flags, this.#byDescriptor)
  }

  openFile(name: Uint8Array, flags: number, mode: number): number {
    return this.#call(name, 'open', (path) => openSync(path, flags | constants.O_NOFOLLOW, mode))
  }

  makeDirectory(name: Uint8Array, mode: number): void {
    this.#call(name, 'mkdir', (path) => mkdirSync(path, mode))
  }

  makeLink(name: Uint8Array, from: DirectoryAt, fromName: Uint8Array): void {
    this.#call(name, 'link', (path) => linkSync(asBuffer(from.pathTo(fromName)), path))
  }

  makeSymlink(name: Uint8Array, target: Uint8Array): void {
    this.#call(name, 'symlink', (path) => {
      if (target.includes(0)) throw ownSystemError('EINVAL', 'symlink')
      symlinkSync(asBuffer(target), path)
    })
  }

  makeNode(...[name, mode, rdev]: Parameters<DirectoryAt['makeNode']>): void {
    checkPlainName(name, 'mknod', this.path)
    refuseNode(joinPath(this.path, name), mode, rdev)
  }

  removeFile(name: Uint8Array): void {
    this.#call(name, 'unlink', unlinkSync)
  }

  removeDirectory(name: Uint8Array): void {
    this.#call(name, 'rmdir', (path) => rmdirSync(path))
  }

  rename(name: Uint8Array, to: DirectoryAt, toName: Uint8Array): void {
    this.#call(name, 'rename', (path) => renameSync(path, asBuffer(to.pathTo(toName))))
  }

  lstat(name: Uint8Array): ReturnType<DirectoryAt['lstat']> {
    return this.#call(name, 'lstat', (path) => portableAttributeReader.lstat(path))
  }

  readLink(name: Uint8Array): Uint8Array {
    return this.#call(name, 'readlink', (path) => readlinkSync(path, { encoding: 'buffer' }))
  }

  entries(): ReturnType<DirectoryAt['entries']> {
    using directory = portableDirectoryOpener(joinPath(this.#base, utf8('.')), { shownPath: this.path })
    return directory.entries()
  }

  chown(name: Uint8Array, uid: number, gid: number): void {
    this.#call(name, 'lchown', (path) => lchownSync(path, uid, gid))
  }

  chmod(name: Uint8Array, mode: number): void {
    this.#call(name, 'chmod', (path) => {
      const fd = this.#byDescriptor ? openSync(path, O_PATH | constants.O_NOFOLLOW) : undefined
      try {
        const { fstat, lstat } = portableAttributeReader
        const { type } = fd === undefined ? lstat(path) : fstat(fd)
        if (type === 'symlink') throw ownSystemError('ENOTSUP', 'chmod')
        chmodSync(fd === undefined ? path : `${DESCRIPTORS}/${fd}`, mode)
      } finally {
        if (fd !== undefined) closeSync(fd)
      }
    })
  }

  setTimes(...[name, accessed, modified]: Parameters<DirectoryAt['setTimes']>): void {
    this.#call(name, 'lutime', (path) => portableTimesSetter(path, accessed, modified))
  }

  pathTo(name: Uint8Array): Uint8Array {
    checkPlainName(name, 'open', this.path)
    return joinPath(this.#base, name)
  }

  close(): void {
    if (this.#open) closeSync(this.fd)
    this.#open = false
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #call<T>(name: Uint8Array, syscall: string, work: (path: Buffer) => T): T {
    checkPlainName(name, syscall, this.path)
    return about(joinPath(this.path, name), () => work(asBuffer(joinPath(this.#base, name))))
  }
}
