import { futimesSync, lutimesSync } from 'node:fs'
import { asBuffer } from '../../lib/bytes.ts'
import type { FileTime } from './attributes.ts'
import { AT_FDCWD, AT_SYMLINK_NOFOLLOW, createPathArgument, type Libc, libc } from './libc.ts'
import { systemErrorAbout } from './system-error.ts'

/** How to set times; `setTimes` uses the best way this machine has. */
export type TimesSetter = (target: Uint8Array | number, accessed: FileTime, modified: FileTime) => void

let setter: TimesSetter | undefined

/**
 * Sets times of access and modification, to the nanosecond where the native library is there; without it the last digits are lost (about
 * 0.1 µs in this century).
 *
 * @param target path, of the link itself where it is one, or the descriptor of an open file
 */
export function setTimes(target: Uint8Array | number, accessed: FileTime, modified: FileTime): void {
  if (!setter) {
    const library = libc()
    setter = library ? nativeTimesSetter(library) : portableTimesSetter
  }
  setter(target, accessed, modified)
}

export const portableTimesSetter: TimesSetter = (target, accessed, modified) => {
  try {
    if (typeof target === 'number') futimesSync(target, roundedSeconds(accessed), roundedSeconds(modified))
    else lutimesSync(asBuffer(target), roundedSeconds(accessed), roundedSeconds(modified))
  } catch (error) {
    throw systemErrorAbout(error, typeof target === 'number' ? undefined : target)
  }
}

/** Seconds as a double, in text: Node takes a negative number for "now". */
const roundedSeconds = ({ seconds, nanoseconds }: FileTime): string => String(seconds + nanoseconds / 1e9)

export function nativeTimesSetter(library: Libc): TimesSetter {
  const path = createPathArgument(library)
  const times = createTimesArgument(library)
  return (target, accessed, modified) => {
    if (typeof target === 'number') {
      if (library.futimens(target, times.set(accessed, modified)) !== 0) throw library.error('futime')
      return
    }
    const address = path.set(target, 'lutime')
    if (library.utimensat(AT_FDCWD, address, times.set(accessed, modified), AT_SYMLINK_NOFOLLOW) !== 0)
      throw library.error('lutime', target)
  }
}

/** A kept pair of struct timespec, as utimensat takes it. */
export interface TimesArgument {
  /** Returns the address of the pair. */
  set(accessed: FileTime, modified: FileTime): number
}

export function createTimesArgument(library: Libc): TimesArgument {
  const words = new Uint32Array(8)
  const address = library.addressOf(new Uint8Array(words.buffer))
  const write = (at: number, { seconds, nanoseconds }: FileTime): void => {
    // Stores take the value modulo 2^32, which is the two's complement the structure wants.
    words[at] = seconds
    words[at + 1] = Math.floor(seconds / 2 ** 32)
    words[at + 2] = nanoseconds
  }
  return {
    set(accessed, modified) {
      write(0, accessed)
      write(4, modified)
      return address
    },
  }
}
