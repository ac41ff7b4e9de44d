import { isUtf8 } from 'node:buffer'
import { utf8 } from '../../lib/bytes.ts'
import { isHoldfastError } from '../../lib/errors.ts'
import type { FileAttributes, FileTime } from '../posix/attributes.ts'
import type { DirectoryListing } from '../posix/directory-listing.ts'
import { groupName, userName } from '../posix/owner-names.ts'
import { decodeNode } from '../repository/tree/decode-tree.ts'
import type { NodeRange } from '../repository/tree/encode-tree.ts'
import { JsonCursor } from '../repository/tree/json-cursor.ts'
import { toGoMode } from '../repository/tree/mode.ts'
import { type ByteString, type Node, textToByteString } from '../repository/tree/node.ts'

/** A node of the parent snapshot's tree, and where in the tree blob it is written. */
export interface PreviousNode extends NodeRange {
  readonly node: Node
}

/** What becomes of a directory, in its order: nodes that are taken over, and entries that have to be looked at. */
export type MatchStep = NodeRange | { readonly entry: number; readonly previous: PreviousNode | undefined }

export interface MatchedDirectory {
  readonly steps: readonly MatchStep[]
  /** Something that was there is gone. */
  readonly hasLost: boolean
  /** Of what is taken over. */
  readonly files: number
  readonly bytes: number
}

export interface MatchRules {
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
const fileKey = utf8(',"type":"file","mode":')
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

/** Names of owners as bytes; there are few, and each is on many files. */
const ownerBytesByName = new Map<string, ByteString>()

function ownerBytes(name: string): ByteString {
  let bytes = ownerBytesByName.get(name)
  if (bytes === undefined) {
    bytes = textToByteString(name)
    ownerBytesByName.set(name, bytes)
  }
  return bytes
}

/**
 * Compares a directory with its tree blob in the parent snapshot. Files that are as they were are passed over byte by byte, without making
 * objects of them; most of the time goes into that when little has changed. Subdirectories always have to be looked at.
 *
 * Returns undefined when the blob is not a tree, or an entry could not be read: then the directory is to be compared the long way, which
 * says what is wrong.
 */
export function matchDirectory(
  tree: Uint8Array,
  listing: DirectoryListing,
  rules: MatchRules,
): MatchedDirectory | undefined {
  try {
    return new Matcher(tree, listing, rules).match()
  } catch (error) {
    if (isHoldfastError(error, 'HF_TREE_INVALID')) return undefined
    throw error
  }
}

class Matcher {
  readonly #cursor: JsonCursor
  readonly #tree: Uint8Array
  readonly #listing: DirectoryListing
  readonly #rules: MatchRules
  readonly #steps: MatchStep[] = []
  /** Whether there are nodes at the cursor and behind it. */
  #hasMore = false
  /** A node that was read and is not compared yet. */
  #next: PreviousNode | undefined
  #hasLost = false
  #files = 0
  #bytes = 0

  constructor(tree: Uint8Array, listing: DirectoryListing, rules: MatchRules) {
    this.#cursor = new JsonCursor(tree, 'a tree')
    this.#tree = tree
    this.#listing = listing
    this.#rules = rules
  }

  match(): MatchedDirectory | undefined {
    if (!this.#cursor.acceptBytes(start)) return undefined
    this.#hasMore = this.#cursor.peek() !== 0x5d
    for (let entry = 0; entry < this.#listing.count; entry++) {
      if (!this.#rules.selects(entry)) continue
      if (this.#listing.error(entry) !== undefined) return undefined
      const attributes = this.#listing.attributes(entry)
      if (attributes.type !== 'socket') this.#place(entry, attributes)
    }
    while (this.#next ?? this.#readNode()) this.#lose()
    this.#cursor.expect(0x5d)
    this.#cursor.expect(0x7d)
    return { steps: this.#steps, hasLost: this.#hasLost, files: this.#files, bytes: this.#bytes }
  }

  /** Finds the node of an entry; nodes before it are of entries that are gone. */
  #place(entry: number, attributes: FileAttributes): void {
    if (this.#next === undefined && this.#passOver(entry, attributes)) return
    const name = this.#listing.nameString(entry)
    for (let node = this.#next ?? this.#readNode(); node; node = this.#readNode()) {
      if (node.node.name > name) break
      if (node.node.name < name) this.#lose()
      else {
        this.#next = undefined
        const isSame =
          attributes.type !== 'file' && attributes.type !== 'dir' && this.#rules.isSame(attributes, node.node)
        if (isSame) this.#keep(node)
        else this.#steps.push({ entry, previous: node })
        return
      }
    }
    this.#steps.push({ entry, previous: undefined })
  }

  /** Takes over the node at the cursor when it is this very file. */
  #passOver(entry: number, attributes: FileAttributes): boolean {
    const cursor = this.#cursor
    const from = cursor.at
    if (attributes.type !== 'file' || !this.#hasMore) return false
    const isSame =
      cursor.acceptBytes(nameKey) &&
      this.#acceptName(entry) &&
      cursor.acceptBytes(fileKey) &&
      this.#acceptFile(attributes)
    if (!isSame) {
      cursor.at = from
      return false
    }
    this.#keep({ from, to: cursor.at })
    this.#files++
    this.#bytes += attributes.size
    this.#hasMore = cursor.accept(0x2c)
    return true
  }

  #readNode(): PreviousNode | undefined {
    if (!this.#hasMore) return undefined
    const from = this.#cursor.at
    const node = decodeNode(this.#cursor)
    this.#next = { node, from, to: this.#cursor.at }
    this.#hasMore = this.#cursor.accept(0x2c)
    return this.#next
  }

  #lose(): void {
    this.#next = undefined
    this.#hasLost = true
  }

  /** Nodes side by side become one range. */
  #keep({ from, to }: NodeRange): void {
    const last = this.#steps.at(-1)
    if (last && 'from' in last && last.to + 1 === from) this.#steps[this.#steps.length - 1] = { from: last.from, to }
    else this.#steps.push({ from, to })
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
    if (this.#tree[shift + end] !== 0x22) return false
    this.#cursor.at = shift + end + 1
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
  #acceptOwner(ownerKey: Uint8Array, name: string): boolean {
    return name === '' || (this.#cursor.acceptBytes(ownerKey) && this.#cursor.acceptQuoted(ownerBytes(name)))
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
