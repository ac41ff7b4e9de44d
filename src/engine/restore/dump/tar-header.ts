/**
 * Headers of tar archives: POSIX.1-1988 (ustar), with a POSIX.1-2001 (pax) header in front for what does not fit, as GNU tar, Go and Python
 * read them. Strings are byte strings, numbers exact.
 */

import type { Timestamp } from '../../../lib/go-time.ts'
import { isAscii, isValidUtf8 } from '../../archive/filter/byte-string.ts'
import type { ByteString } from '../../repository/tree/node.ts'

export const TAR_BLOCK_BYTES = 512

export interface TarHeader {
  readonly path: ByteString
  /** The type flag: `0` file, `2` symbolic link, `3` character and `4` block device, `5` directory, `6` fifo. */
  readonly type: '0' | '2' | '3' | '4' | '5' | '6'
  /** Permission bits of chmod(2). */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly user: ByteString
  readonly group: ByteString
  readonly size: number | bigint
  readonly mtime: Pick<Timestamp, 'seconds' | 'nanoseconds'>
  readonly linkTarget: ByteString
  readonly deviceMajor: number
  readonly deviceMinor: number
  /** Further pax records: keyword and value. Keywords hold no `=` and no zero byte. */
  readonly records: readonly (readonly [keyword: ByteString, value: ByteString])[]
}

/** The bytes that stand in front of the content of an entry: one block, or more with a pax header. */
export function encodeTarHeader(header: TarHeader): Uint8Array {
  const records = new Map<ByteString, ByteString>()
  const split = splitPath(header.path)
  if (split === undefined) records.set('path', header.path)
  if (!fitsField(header.linkTarget, LINK_BYTES)) records.set('linkpath', header.linkTarget)
  // These two must end with a zero byte.
  if (!fitsField(header.user, OWNER_BYTES - 1)) records.set('uname', header.user)
  if (!fitsField(header.group, OWNER_BYTES - 1)) records.set('gname', header.group)
  const { seconds, nanoseconds } = header.mtime
  if (nanoseconds !== 0 || !fitsOctal(seconds, 12)) records.set('mtime', decimalTime(seconds, nanoseconds))
  if (!fitsOctal(header.uid, 8)) records.set('uid', String(header.uid))
  if (!fitsOctal(header.gid, 8)) records.set('gid', String(header.gid))
  if (!fitsOctal(header.size, 12)) records.set('size', String(header.size))
  for (const [keyword, value] of header.records) records.set(keyword, value)

  const block = ustarBlock(header, split ?? { prefix: '', name: cutName(header.path) })
  if (records.size === 0) return block
  const text = encodeRecords(records)
  const extended = ustarBlock(
    { ...emptyHeader, size: text.length, mode: 0o644 },
    { prefix: '', name: cutName(extendedName(header.path)) },
    'x',
  )
  const padding = Buffer.alloc(-text.length & (TAR_BLOCK_BYTES - 1))
  return Buffer.concat([extended, Buffer.from(text, 'latin1'), padding, block])
}

const NAME_BYTES = 100
const LINK_BYTES = 100
const OWNER_BYTES = 32
const PREFIX_BYTES = 155

const emptyHeader: TarHeader = {
  path: '',
  type: '0',
  mode: 0,
  uid: 0,
  gid: 0,
  user: '',
  group: '',
  size: 0,
  mtime: { seconds: 0, nanoseconds: 0 },
  linkTarget: '',
  deviceMajor: 0,
  deviceMinor: 0,
  records: [],
}

/**
 * Whether text can stand in a field of the block. Characters beyond ASCII belong into the pax header, where they are known to be UTF-8; bytes
 * that are not UTF-8 may not stand there, so they go there only when they must, for want of room.
 */
const isFieldText = (text: ByteString): boolean => isAscii(text) || !isValidUtf8(text)

const fitsField = (text: ByteString, lengthBytes: number): boolean => text.length <= lengthBytes && isFieldText(text)

/** Whether a number fits an octal field of `lengthBytes` with a zero byte at its end. */
const fitsOctal = (value: number | bigint, lengthBytes: number): boolean => value >= 0 && value < 8 ** (lengthBytes - 1)

/** How the path goes into the fields prefix and name, joined by a slash that is not stored; undefined when it does not. */
function splitPath(path: ByteString): { prefix: ByteString; name: ByteString } | undefined {
  if (!isFieldText(path)) return undefined
  if (path.length <= NAME_BYTES) return { prefix: '', name: path }
  const slash = path.lastIndexOf('/', Math.min(PREFIX_BYTES, path.length - 2))
  const name = path.slice(slash + 1)
  return slash > 0 && name.length <= NAME_BYTES ? { prefix: path.slice(0, slash), name } : undefined
}

/** A name for readers that do not know pax. A slash at the cut would make a directory of a file. */
const cutName = (path: ByteString): ByteString => path.slice(0, NAME_BYTES).replace(/\/+$/, '')

function extendedName(path: ByteString): ByteString {
  const trimmed = path.replace(/\/$/, '')
  const slash = trimmed.lastIndexOf('/')
  return `${trimmed.slice(0, slash + 1)}PaxHeaders/${trimmed.slice(slash + 1)}`
}

/** Decimal seconds with a fraction; before 1970 they are negative as a whole. */
function decimalTime(seconds: number, nanoseconds: number): string {
  const isNegative = seconds < 0 && nanoseconds > 0
  const whole = isNegative ? -(seconds + 1) : seconds
  const fraction = isNegative ? 1_000_000_000 - nanoseconds : nanoseconds
  const digits = fraction === 0 ? '' : `.${String(fraction).padStart(9, '0').replace(/0+$/, '')}`
  return `${isNegative ? '-' : ''}${whole}${digits}`
}

function encodeRecords(records: ReadonlyMap<ByteString, ByteString>): ByteString {
  let text = ''
  for (const keyword of [...records.keys()].sort()) text += encodeRecord(keyword, records.get(keyword)!)
  return text
}

/** `length keyword=value\n`, where the length counts its own digits. */
function encodeRecord(keyword: ByteString, value: ByteString): ByteString {
  const rest = ` ${keyword}=${value}\n`
  let length = rest.length + String(rest.length).length
  length = rest.length + String(length).length
  return length + rest
}

function ustarBlock(
  header: TarHeader,
  { prefix, name }: { prefix: ByteString; name: ByteString },
  type: string = header.type,
): Buffer {
  const block = Buffer.alloc(TAR_BLOCK_BYTES)
  const text = (value: ByteString, at: number, lengthBytes: number): void => {
    block.write(value.slice(0, lengthBytes), at, 'latin1')
  }
  const number = (value: number | bigint, at: number, lengthBytes: number): void => {
    // What does not fit stands in the pax header.
    const digits = fitsOctal(value, lengthBytes) ? value.toString(8) : '0'
    block.write(digits.padStart(lengthBytes - 1, '0'), at, 'latin1')
  }
  text(name, 0, NAME_BYTES)
  number(header.mode, 100, 8)
  number(header.uid, 108, 8)
  number(header.gid, 116, 8)
  number(header.size, 124, 12)
  number(header.mtime.seconds, 136, 12)
  text(type, 156, 1)
  text(header.linkTarget, 157, LINK_BYTES)
  text('ustar\x0000', 257, 8)
  text(header.user, 265, OWNER_BYTES - 1)
  text(header.group, 297, OWNER_BYTES - 1)
  number(header.deviceMajor, 329, 8)
  number(header.deviceMinor, 337, 8)
  text(prefix, 345, PREFIX_BYTES)
  // The checksum is taken with spaces in its own place.
  block.fill(0x20, 148, 156)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return block
}
