import { readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { type Libc, libc } from './libc.ts'

const { ERANGE } = constants.errno

/** How to look owners up. Undefined: there is no such name or number, or nobody answers. */
export interface OwnerDatabase {
  userName(uid: number): string | undefined
  groupName(gid: number): string | undefined
  userId(name: string): number | undefined
  groupId(name: string): number | undefined
}

let owners: OwnerDatabase | undefined

function cachedOwners(): OwnerDatabase {
  if (!owners) {
    const library = libc()
    owners = cached(library ? nativeOwnerDatabase(library) : portableOwnerDatabase())
  }
  return owners
}

/** Name of a user, '' when it has none. Looked up once per thread and number: it is asked for every file. */
export const userName = (uid: number): string => cachedOwners().userName(uid) ?? ''

/** Name of a group, '' when it has none. */
export const groupName = (gid: number): string => cachedOwners().groupName(gid) ?? ''

/** Number of the user called `name` on this machine. */
export const userId = (name: string): number | undefined => cachedOwners().userId(name)

/** Number of the group called `name` on this machine. */
export const groupId = (name: string): number | undefined => cachedOwners().groupId(name)

function cached(database: OwnerDatabase): OwnerDatabase {
  const remember = <Key, Value>(look: (key: Key) => Value): ((key: Key) => Value) => {
    const known = new Map<Key, Value>()
    return (key) => {
      const value = known.get(key)
      if (value !== undefined || known.has(key)) return value as Value
      const looked = look(key)
      known.set(key, looked)
      return looked
    }
  }
  return {
    userName: remember(database.userName),
    groupName: remember(database.groupName),
    userId: remember(database.userId),
    groupId: remember(database.groupId),
  }
}

/** By the files of the system alone: users who live in a directory service are not found. Files are read at the first question. */
export function portableOwnerDatabase(
  files: { readonly users: string; readonly groups: string } = { users: '/etc/passwd', groups: '/etc/group' },
): OwnerDatabase {
  let users: OwnerFile | undefined
  let groups: OwnerFile | undefined
  const usersOf = (): OwnerFile => (users ??= readOwnerFile(files.users))
  const groupsOf = (): OwnerFile => (groups ??= readOwnerFile(files.groups))
  return {
    userName: (uid) => usersOf().names.get(uid),
    groupName: (gid) => groupsOf().names.get(gid),
    userId: (name) => usersOf().ids.get(name),
    groupId: (name) => groupsOf().ids.get(name),
  }
}

interface OwnerFile {
  readonly names: ReadonlyMap<number, string>
  readonly ids: ReadonlyMap<string, number>
}

/** Lines of passwd(5) and group(5): name, password, number, ...; the first line with a name or number counts, as in the C library. */
function readOwnerFile(path: string): OwnerFile {
  const names = new Map<number, string>()
  const ids = new Map<string, number>()
  for (const line of readLines(path)) {
    const [name, , id] = line.split(':')
    if (!name || !id || !/^\d{1,10}$/.test(id)) continue
    const number = Number(id)
    if (!names.has(number)) names.set(number, name)
    if (!ids.has(name)) ids.set(name, number)
  }
  return { names, ids }
}

function readLines(path: string): readonly string[] {
  try {
    return readFileSync(path, 'utf8').split('\n')
  } catch {
    // Without the file nobody has a name, which is no reason to stop a backup.
    return []
  }
}

/** Enough for users and usual groups; a group with thousands of members needs more. */
const FIRST_BYTES = 4096
const MAX_BYTES = 16 * 1024 * 1024

/** struct passwd and struct group of 64-bit Linux both begin with: name (pointer), password (pointer), number (32 bits). */
const RECORD_BYTES = 128
const NUMBER_OFFSET = 16

/** By the C library, which asks everything the machine is configured to ask. */
export function nativeOwnerDatabase(library: Libc): OwnerDatabase {
  // The record, and behind it the place for the pointer to it (null when nothing is found).
  const memory = Buffer.from(new ArrayBuffer(RECORD_BYTES + 8))
  const record = library.addressOf(memory)
  const result = record + RECORD_BYTES
  let texts = new Uint8Array(FIRST_BYTES)

  /** Calls with the address of the buffer for texts and its size until it is large enough; whether something was found. */
  const find = (call: (textAddress: number, textBytes: number) => number): boolean => {
    for (;;) {
      memory.fill(0)
      const errno = call(library.addressOf(texts), texts.length)
      if (errno !== ERANGE || texts.length >= MAX_BYTES)
        return errno === 0 && memory.readBigUInt64LE(RECORD_BYTES) !== 0n
      texts = new Uint8Array(texts.length * 4)
    }
  }
  const byNumber =
    (look: Libc['getpwuid_r']) =>
    (id: number): string | undefined => {
      if (!find((address, size) => look(id, record, address, size, result))) return undefined
      // The name is anywhere in memory: some name services point at their own.
      const address = Number(memory.readBigUInt64LE(0))
      const name = Buffer.alloc(library.strlen(address))
      if (name.length > 0) library.memcpy(name, address, name.length)
      return name.toString('utf8') || undefined
    }
  const byName =
    (look: Libc['getpwnam_r']) =>
    (name: string): number | undefined => {
      if (name === '' || name.includes('\0')) return undefined
      const found = find((address, size) => look(Buffer.from(`${name}\0`), record, address, size, result))
      return found ? memory.readUInt32LE(NUMBER_OFFSET) : undefined
    }
  return {
    userName: byNumber(library.getpwuid_r),
    groupName: byNumber(library.getgrgid_r),
    userId: byName(library.getpwnam_r),
    groupId: byName(library.getgrnam_r),
  }
}
