import { constants } from 'node:os'
import { HoldfastError } from '../../lib/errors.ts'
import { createPathArgument, type Libc, libc } from './libc.ts'
import { ownSystemError, printablePath, type SystemError } from './system-error.ts'

const { ENOTSUP, ERANGE } = constants.errno

/** An extended attribute. Access control lists of POSIX are those named `system.posix_acl_access` and `system.posix_acl_default`. */
export interface ExtendedAttribute {
  /** One character (0 to 255) per byte. */
  readonly name: string
  readonly value: Uint8Array
}

/** What attributes are of: a path, of the link itself where it is one, or the descriptor of an open file. */
export type AttributeTarget = Uint8Array | number

/** How to get at attributes; the functions of this module use the best way this machine has. */
export interface AttributeStore {
  readonly read: typeof readAttributes
  readonly write: typeof writeAttribute
  readonly remove: typeof removeAttribute
}

let store: AttributeStore | undefined

function attributeStore(): AttributeStore {
  if (!store) {
    const library = libc()
    store = library ? nativeAttributeStore(library) : portableAttributeStore
  }
  return store
}

/**
 * All attributes of a file we may see, in the kernel's order; none where the file system has no such thing, or the native library is
 * missing.
 *
 * @param onUnreadable told of an attribute that is listed but cannot be read, which is then left out; without it such an error is thrown
 */
export function readAttributes(
  target: AttributeTarget,
  onUnreadable?: (name: string, error: SystemError) => void,
): ExtendedAttribute[] {
  return attributeStore().read(target, onUnreadable)
}

/** Creates or replaces an attribute. `ENOTSUP` where the file system has none, HF_UNSUPPORTED without the native library. */
export function writeAttribute(target: AttributeTarget, { name, value }: ExtendedAttribute): void {
  attributeStore().write(target, { name, value })
}

/** Removes an attribute; `ENODATA` when there is no such attribute. */
export function removeAttribute(target: AttributeTarget, name: string): void {
  attributeStore().remove(target, name)
}

export const portableAttributeStore: AttributeStore = {
  read: () => [],
  write: (target, { name }) => {
    throw withoutLibrary(target, name, 'set')
  },
  remove: (target, name) => {
    throw withoutLibrary(target, name, 'removed')
  },
}

function withoutLibrary(target: AttributeTarget, name: string, done: string): HoldfastError {
  const of = typeof target === 'number' ? 'an open file' : printablePath(target)
  return new HoldfastError(
    'HF_UNSUPPORTED',
    `extended attribute ${printableName(name)} of ${of} cannot be ${done} without the native library`,
    { hint: 'Install the optional dependency koffi, and do not set HOLDFAST_NATIVE=off.' },
  )
}

const printableName = (name: string): string => printablePath(Buffer.from(name, 'latin1'))

/**
 * Rooms offered in turn: the kernel clears as much memory as it is offered, so most calls should offer little. The last is the most it
 * will ever fill (XATTR_LIST_MAX, XATTR_SIZE_MAX).
 */
const ROOMS = [1024, 65_536] as const

/** Longest name of an attribute (XATTR_NAME_MAX). */
const NAME_MAX = 255

export function nativeAttributeStore(library: Libc): AttributeStore {
  const path = createPathArgument(library)
  const nameBytes = Buffer.from(new ArrayBuffer(NAME_MAX + 1))
  const nameAddress = library.addressOf(nameBytes)
  // The list of names and one value, in one buffer that the closures below keep alive.
  const memory = Buffer.from(new ArrayBuffer(2 * ROOMS[1]))
  const values = new Uint8Array(memory.buffer, ROOMS[1])
  const list = library.addressOf(memory)
  const value = list + ROOMS[1]

  /** 0 for a descriptor, which is passed by itself. */
  const setPath = (target: AttributeTarget, syscall: string): number =>
    typeof target === 'number' ? 0 : path.set(target, syscall)

  const setName = (name: string, target: AttributeTarget, syscall: string): void => {
    if (name.length > NAME_MAX) throw ownSystemError('ERANGE', syscall, pathOf(target))
    if (name.includes('\0')) throw ownSystemError('EINVAL', syscall, pathOf(target))
    nameBytes[nameBytes.write(name, 'latin1')] = 0
  }

  const failure = (syscall: string, target: AttributeTarget): SystemError => library.error(syscall, pathOf(target))

  const readValue = (target: AttributeTarget, pathAddress: number, listedName: number): number => {
    let length = -1
    for (const room of ROOMS) {
      length =
        typeof target === 'number'
          ? library.fgetxattr(target, listedName, value, room)
          : library.lgetxattr(pathAddress, listedName, value, room)
      if (length >= 0 || library.errno() !== ERANGE) break
    }
    return length
  }

  return {
    read: (target, onUnreadable) => {
      const pathAddress = setPath(target, 'llistxattr')
      let listed = -1
      for (const room of ROOMS) {
        listed =
          typeof target === 'number'
            ? library.flistxattr(target, list, room)
            : library.llistxattr(pathAddress, list, room)
        if (listed === 0) return []
        if (listed > 0) break
        const errno = library.errno()
        if (errno === ENOTSUP) return []
        if (errno !== ERANGE) break
      }
      if (listed < 0) throw failure('llistxattr', target)
      const attributes: ExtendedAttribute[] = []
      for (let start = 0; start < listed; ) {
        const end = memory.indexOf(0, start)
        if (end < 0 || end >= listed) break
        const length = readValue(target, pathAddress, list + start)
        const found = memory.toString('latin1', start, end)
        start = end + 1
        if (length >= 0) {
          attributes.push({ name: found, value: values.slice(0, length) })
          continue
        }
        const error = failure('lgetxattr', target)
        // It was removed since it was listed, or is made up by the file system for other callers than us.
        if (error.code === 'ENODATA' || error.code === 'ENOTSUP') continue
        if (!onUnreadable) throw error
        onUnreadable(found, error)
      }
      return attributes
    },

    write: (target, attribute) => {
      const pathAddress = setPath(target, 'lsetxattr')
      setName(attribute.name, target, 'lsetxattr')
      const { length } = attribute.value
      const valueAddress = library.addressOf(attribute.value)
      const status =
        typeof target === 'number'
          ? library.fsetxattr(target, nameAddress, valueAddress, length, 0)
          : library.lsetxattr(pathAddress, nameAddress, valueAddress, length, 0)
      if (status !== 0) throw failure('lsetxattr', target)
    },

    remove: (target, name) => {
      const pathAddress = setPath(target, 'lremovexattr')
      setName(name, target, 'lremovexattr')
      const status =
        typeof target === 'number'
          ? library.fremovexattr(target, nameAddress)
          : library.lremovexattr(pathAddress, nameAddress)
      if (status !== 0) throw failure('lremovexattr', target)
    },
  }
}

const pathOf = (target: AttributeTarget): Uint8Array | undefined => (typeof target === 'number' ? undefined : target)
