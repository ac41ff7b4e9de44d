import { zeroTime } from '../../../lib/go-time.ts'
import { type Id, shortId } from '../../../lib/id.ts'
import { sortNodes } from './encode-tree.ts'
import { compactJson, unquoteGo } from './go-text.ts'
import { JsonCursor } from './json-cursor.ts'
import {
  type ByteString,
  byteStringToText,
  type ExtendedAttribute,
  type GenericAttribute,
  type Node,
  type NodeOf,
  type NodeType,
  nodeTypes,
  type Uint64,
} from './node.ts'

/** A decoded directory. */
export interface TreeOf<Content> {
  /** Strictly increasing by name. */
  readonly nodes: readonly NodeOf<Content>[]
}

export type Tree = TreeOf<readonly Id[]>

/** Keys in the order they are written, so that the next one is nearly always the one tried first. */
const keys = [
  'name',
  'type',
  'mode',
  'mtime',
  'atime',
  'ctime',
  'uid',
  'gid',
  'user',
  'group',
  'inode',
  'device_id',
  'size',
  'links',
  'linktarget',
  'linktarget_raw',
  'extended_attributes',
  'generic_attributes',
  'device',
  'content',
  'subtree',
  'error',
] as const
const patterns = keys.map((key) => Buffer.from(`"${key}":`, 'latin1'))
const slotOfKey = new Map<string, number>(keys.map((key, slot) => [key, slot]))
const UNKNOWN = -1

const typeByName = new Map<string, NodeType>(nodeTypes.map((type) => [type, type]))

const nothing: readonly never[] = []

/**
 * Reads a tree blob. Unknown keys are skipped, white space and any order of keys are accepted, `"nodes":null` is an empty directory, a
 * type it does not know is `unknown`; nodes stored out of order are sorted. Wrong structure, a name twice or a key of a node twice:
 * HF_TREE_INVALID with the position. Names are *not* checked to be safe components of a path: see `isPlainName`.
 *
 * `id` names the tree in messages. Strings of the result do not keep `bytes` alive.
 */
export const decodeTree = (bytes: Uint8Array, id?: Id): Tree => decode(bytes, id, readIds)

/** As `decodeTree`, with lists of blobs as bytes. */
export const decodePackedTree = (bytes: Uint8Array, id?: Id): TreeOf<Uint8Array> => decode(bytes, id, readPackedIds)

type ContentReader<Content> = (cursor: JsonCursor) => Content

function decode<Content>(bytes: Uint8Array, id: Id | undefined, readContent: ContentReader<Content>): TreeOf<Content> {
  const cursor = new JsonCursor(bytes, id === undefined ? 'a tree' : `tree ${shortId(id)}`)
  let nodes: readonly NodeOf<Content>[] | undefined
  cursor.expect(0x7b)
  if (!cursor.accept(0x7d)) {
    do {
      cursor.skipSpace()
      const start = cursor.at
      const key = cursor.string()
      cursor.expect(0x3a)
      if (key !== 'nodes') cursor.skipValue()
      else if (nodes === undefined) nodes = readNodes(cursor, readContent)
      else cursor.fail('one list of nodes', start)
    } while (cursor.accept(0x2c))
    cursor.expect(0x7d)
  }
  if (cursor.peek() !== undefined) cursor.fail('nothing after the tree')
  return { nodes: nodes ?? cursor.fail('a list of nodes') }
}

function readNodes<Content>(cursor: JsonCursor, readContent: ContentReader<Content>): readonly NodeOf<Content>[] {
  const nodes: NodeOf<Content>[] = []
  if (cursor.acceptNull()) return nodes
  cursor.expect(0x5b)
  if (cursor.accept(0x5d)) return nodes
  let ordered = true
  let previous: NodeOf<Content> | undefined
  do {
    const node = readNode(cursor, previous, readContent)
    if (previous !== undefined && node.name <= previous.name) ordered = false
    nodes.push(node)
    previous = node
  } while (cursor.accept(0x2c))
  cursor.expect(0x5d)
  if (ordered) return nodes
  const sorted = sortNodes(nodes)
  const twice = sorted.find((node, i) => i > 0 && node.name === sorted[i - 1]!.name)
  if (twice !== undefined)
    cursor.fail(`each name once, but there are two of ${JSON.stringify(byteStringToText(twice.name))}`)
  return sorted
}

/** Reads the one node that is next in a tree blob. */
export const decodeNode = (cursor: JsonCursor): Node => readNode(cursor, undefined, readIds)

/** `previous` only serves to share what consecutive nodes have in common: type and owner. */
function readNode<Content>(
  cursor: JsonCursor,
  previous: NodeOf<Content> | undefined,
  readContent: ContentReader<Content>,
): NodeOf<Content> {
  cursor.expect(0x7b)
  const start = cursor.at
  let name: ByteString = ''
  let type: NodeType = 'unknown'
  let mode = 0
  let mtime = zeroTime
  let atime = zeroTime
  let ctime = zeroTime
  let uid = 0
  let gid = 0
  let user = ''
  let group = ''
  let inode: Uint64 = 0
  let deviceId: Uint64 = 0
  let size: Uint64 = 0
  let links: Uint64 = 0
  let linkTarget: ByteString = ''
  let linkTargetRaw: ByteString | undefined
  let extendedAttributes: readonly ExtendedAttribute[] = nothing
  let genericAttributes: readonly GenericAttribute[] = nothing
  let device: Uint64 = 0
  let content: Content | null = null
  let subtree: Id | undefined
  let error = ''

  let seen = 0
  let slot = UNKNOWN
  if (!cursor.accept(0x7d)) {
    do {
      const keyStart = cursor.at
      const found = readKey(cursor, slot + 1)
      if (found === UNKNOWN) {
        cursor.skipValue()
        continue
      }
      slot = found
      if ((seen & (1 << slot)) !== 0) cursor.fail('each key of a node once', keyStart)
      seen |= 1 << slot
      // As in Go, null leaves a field as it is.
      if (cursor.acceptNull()) continue
      switch (slot) {
        case 0: {
          const nameStart = cursor.at
          name = cursor.string()
          if (name.includes('\\') || name.includes('"') || name.includes('\n'))
            name = unquoteGo(name) ?? cursor.fail('a quoted name', nameStart)
          break
        }
        case 1:
          type = readType(cursor, previous)
          break
        case 2:
          mode = cursor.uint32()
          break
        case 3:
          mtime = cursor.time()
          break
        case 4:
          atime = cursor.time()
          break
        case 5:
          ctime = cursor.time()
          break
        case 6:
          uid = cursor.uint32()
          break
        case 7:
          gid = cursor.uint32()
          break
        case 8:
          user = readText(cursor, previous?.user)
          break
        case 9:
          group = readText(cursor, previous?.group)
          break
        case 10:
          inode = cursor.uint64()
          break
        case 11:
          deviceId = cursor.uint64()
          break
        case 12:
          size = cursor.uint64()
          break
        case 13:
          links = cursor.uint64()
          break
        case 14:
          linkTarget = cursor.string()
          break
        case 15:
          linkTargetRaw = readBase64(cursor).toString('latin1')
          break
        case 16:
          extendedAttributes = readExtendedAttributes(cursor)
          break
        case 17:
          genericAttributes = readGenericAttributes(cursor)
          break
        case 18:
          device = cursor.uint64()
          break
        case 19:
          content = readContent(cursor)
          break
        case 20:
          subtree = cursor.id()
          break
        default:
          error = readText(cursor, undefined)
      }
    } while (cursor.accept(0x2c))
    cursor.expect(0x7d)
  }
  if (name === '') cursor.fail('a node with a name', start)
  return {
    name,
    type,
    mode,
    mtime,
    atime,
    ctime,
    uid,
    gid,
    user,
    group,
    inode,
    deviceId,
    size,
    links,
    linkTarget: linkTargetRaw ?? linkTarget,
    extendedAttributes,
    genericAttributes,
    device,
    content,
    subtree,
    error,
  }
}

/** Steps over a key and its colon; returns its slot. Tries the keys from `from` on first. */
function readKey(cursor: JsonCursor, from: number): number {
  for (let slot = from; slot < patterns.length; slot++) if (cursor.acceptBytes(patterns[slot]!)) return slot
  cursor.skipSpace()
  const key = cursor.string()
  cursor.expect(0x3a)
  return slotOfKey.get(key) ?? UNKNOWN
}

function readType(cursor: JsonCursor, previous: Pick<Node, 'type'> | undefined): NodeType {
  if (previous !== undefined && cursor.acceptQuoted(previous.type)) return previous.type
  return typeByName.get(cursor.string()) ?? 'unknown'
}

function readText(cursor: JsonCursor, likely: string | undefined): string {
  if (likely !== undefined && cursor.acceptQuoted(likely)) return likely
  return byteStringToText(cursor.string())
}

function readIds(cursor: JsonCursor): readonly Id[] {
  const ids: Id[] = []
  cursor.expect(0x5b)
  if (cursor.accept(0x5d)) return ids
  do ids.push(cursor.id())
  while (cursor.accept(0x2c))
  cursor.expect(0x5d)
  return ids
}

function readPackedIds(cursor: JsonCursor): Uint8Array {
  cursor.expect(0x5b)
  return cursor.accept(0x5d) ? new Uint8Array(0) : cursor.ids()
}

function readBase64(cursor: JsonCursor): Buffer {
  const start = cursor.at
  const text = cursor.string()
  const bytes = Buffer.from(text, 'base64')
  // The platform skips what it does not understand; only canonical base64 is right.
  return bytes.toString('base64') === text ? bytes : cursor.fail('base64', start)
}

function readExtendedAttributes(cursor: JsonCursor): readonly ExtendedAttribute[] {
  const attributes: ExtendedAttribute[] = []
  cursor.expect(0x5b)
  if (cursor.accept(0x5d)) return attributes
  do {
    let name = ''
    let value: Uint8Array | null = null
    cursor.expect(0x7b)
    if (!cursor.accept(0x7d)) {
      do {
        cursor.skipSpace()
        const key = cursor.string()
        cursor.expect(0x3a)
        if (cursor.acceptNull()) continue
        cursor.skipSpace()
        if (key === 'name') name = cursor.string()
        else if (key === 'value') value = readBase64(cursor)
        else cursor.skipValue()
      } while (cursor.accept(0x2c))
      cursor.expect(0x7d)
    }
    attributes.push({ name, value })
  } while (cursor.accept(0x2c))
  cursor.expect(0x5d)
  return attributes
}

function readGenericAttributes(cursor: JsonCursor): readonly GenericAttribute[] {
  const attributes = new Map<string, GenericAttribute>()
  cursor.expect(0x7b)
  if (cursor.accept(0x7d)) return nothing
  do {
    cursor.skipSpace()
    const name = byteStringToText(cursor.string())
    cursor.expect(0x3a)
    cursor.skipSpace()
    const start = cursor.at
    cursor.skipValue()
    attributes.set(name, { name, json: compactJson(cursor.slice(start, cursor.at)) })
  } while (cursor.accept(0x2c))
  cursor.expect(0x7d)
  return [...attributes.values()].sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)))
}
