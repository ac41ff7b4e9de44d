import { HoldfastError } from '../../../lib/errors.ts'
import { type Timestamp, writeTime } from '../../../lib/go-time.ts'
import { escapeJson, isUtf8, quoteGo } from './go-text.ts'
import {
  type ByteString,
  byteStringToText,
  type Node,
  type NodeOf,
  type PackedNode,
  textToByteString,
  type Uint64,
} from './node.ts'

/** More than the fixed parts of a node: keys, numbers, times. Strings and lists make their own room. */
const FIXED_BYTES = 1024

// Bytes that stand for themselves in a name or a JSON string: printable ASCII without " \ < > &.
const plain = new Uint8Array(256)
for (let c = 0x20; c < 0x7f; c++) plain[c] = 1
for (const c of '"\\<>&') plain[c.charCodeAt(0)] = 0

let buffer = new Uint8Array(64 * 1024)
let length = 0

/**
 * The bytes of a tree blob, exactly as restic writes them: what is hashed to the tree's id. Key order, what is left out when empty and all
 * escapes are those of Go's encoder.
 *
 * Nodes must be strictly increasing by name, names not empty, no type `unknown`; else HF_TREE_INVALID. The caller owns the result.
 */
export function encodeTree(nodes: readonly (Node | PackedNode)[]): Uint8Array {
  length = 0
  ascii('{"nodes":[')
  let previous = ''
  for (const node of nodes) {
    if (node.name <= previous) refuse(node, previous === node.name ? 'occurs twice or has no name' : 'is out of order')
    if (previous !== '') buffer[length++] = 0x2c
    previous = node.name
    writeNode(node)
  }
  return finish()
}

/** Bytes `from` to `to` of another tree blob: one or more nodes and the commas between them. */
export interface NodeRange {
  readonly from: number
  readonly to: number
}

/** As `encodeTree`, with nodes taken over from the tree blob `source` as they are. Order is the caller's business. */
export function spliceTree(source: Uint8Array, parts: readonly (NodeRange | Node)[]): Uint8Array {
  length = 0
  ascii('{"nodes":[')
  for (const [i, part] of parts.entries()) {
    reserve(1)
    if (i > 0) buffer[length++] = 0x2c
    if (!('from' in part)) {
      writeNode(part)
      continue
    }
    reserve(part.to - part.from)
    buffer.set(source.subarray(part.from, part.to), length)
    length += part.to - part.from
  }
  return finish()
}

function finish(): Uint8Array {
  reserve(8)
  ascii(']}\n')
  const result = buffer.slice(0, length)
  // One huge directory must not keep its memory for the rest of the run.
  if (buffer.length > 4 * 1024 * 1024) buffer = new Uint8Array(64 * 1024)
  return result
}

/** Sorts nodes as trees are sorted, by the bytes of their names. */
export const sortNodes = <Content>(nodes: readonly NodeOf<Content>[]): NodeOf<Content>[] => nodes.toSorted(byName)

const byName = (a: Pick<Node, 'name'>, b: Pick<Node, 'name'>): number =>
  a.name < b.name ? -1 : a.name > b.name ? 1 : 0

function refuse(node: Pick<Node, 'name'>, why: string): never {
  throw new HoldfastError('HF_TREE_INVALID', `directory entry ${JSON.stringify(byteStringToText(node.name))} ${why}`)
}

function writeNode(node: Node | PackedNode): void {
  if (node.type === 'unknown') refuse(node, 'has a type this version cannot write')
  reserve(FIXED_BYTES)
  ascii('{"name":"')
  name(node.name)
  ascii('","type":"')
  ascii(node.type)
  buffer[length++] = 0x22
  if (node.mode !== 0) {
    ascii(',"mode":')
    decimal(node.mode)
  }
  ascii(',"mtime":"')
  const mtimeStart = length
  time(node.mtime)
  const mtimeEnd = length
  ascii('","atime":"')
  if (node.atime === node.mtime) {
    buffer.copyWithin(length, mtimeStart, mtimeEnd)
    length += mtimeEnd - mtimeStart
  } else time(node.atime)
  ascii('","ctime":"')
  time(node.ctime)
  ascii('","uid":')
  decimal(node.uid)
  ascii(',"gid":')
  decimal(node.gid)
  if (node.user !== '') text(',"user":"', node.user)
  if (node.group !== '') text(',"group":"', node.group)
  integer(',"inode":', node.inode)
  integer(',"device_id":', node.deviceId)
  integer(',"size":', node.size)
  integer(',"links":', node.links)
  if (node.linkTarget !== '') linkTarget(node.linkTarget)
  if (node.extendedAttributes.length > 0) extendedAttributes(node)
  if (node.genericAttributes.length > 0) genericAttributes(node)
  integer(',"device":', node.device)
  if (node.content === null) ascii(',"content":null')
  else if (node.content.length === 0) ascii(',"content":[]')
  else if (node.content instanceof Uint8Array) packedContent(node.content)
  else content(node, node.content)
  if (node.subtree !== undefined) {
    ascii(',"subtree":"')
    id(node, node.subtree)
    buffer[length++] = 0x22
  }
  if (node.error !== '') text(',"error":"', node.error)
  buffer[length++] = 0x7d
}

/** Makes room for `count` more bytes, and for the fixed parts that may follow them. */
function reserve(count: number): void {
  const needed = length + count + FIXED_BYTES
  if (needed <= buffer.length) return
  const larger = new Uint8Array(Math.max(needed, buffer.length * 2))
  larger.set(buffer.subarray(0, length))
  buffer = larger
}

/** Appends characters 0 to 255 as they are; there must be room. */
function ascii(characters: string): void {
  const target = buffer
  const start = length
  const count = characters.length
  for (let i = 0; i < count; i++) target[start + i] = characters.charCodeAt(i)
  length = start + count
}

function name(bytes: ByteString): void {
  if (appendPlain(bytes)) return
  const escaped = escapeJson(quoteGo(bytes))
  reserve(escaped.length)
  ascii(escaped)
}

/** The inside of a JSON string. */
function string(bytes: ByteString): void {
  if (appendPlain(bytes)) return
  const escaped = escapeJson(bytes)
  reserve(escaped.length)
  ascii(escaped)
}

/** Appends `bytes` when none of them needs an escape, else nothing. */
function appendPlain(bytes: ByteString): boolean {
  reserve(bytes.length)
  const target = buffer
  const start = length
  const count = bytes.length
  for (let i = 0; i < count; i++) {
    const c = bytes.charCodeAt(i)
    if (plain[c] !== 1) return false
    target[start + i] = c
  }
  length = start + count
  return true
}

function text(key: string, value: string): void {
  ascii(key)
  // Characters above 255 have no entry in `plain`, so they, too, take the second way.
  if (!appendPlain(value)) string(textToByteString(value.toWellFormed()))
  buffer[length++] = 0x22
}

function linkTarget(target: ByteString): void {
  ascii(',"linktarget":"')
  string(target)
  buffer[length++] = 0x22
  if (isUtf8(target)) return
  const raw = Buffer.from(target, 'latin1').toString('base64')
  reserve(raw.length)
  ascii(',"linktarget_raw":"')
  ascii(raw)
  buffer[length++] = 0x22
}

function extendedAttributes(node: Pick<Node, 'extendedAttributes'>): void {
  ascii(',"extended_attributes":[')
  let first = true
  for (const { name, value } of node.extendedAttributes) {
    ascii(first ? '{"name":"' : ',{"name":"')
    first = false
    string(name)
    if (value === null) ascii('","value":null}')
    else {
      const base64 = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')
      ascii('","value":"')
      reserve(base64.length)
      ascii(base64)
      ascii('"}')
    }
  }
  buffer[length++] = 0x5d
}

function genericAttributes(node: Pick<Node, 'genericAttributes'>): void {
  ascii(',"generic_attributes":{')
  let first = true
  for (const { name, json } of node.genericAttributes) {
    text(first ? '"' : ',"', name)
    first = false
    buffer[length++] = 0x3a
    reserve(json.length)
    ascii(json)
  }
  buffer[length++] = 0x7d
}

function content(node: Pick<Node, 'name'>, ids: readonly string[]): void {
  reserve(ids.length * 67)
  ascii(',"content":["')
  for (let i = 0; i < ids.length; i++) {
    if (i > 0) ascii('","')
    id(node, ids[i]!)
  }
  ascii('"]')
}

/** Two hexadecimal digits of every byte, the first in the low half. */
const hexPairs = Uint16Array.from({ length: 256 }, (_, byte) => {
  const [high, low] = byte.toString(16).padStart(2, '0')
  return high!.charCodeAt(0) | (low!.charCodeAt(0) << 8)
})

function packedContent(ids: Uint8Array): void {
  reserve((ids.length / 32) * 67)
  ascii(',"content":["')
  const target = buffer
  let to = length
  for (let at = 0; at < ids.length; at++) {
    if (at > 0 && at % 32 === 0) {
      target[to] = 0x22
      target[to + 1] = 0x2c
      target[to + 2] = 0x22
      to += 3
    }
    const pair = hexPairs[ids[at]!]!
    target[to++] = pair & 0xff
    target[to++] = pair >>> 8
  }
  length = to
  ascii('"]')
}

function id(node: Pick<Node, 'name'>, value: string): void {
  if (value.length !== 64) refuse(node, `refers to ${JSON.stringify(value)}, which is no blob id`)
  ascii(value)
}

function time(value: Timestamp): void {
  length = writeTime(buffer, length, value)
}

function integer(key: string, value: Uint64): void {
  if (value === 0) return
  ascii(key)
  if (typeof value === 'number') decimal(value)
  else ascii(value.toString())
}

/** A whole number from 0 to 2^53-1. */
function decimal(value: number): void {
  if (value >= 1_000_000_000) {
    const high = Math.floor(value / 1_000_000_000)
    decimal(high)
    digits(value - high * 1_000_000_000, 9)
    return
  }
  let count = 1
  for (let limit = 10; value >= limit; limit *= 10) count++
  digits(value, count)
}

function digits(value: number, count: number): void {
  let rest = value
  for (let i = length + count - 1; i >= length; i--) {
    const shorter = (rest / 10) | 0
    buffer[i] = 0x30 + rest - shorter * 10
    rest = shorter
  }
  length += count
}
