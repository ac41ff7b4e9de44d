import { isUtf8 } from 'node:buffer'
import { utf8 } from '../../lib/bytes.ts'
import type { FileAttributes, FileTime } from '../posix/attributes.ts'
import type { DirectoryListing } from '../posix/directory-listing.ts'
import { groupName, userName } from '../posix/owner-names.ts'
import { decodeNode } from '../repository/tree/decode-tree.ts'
import { JsonCursor } from '../repository/tree/json-cursor.ts'
import { toGoMode } from '../repository/tree/mode.ts'
import { type ByteString, type Node, textToByteString } from '../repository/tree/node.ts'

/** What a directory has that is as it was. */
export interface KeptDirectory {
  /** Nodes of its subdirectories, which may have changed, and the place of each in the listing. */
  readonly directories: readonly { readonly node: Node; readonly entry: number }[]
  /** Sizes of its files. */
  readonly fileSizes: readonly number[]
}

export interface KeptRules {
  /** Whether the entry is part of the backup. */
  selects(entry: number): boolean
  /** A file touched while the parent snapshot was being made may hold more than that saw: see `ChangeRules`. */
  wasTouchedDuring(ctime: FileTime): boolean
  /** Whether an entry that is neither file nor directory is the node in every respect. */
  isSame(attributes: FileAttributes, node: Node): boolean
  /** Whether the data blob whose id is the 32 bytes is stored. */
  hasBlob(id: Uint8Array): boolean
}

const start = utf8('{"nodes":[')
const nameKey = utf8('{"name":"')
const fileKey = utf8('","type":"file","mode":')
const directoryKey = utf8('","type":"dir"')
const key = (name: string): Uint8Array => utf8(`,"${name}":`)
const [mtimeKey, atimeKey, ctimeKey] = [key('mtime'), key('atime'), key('ctime')]
const [uidKey, gidKey, userKey, groupKey] = [key('uid'), key('gid'), key('user'), key('group')]
const [inodeKey, deviceKey, sizeKey, linksKey] = [key('inode'), key('device_id'), key('size'), key('links')]
const [extendedKey, contentKey] = [key('extended_attributes'), utf8(',"content":[')]

/** A name's quoted form where it has to be escaped or checked: those are compared the long way. */
const isPlain = new Uint8Array(256).fill(1, 0x20)
isPlain[0x22] = 0
isPlain[0x5c] = 0
isPlain[0x7f] = 0

const id = new Uint8Array(32)

/**
 * Compares a directory with the tree blob of the parent snapshot without making objects of its files, which is what most of the time goes
 * into when little has changed. Returns undefined when anything but its subdirectories is different, or written in another way than
 * Holdfast and restic write it: then the directory has to be compared entry by entry.
 */
export function matchDirectory(
  tree: Uint8Array,
  listing: DirectoryListing,
  rules: KeptRules,
): KeptDirectory | undefined {
  try {
    return new Matcher(tree, listing, rules).match()
  } catch {
    // Not what a tree looks like; who reads it the long way says why.
    return undefined
  }
}

class Matcher {
  readonly #cursor: JsonCursor
  readonly #tree: Uint8Array
  readonly #listing: DirectoryListing
  readonly #rules: KeptRules

  constructor(tree: Uint8Array, listing: DirectoryListing, rules: KeptRules) {
    this.#cursor = new JsonCursor(tree, 'a tree')
    this.#tree = tree
    this.#listing = listing
    this.#rules = rules
  }

  match(): KeptDirectory | undefined {
    const cursor = this.#cursor
    const directories: { node: Node; entry: number }[] = []
    const fileSizes: number[] = []
    if (!cursor.acceptBytes(start)) return undefined
    for (let entry = 0, count = 0; entry < this.#listing.count; entry++) {
      if (!this.#rules.selects(entry)) continue
      if (this.#listing.error(entry) !== undefined) return undefined
      const attributes = this.#listing.attributes(entry)
      if (attributes.type === 'socket') continue
      if (count++ > 0 && !cursor.accept(0x2c)) return undefined
      const begin = cursor.at
      if (!cursor.acceptBytes(nameKey) || !this.#acceptName(entry)) return undefined
      if (attributes.type === 'file') {
        if (!cursor.acceptBytes(fileKey) || !this.#acceptFile(attributes)) return undefined
        fileSizes.push(attributes.size)
        continue
      }
      const isDirectory = attributes.type === 'dir'
      if (isDirectory && !cursor.acceptBytes(directoryKey)) return undefined
      cursor.at = begin
      const node = decodeNode(cursor)
      if (isDirectory) directories.push({ node, entry })
      else if (!this.#rules.isSame(attributes, node)) return undefined
    }
    return cursor.accept(0x5d) && cursor.accept(0x7d) && cursor.peek() === undefined
      ? { directories, fileSizes }
      : undefined
  }

  #acceptName(entry: number): boolean {
    const { names } = this.#listing
    const from = this.#listing.nameStart(entry)
    const end = this.#listing.nameEnd(entry)
    const shift = this.#cursor.at - from
    let isAscii = true
    for (let i = from; i < end; i++) {
      const byte = names[i]!
      if (this.#tree[shift + i] !== byte || isPlain[byte] === 0) return false
      if (byte >= 0x80) isAscii = false
    }
    this.#cursor.at = shift + end
    return isAscii || isUtf8(names.subarray(from, end))
  }

  /** Everything behind the mode's key: what `isUnchanged` and `isSameEntry` ask, and whether the content is still there. */
  #acceptFile(now: FileAttributes): boolean {
    const cursor = this.#cursor
    return (
      cursor.uint64() === toGoMode(now.mode) &&
      cursor.acceptBytes(mtimeKey) &&
      this.#acceptTime(now.mtime) &&
      cursor.acceptBytes(atimeKey) &&
      this.#acceptTime(now.mtime) &&
      cursor.acceptBytes(ctimeKey) &&
      this.#acceptTime(now.ctime) &&
      !this.#rules.wasTouchedDuring(now.ctime) &&
      cursor.acceptBytes(uidKey) &&
      cursor.uint64() === now.uid &&
      cursor.acceptBytes(gidKey) &&
      cursor.uint64() === now.gid &&
      this.#acceptOwner(userKey, userName(now.uid)) &&
      this.#acceptOwner(groupKey, groupName(now.gid)) &&
      this.#acceptNumber(inodeKey, now.inode) &&
      this.#acceptNumber(deviceKey, now.device) &&
      this.#acceptNumber(sizeKey, now.size) &&
      this.#acceptNumber(linksKey, now.links) &&
      this.#skipAttributes() &&
      this.#acceptContent()
    )
  }

  #acceptTime({ seconds, nanoseconds }: FileTime): boolean {
    const time = this.#cursor.time()
    return time.seconds === seconds && time.nanoseconds === nanoseconds
  }

  /** An empty name is left out, as is a number that is 0. */
  #acceptOwner(ownerKey: Uint8Array, name: ByteString): boolean {
    return name === '' || (this.#cursor.acceptBytes(ownerKey) && this.#cursor.acceptQuoted(textToByteString(name)))
  }

  #acceptNumber(numberKey: Uint8Array, value: number | bigint): boolean {
    return value === 0 || (this.#cursor.acceptBytes(numberKey) && this.#cursor.uint64() === value)
  }

  /** They cannot change without moving the ctime. */
  #skipAttributes(): boolean {
    if (this.#cursor.acceptBytes(extendedKey)) this.#cursor.skipValue()
    return true
  }

  #acceptContent(): boolean {
    const cursor = this.#cursor
    if (!cursor.acceptBytes(contentKey)) return false
    if (!cursor.accept(0x5d)) {
      do {
        cursor.idBytes(id)
        if (!this.#rules.hasBlob(id)) return false
      } while (cursor.accept(0x2c))
      if (!cursor.accept(0x5d)) return false
    }
    return cursor.accept(0x7d)
  }
}
