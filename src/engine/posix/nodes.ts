import { constants } from 'node:os'
import { HoldfastError } from '../../lib/errors.ts'
import { AT_FDCWD, createPathArgument, type Libc, libc } from './libc.ts'
import { printablePath, systemError } from './system-error.ts'

/**
 * Makes a fifo, a socket's name or a device.
 *
 * @param path where; it must not exist (`EEXIST`)
 * @param mode st_mode: format and permissions, from which the umask is taken away
 * @param rdev number of a device as `FileAttributes.rdev`, else 0
 */
export type NodeMaker = (path: Uint8Array, mode: number, rdev: number | bigint) => void

let maker: NodeMaker | undefined

/** See NodeMaker. Devices need the right to make them (`EPERM`); HF_UNSUPPORTED without the native library. */
export function makeNode(path: Uint8Array, mode: number, rdev: number | bigint = 0): void {
  if (!maker) {
    const library = libc()
    maker = library ? nativeNodeMaker(library) : refuseNode
  }
  maker(path, mode, rdev)
}

/** Node has no call that makes these. */
export const refuseNode: NodeMaker = (path) => {
  throw new HoldfastError(
    'HF_UNSUPPORTED',
    `special file ${printablePath(path)} cannot be made without the native library`,
    { hint: 'Install the optional dependency koffi, and do not set HOLDFAST_NATIVE=off.' },
  )
}

export function nativeNodeMaker(library: Libc): NodeMaker {
  const argument = createPathArgument(library)
  return (path, mode, rdev) => {
    const errno = mknodat(library, AT_FDCWD, argument.set(path, 'mknod'), mode, rdev)
    if (errno !== 0) throw systemError(errno, 'mknod', path)
  }
}

/**
 * mknodat(2) by its number: older C libraries have it under other names. Its device numbers are 32 bits wide, encoded as the lower half of
 * the C library's. Returns the errno, 0 for success.
 */
export function mknodat(
  library: Libc,
  directory: number,
  pathAddress: number,
  mode: number,
  rdev: number | bigint,
): number {
  const device = Number(rdev)
  if (device > 0xffff_ffff) return constants.errno.EINVAL
  const status = library.syscall(library.systemCalls.mknodat, directory, pathAddress, mode, device)
  return status === 0 ? 0 : library.errno()
}
