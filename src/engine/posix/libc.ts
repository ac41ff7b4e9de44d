import { endianness } from 'node:os'
import { type NativeFunction, nativeLibrary } from '../../lib/native.ts'
import { ownSystemError, type SystemError, systemError } from './system-error.ts'

/**
 * Addresses are mostly `uintptr_t`: numbers cost less per call than views, and most calls point into the middle of a kept buffer.
 * `syscall` stands in for what the C libraries of Node's oldest supported systems do not export.
 */
const signatures = {
  syscall: ['intptr_t', 'intptr_t', 'intptr_t', 'uintptr_t', 'uintptr_t', 'uintptr_t'],
  openat: ['int', 'int', 'uintptr_t', 'int', 'uint'],
  close: ['int', 'int'],
  statx: ['int', 'int', 'uintptr_t', 'int', 'uint', 'uintptr_t'],
  mkdirat: ['int', 'int', 'uintptr_t', 'uint'],
  unlinkat: ['int', 'int', 'uintptr_t', 'int'],
  symlinkat: ['int', 'uintptr_t', 'int', 'uintptr_t'],
  linkat: ['int', 'int', 'uintptr_t', 'int', 'uintptr_t', 'int'],
  renameat: ['int', 'int', 'uintptr_t', 'int', 'uintptr_t'],
  readlinkat: ['intptr_t', 'int', 'uintptr_t', 'uintptr_t', 'size_t'],
  fchownat: ['int', 'int', 'uintptr_t', 'uint', 'uint', 'int'],
  utimensat: ['int', 'int', 'uintptr_t', 'uintptr_t', 'int'],
  futimens: ['int', 'int', 'uintptr_t'],
  llistxattr: ['intptr_t', 'uintptr_t', 'uintptr_t', 'size_t'],
  flistxattr: ['intptr_t', 'int', 'uintptr_t', 'size_t'],
  lgetxattr: ['intptr_t', 'uintptr_t', 'uintptr_t', 'uintptr_t', 'size_t'],
  fgetxattr: ['intptr_t', 'int', 'uintptr_t', 'uintptr_t', 'size_t'],
  lsetxattr: ['int', 'uintptr_t', 'uintptr_t', 'uintptr_t', 'size_t', 'int'],
  fsetxattr: ['int', 'int', 'uintptr_t', 'uintptr_t', 'size_t', 'int'],
  lremovexattr: ['int', 'uintptr_t', 'uintptr_t'],
  fremovexattr: ['int', 'int', 'uintptr_t'],
  lseek: ['int64_t', 'int', 'int64_t', 'int'],
  fallocate: ['int', 'int', 'int', 'int64_t', 'int64_t'],
  posix_fadvise: ['int', 'int', 'int64_t', 'int64_t', 'int'],
  getpwuid_r: ['int', 'uint', 'uintptr_t', 'uintptr_t', 'size_t', 'uintptr_t'],
  getgrgid_r: ['int', 'uint', 'uintptr_t', 'uintptr_t', 'size_t', 'uintptr_t'],
  getpwnam_r: ['int', 'void*', 'uintptr_t', 'uintptr_t', 'size_t', 'uintptr_t'],
  getgrnam_r: ['int', 'void*', 'uintptr_t', 'uintptr_t', 'size_t', 'uintptr_t'],
  strlen: ['size_t', 'uintptr_t'],
  memcpy: ['uintptr_t', 'void*', 'uintptr_t', 'size_t'],
} as const

type Signatures = typeof signatures

/** The C library of this thread: functions by name, and what their callers need. */
export type Libc = {
  readonly [Name in keyof Signatures]: NativeFunction
} & {
  readonly systemCalls: SystemCalls
  /** Address of the first byte of a view; see NativeLibrary. */
  addressOf(view: Uint8Array): number
  /** The error of the call that has just failed. */
  error(syscall: string, path?: Uint8Array): SystemError
  /** The number of the error of the call that has just failed. */
  errno(): number
}

/** Numbers for `syscall`, by architecture. */
interface SystemCalls {
  readonly getdents64: number
  readonly mknodat: number
}

const systemCalls: Partial<Record<NodeJS.Architecture, SystemCalls>> = {
  x64: { getdents64: 217, mknodat: 259 },
  arm64: { getdents64: 61, mknodat: 33 },
}

export const AT_FDCWD = -100
export const AT_SYMLINK_NOFOLLOW = 0x100
export const AT_REMOVEDIR = 0x200
export const AT_NO_AUTOMOUNT = 0x800
export const AT_EMPTY_PATH = 0x1000
export const O_CLOEXEC = 0o2000000
export const O_PATH = 0o10000000

/** undefined: not looked for yet in this thread; null: not to be had. */
let found: Libc | null | undefined

/**
 * The C library, or undefined where it cannot be called or is not one whose structures we know (64-bit little-endian Linux): the portable
 * versions serve then. Looked for once per thread.
 */
export function libc(): Libc | undefined {
  if (found === undefined) found = find() ?? null
  return found ?? undefined
}

function find(): Libc | undefined {
  const calls = systemCalls[process.arch]
  if (process.platform !== 'linux' || endianness() !== 'LE' || !calls) return undefined
  const library = nativeLibrary()
  if (!library) return undefined
  const functions: Partial<Record<keyof Signatures, NativeFunction>> = {}
  for (const [name, [result, ...args]] of Object.entries(signatures) as [keyof Signatures, readonly string[]][]) {
    const one = library.func(name, result!, args)
    if (!one) return undefined
    functions[name] = one
  }
  const candidate: Libc = {
    ...(functions as Record<keyof Signatures, NativeFunction>),
    systemCalls: calls,
    addressOf: (view) => library.addressOf(view),
    error: (syscall, path) => systemError(library.errno(), syscall, path),
    errno: () => library.errno(),
  }
  return answersStatx(candidate) ? candidate : undefined
}

const RESULT = 256

/** Some sandboxes refuse statx, without which nothing here is worth its while. */
function answersStatx(candidate: Libc): boolean {
  const memory = new Uint8Array(2 * RESULT)
  memory[0] = 0x2f
  const address = candidate.addressOf(memory)
  const status = candidate.statx(AT_FDCWD, address, 0, 0x7ff, address + RESULT)
  const format = memory[RESULT + 29]! & 0xf0
  return status === 0 && format === 0x40
}

/** A kept buffer that passes paths to calls: `set` copies and ends with NUL, and returns the address. */
export interface PathArgument {
  /** @param syscall for the error of a path that no call would take as it is */
  set(path: Uint8Array, syscall: string): number
}

/** Longest path of Linux, NUL included; longer ones are reached from an open directory only. */
export const PATH_MAX = 4096

export function createPathArgument(library: Libc): PathArgument {
  // The closure below keeps these bytes, and with them their address, alive.
  const bytes = new Uint8Array(PATH_MAX)
  const address = library.addressOf(bytes)
  return {
    set(path, syscall) {
      const { length } = path
      if (length >= PATH_MAX) throw ownSystemError('ENAMETOOLONG', syscall, path)
      bytes.set(path)
      bytes[length] = 0
      if (bytes.indexOf(0) !== length) throw ownSystemError('EINVAL', syscall, path)
      return address
    },
  }
}
