import { type BigIntStats, fstatSync, lstatSync } from 'node:fs'
import { asBuffer } from '../../lib/bytes.ts'
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_NO_AUTOMOUNT,
  AT_SYMLINK_NOFOLLOW,
  createPathArgument,
  type Libc,
  libc,
} from './libc.ts'
import { systemErrorAbout } from './system-error.ts'

/** `irregular` is what Unix has no name for. */
export type FileType = 'file' | 'dir' | 'symlink' | 'dev' | 'chardev' | 'fifo' | 'socket' | 'irregular'

/** An instant as the system keeps it. */
export interface FileTime {
  /** Whole seconds since the Unix epoch, rounded down; negative before 1970. */
  readonly seconds: number
  /** 0 to 999,999,999. */
  readonly nanoseconds: number
}

/** What lstat knows of a file, plain data that can be sent to another thread. */
export interface FileAttributes {
  readonly type: FileType
  /** st_mode: format and permission bits. */
  readonly mode: number
  readonly size: number
  readonly mtime: FileTime
  readonly ctime: FileTime
  readonly atime: FileTime
  readonly uid: number
  readonly gid: number
  /** A bigint only above Number.MAX_SAFE_INTEGER, so that `===` compares. */
  readonly inode: number | bigint
  /** st_dev as the C library encodes it; a bigint only above Number.MAX_SAFE_INTEGER. */
  readonly device: number | bigint
  /** st_rdev of a device, else 0; a bigint only above Number.MAX_SAFE_INTEGER. */
  readonly rdev: number | bigint
  readonly links: number
  /** Space taken, in units of 512 bytes whatever the file system's own: less than the size says that there may be holes. */
  readonly blocks: number
}

/** By the format in bits 12 to 15 of st_mode. */
const types: readonly FileType[] = Array.from({ length: 16 }, (_, format) => {
  const known: Partial<Record<number, FileType>> = {
    1: 'fifo',
    2: 'chardev',
    4: 'dir',
    6: 'dev',
    8: 'file',
    10: 'symlink',
    12: 'socket',
  }
  return known[format] ?? 'irregular'
})

/** Type by the format bits of st_mode. */
export const fileTypeOf = (mode: number): FileType => types[(mode >>> 12) & 15]!

/** How to ask for attributes; `lstat` and `fstat` use the best one this machine has. */
export interface AttributeReader {
  lstat(path: Uint8Array): FileAttributes
  fstat(fd: number): FileAttributes
}

let reader: AttributeReader | undefined

function attributeReader(): AttributeReader {
  if (!reader) {
    const library = libc()
    reader = library ? nativeAttributeReader(library) : portableAttributeReader
  }
  return reader
}

/** Attributes of `path`, of the link itself where it is one. */
export const lstat = (path: Uint8Array): FileAttributes => attributeReader().lstat(path)

/** Attributes of an open file. */
export const fstat = (fd: number): FileAttributes => attributeReader().fstat(fd)

/**
 * Whether a file is what it was as far as its content goes: nobody writes without changing one of these, except within the resolution of
 * the file system's clock.
 */
export function sameContentAttributes(a: FileAttributes, b: FileAttributes): boolean {
  return (
    a.type === b.type &&
    a.size === b.size &&
    a.inode === b.inode &&
    a.mtime.nanoseconds === b.mtime.nanoseconds &&
    a.mtime.seconds === b.mtime.seconds &&
    a.ctime.nanoseconds === b.ctime.nanoseconds &&
    a.ctime.seconds === b.ctime.seconds
  )
}

export const portableAttributeReader: AttributeReader = {
  lstat: (path) => {
    try {
      return attributesOfStats(lstatSync(asBuffer(path), { bigint: true }))
    } catch (error) {
      throw systemErrorAbout(error, path)
    }
  },
  fstat: (fd) => attributesOfStats(fstatSync(fd, { bigint: true })),
}

const noPath = new Uint8Array()

export function nativeAttributeReader(library: Libc): AttributeReader {
  const path = createPathArgument(library)
  const statx = createStatx(library)
  return {
    lstat: (name) => {
      if (!statx.call(AT_FDCWD, path.set(name, 'lstat'), NO_FOLLOW)) throw library.error('lstat', name)
      return statx.attributes()
    },
    fstat: (fd) => {
      if (!statx.call(fd, path.set(noPath, 'fstat'), AT_EMPTY_PATH)) throw library.error('fstat')
      return statx.attributes()
    },
  }
}

/** Flags of `lstat` for statx. */
export const NO_FOLLOW: number = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT

/** statx into a kept buffer. */
export interface Statx {
  /** False when the call failed: `library.error` tells why. */
  call(directory: number, pathAddress: number, flags: number): boolean
  /** What the last successful call found. */
  attributes(): FileAttributes
  /** The same into other memory: STATX_BYTES from `address` on. */
  callInto(directory: number, pathAddress: number, flags: number, address: number): boolean
}

/** Words of 32 bits of what statx writes that say something, and bytes of all it writes: rows may lie closer together than it writes. */
export const STATX_ROW_WORDS = 36
export const STATX_BYTES = 256

/** Everything that `stat` has. */
const STATX_BASIC_STATS = 0x7ff

export function createStatx(library: Libc): Statx {
  const result = new Uint8Array(STATX_BYTES)
  const words = new Uint32Array(result.buffer)
  const address = library.addressOf(result)
  const { statx } = library
  return {
    call: (directory, pathAddress, flags) => statx(directory, pathAddress, flags, STATX_BASIC_STATS, address) === 0,
    attributes: () => decodeStatx(words, 0),
    callInto: (directory, pathAddress, flags, target) =>
      statx(directory, pathAddress, flags, STATX_BASIC_STATS, target) === 0,
  }
}

/** st_mode of the struct statx whose first word is at `at`. */
export const statxMode = (words: Uint32Array, at: number): number => words[at + 7]! & 0xffff

/** Reads a struct statx whose first word is at `at`. Its layout is the same on all architectures (linux/stat.h). */
export function decodeStatx(words: Uint32Array, at: number): FileAttributes {
  const mode = statxMode(words, at)
  return {
    type: types[mode >>> 12]!,
    mode,
    size: words[at + 10]! + words[at + 11]! * 2 ** 32,
    mtime: { seconds: words[at + 28]! + (words[at + 29]! | 0) * 2 ** 32, nanoseconds: words[at + 30]! },
    ctime: { seconds: words[at + 24]! + (words[at + 25]! | 0) * 2 ** 32, nanoseconds: words[at + 26]! },
    atime: { seconds: words[at + 16]! + (words[at + 17]! | 0) * 2 ** 32, nanoseconds: words[at + 18]! },
    uid: words[at + 5]!,
    gid: words[at + 6]!,
    inode: join64(words[at + 8]!, words[at + 9]!),
    device: deviceNumber(words[at + 34]!, words[at + 35]!),
    rdev: deviceNumber(words[at + 32]!, words[at + 33]!),
    links: words[at + 4]!,
    blocks: words[at + 12]! + words[at + 13]! * 2 ** 32,
  }
}

/** The inverse of `decodeStatx`. */
export function encodeStatx(attributes: FileAttributes, words: Uint32Array, at: number): void {
  const put64 = (word: number, value: number | bigint): void => {
    const bits = BigInt.asUintN(64, BigInt(value))
    words[at + word] = Number(bits & 0xffff_ffffn)
    words[at + word + 1] = Number(bits >> 32n)
  }
  const putTime = (word: number, { seconds, nanoseconds }: FileTime): void => {
    put64(word, seconds)
    words[at + word + 2] = nanoseconds
  }
  const putDevice = (word: number, device: number | bigint): void => {
    const { major, minor } = splitDeviceNumber(device)
    words[at + word] = major
    words[at + word + 1] = minor
  }
  words[at + 4] = attributes.links
  words[at + 5] = attributes.uid
  words[at + 6] = attributes.gid
  words[at + 7] = attributes.mode
  put64(8, attributes.inode)
  put64(10, attributes.size)
  put64(12, attributes.blocks)
  putTime(16, attributes.atime)
  putTime(24, attributes.ctime)
  putTime(28, attributes.mtime)
  putDevice(32, attributes.rdev)
  putDevice(34, attributes.device)
}

const join64 = (low: number, high: number): number | bigint =>
  high < 2 ** 21 ? low + high * 2 ** 32 : (BigInt(high) << 32n) | BigInt(low)

/** glibc's `makedev`. Linux itself has 12 bits of major and 20 of minor, so the result stays far below 2^53. */
export const deviceNumber = (major: number, minor: number): number =>
  (minor & 0xff) + (major & 0xfff) * 2 ** 8 + (minor >>> 8) * 2 ** 20 + (major >>> 12) * 2 ** 44

/** The inverse of `deviceNumber`. */
export function splitDeviceNumber(device: number | bigint): { readonly major: number; readonly minor: number } {
  const number = BigInt(device)
  return {
    major: Number(((number >> 8n) & 0xfffn) | ((number >> 32n) & 0xffff_f000n)),
    minor: Number((number & 0xffn) | ((number >> 12n) & 0xffff_ff00n)),
  }
}

const NANOSECONDS = 1_000_000_000n

function fileTime(nanoseconds: bigint): FileTime {
  const rest = ((nanoseconds % NANOSECONDS) + NANOSECONDS) % NANOSECONDS
  return { seconds: Number((nanoseconds - rest) / NANOSECONDS), nanoseconds: Number(rest) }
}

const uint64 = (value: bigint): number | bigint => (value <= 9_007_199_254_740_991n ? Number(value) : value)

function attributesOfStats(stats: BigIntStats): FileAttributes {
  const mode = Number(stats.mode)
  return {
    type: fileTypeOf(mode),
    mode,
    size: Number(stats.size),
    mtime: fileTime(stats.mtimeNs),
    ctime: fileTime(stats.ctimeNs),
    atime: fileTime(stats.atimeNs),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    inode: uint64(stats.ino),
    device: uint64(stats.dev),
    rdev: uint64(stats.rdev),
    links: Number(stats.nlink),
    blocks: Number(stats.blocks),
  }
}
