import type { Timestamp } from '../../../lib/go-time.ts'
import { sameInstant } from '../../../lib/go-time.ts'
import type { Id } from '../../../lib/id.ts'

/** The types restic knows. */
export const nodeTypes = ['file', 'dir', 'symlink', 'dev', 'chardev', 'fifo', 'socket', 'irregular'] as const

/** `unknown` stands for a type of some newer program: it can be read and skipped, but not written. */
export type NodeType = (typeof nodeTypes)[number] | 'unknown'

/**
 * A whole number from 0 to 2^64-1, exact: a number up to Number.MAX_SAFE_INTEGER, a bigint only above it. Each value has one form, so
 * `===` compares. Inode and device numbers do exceed 2^53 on some file systems.
 */
export type Uint64 = number | bigint

/** The one form of `value`. */
export const uint64 = (value: bigint): Uint64 => (value <= 9_007_199_254_740_991n ? Number(value) : value)

/**
 * Bytes as a string with one character (0 to 255) per byte: `Buffer.from(x, 'latin1')` gives the bytes back. File names and link targets
 * are bytes, not text, on Unix; in this form they can be keys of a Map and `<` orders them as trees are ordered.
 */
export type ByteString = string

export interface ExtendedAttribute {
  readonly name: ByteString
  /** null as such is only ever read: some programs write an empty value so. */
  readonly value: Uint8Array | null
}

/** Attributes of other systems (Windows), carried along untouched. */
export interface GenericAttribute {
  readonly name: string
  /** Compact JSON, as bytes. */
  readonly json: ByteString
}

/**
 * One entry of a directory as a tree blob holds it. Every field is always there: absent means 0, '', [] or undefined, as in the stored
 * form, where such fields are left out. Make one with `createNode`, so that all nodes have the same shape. `Content` is the form of a list of
 * blobs.
 */
export interface NodeOf<Content> {
  readonly name: ByteString
  readonly type: NodeType
  /** Go's file mode, not st_mode: see `mode.ts`. */
  readonly mode: number
  readonly mtime: Timestamp
  readonly atime: Timestamp
  readonly ctime: Timestamp
  readonly uid: number
  readonly gid: number
  readonly user: string
  readonly group: string
  readonly inode: Uint64
  readonly deviceId: Uint64
  /** Bytes read of a file. */
  readonly size: Uint64
  readonly links: Uint64
  readonly linkTarget: ByteString
  /** In the order the system listed them. */
  readonly extendedAttributes: readonly ExtendedAttribute[]
  /** Sorted by name. */
  readonly genericAttributes: readonly GenericAttribute[]
  /** st_rdev of a device. */
  readonly device: Uint64
  /** Data blobs of a file in order; null for everything that is not a file. */
  readonly content: Content | null
  /** Tree of a directory. */
  readonly subtree: Id | undefined
  readonly error: string
}

export type Node = NodeOf<readonly Id[]>

/** With 32 bytes for each blob: files that are cut small have many, and strings of them cost more than all else about a tree. */
export type PackedNode = NodeOf<Uint8Array>

/** The fields every node needs; the others default to absent. */
export type NodeFields<Content = readonly Id[]> = Partial<NodeOf<Content>> &
  Pick<Node, 'name' | 'type' | 'mtime' | 'atime' | 'ctime'>

const nothing: readonly never[] = []

export const createNode = <Content = readonly Id[]>(fields: NodeFields<Content>): NodeOf<Content> => ({
  name: fields.name,
  type: fields.type,
  mode: fields.mode ?? 0,
  mtime: fields.mtime,
  atime: fields.atime,
  ctime: fields.ctime,
  uid: fields.uid ?? 0,
  gid: fields.gid ?? 0,
  user: fields.user ?? '',
  group: fields.group ?? '',
  inode: fields.inode ?? 0,
  deviceId: fields.deviceId ?? 0,
  size: fields.size ?? 0,
  links: fields.links ?? 0,
  linkTarget: fields.linkTarget ?? '',
  extendedAttributes: fields.extendedAttributes ?? nothing,
  genericAttributes: fields.genericAttributes ?? nothing,
  device: fields.device ?? 0,
  content: fields.content ?? null,
  subtree: fields.subtree,
  error: fields.error ?? '',
})

/** Bytes of a name or link target as text for people; invalid UTF-8 is replaced. */
export const byteStringToText = (bytes: ByteString): string => Buffer.from(bytes, 'latin1').toString('utf8')

/** The UTF-8 bytes of `text`. */
export const textToByteString = (text: string): ByteString => Buffer.from(text, 'utf8').toString('latin1')

/**
 * Whether a name is one component of a path and nothing else. Trees are foreign input: whoever joins a name to a path must ask this
 * first.
 */
export const isPlainName = (name: ByteString): boolean =>
  name !== '' && name !== '.' && name !== '..' && !name.includes('/') && !name.includes('\0')

/**
 * Whether two nodes mean the same, wherever their times were written: what `diff` and an unchanged directory ask. Order of extended
 * attributes does not count.
 */
export function nodesEqual<Content extends readonly Id[] | Uint8Array>(
  a: NodeOf<Content>,
  b: NodeOf<Content>,
): boolean {
  if (a === b) return true
  return (
    a.name === b.name &&
    a.type === b.type &&
    a.mode === b.mode &&
    sameInstant(a.mtime, b.mtime) &&
    sameInstant(a.atime, b.atime) &&
    sameInstant(a.ctime, b.ctime) &&
    a.uid === b.uid &&
    a.gid === b.gid &&
    a.user === b.user &&
    a.group === b.group &&
    a.inode === b.inode &&
    a.deviceId === b.deviceId &&
    a.size === b.size &&
    a.links === b.links &&
    a.linkTarget === b.linkTarget &&
    a.device === b.device &&
    a.subtree === b.subtree &&
    a.error === b.error &&
    sameContent(a.content, b.content) &&
    sameExtendedAttributes(a.extendedAttributes, b.extendedAttributes) &&
    sameGenericAttributes(a.genericAttributes, b.genericAttributes)
  )
}

/** Whether both refer to the same blobs in the same order; null (no file) differs from an empty file. */
export function sameContent<Content extends readonly Id[] | Uint8Array>(a: Content | null, b: Content | null): boolean {
  if (a === b) return true
  if (a === null || b === null || a.length !== b.length) return false
  if (a instanceof Uint8Array) return Buffer.compare(a, b as Uint8Array) === 0
  return a.every((id, i) => id === b[i])
}

const none = new Uint8Array(0)

function sameExtendedAttributes(a: readonly ExtendedAttribute[], b: readonly ExtendedAttribute[]): boolean {
  if (a.length !== b.length) return false
  if (a.length === 0) return true
  const order = (x: ExtendedAttribute, y: ExtendedAttribute): number =>
    x.name < y.name ? -1 : x.name > y.name ? 1 : Buffer.compare(x.value ?? none, y.value ?? none)
  const others = b.toSorted(order)
  return a.toSorted(order).every((attribute, i) => order(attribute, others[i]!) === 0)
}

function sameGenericAttributes(a: readonly GenericAttribute[], b: readonly GenericAttribute[]): boolean {
  return (
    a.length === b.length && a.every((attribute, i) => attribute.name === b[i]!.name && attribute.json === b[i]!.json)
  )
}
