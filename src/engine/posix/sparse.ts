import { constants } from 'node:os'
import { type Libc, libc } from './libc.ts'

const { EINTR, EINVAL, ENOSYS, ENOTSUP, ENXIO } = constants.errno

/** Bytes [start, end) of a file. */
export interface DataRange {
  readonly start: number
  readonly end: number
}

/** How to deal with holes; the functions of this module use the best way this machine has. */
export interface HoleAccess {
  readonly dataRanges: typeof dataRanges
  readonly allocate: typeof allocate
}

let access: HoleAccess | undefined

function holeAccess(): HoleAccess {
  if (!access) {
    const library = libc()
    access = library ? nativeHoleAccess(library) : portableHoleAccess
  }
  return access
}

/**
 * The parts of an open file that hold data, ascending, apart from each other and within `size`; what lies between reads as zeros. One range
 * over everything where nobody can tell. Moves the position of the descriptor: read from it by explicit positions only.
 *
 * @param size in bytes, as `fstat` told
 */
export const dataRanges = (fd: number, size: number): Iterable<DataRange> => holeAccess().dataRanges(fd, size)

/**
 * Reserves space for the first `size` bytes of a file, which becomes at least that long. Returns false where the file system cannot;
 * throws when there is no room (`ENOSPC`, `EFBIG`, `EDQUOT`).
 */
export const allocate = (fd: number, size: number): boolean => holeAccess().allocate(fd, size)

export const portableHoleAccess: HoleAccess = {
  dataRanges: (_, size) => (size > 0 ? [{ start: 0, end: size }] : []),
  allocate: () => false,
}

// lseek(2); the numbers are Linux's.
const SEEK_DATA = 3
const SEEK_HOLE = 4

export function nativeHoleAccess(library: Libc): HoleAccess {
  return {
    *dataRanges(fd, size) {
      for (let position = 0; position < size; ) {
        const start = library.lseek(fd, position, SEEK_DATA)
        if (start < 0) {
          const errno = library.errno()
          // Nothing but a hole from here on.
          if (errno === ENXIO) return
          if (errno !== EINVAL && errno !== ENOTSUP) throw library.error('lseek')
          yield { start: position, end: size }
          return
        }
        if (start >= size) return
        const hole = library.lseek(fd, start, SEEK_HOLE)
        // The file may have been cut short since; whoever reads will notice.
        const end = hole < 0 ? size : Math.min(hole, size)
        yield { start, end }
        position = end
      }
    },

    allocate(fd, size) {
      if (size <= 0) return false
      // Not posix_fallocate, which writes zeros where the file system cannot reserve.
      while (library.fallocate(fd, 0, 0, size) !== 0) {
        const errno = library.errno()
        if (errno === EINTR) continue
        if (errno === ENOTSUP || errno === ENOSYS) return false
        throw library.error('fallocate')
      }
      return true
    },
  }
}
