import type { ByteString } from '../../engine/repository/tree/node.ts'
import { byteStringToText, isPlainName } from '../../engine/repository/tree/node.ts'
import { asBuffer } from '../../lib/bytes.ts'
import { HoldfastError } from '../../lib/errors.ts'
import type { Timestamp } from '../../lib/go-time.ts'
import { ByteInput } from './byte-input.ts'
import { applyPaxRecords, type PaxFields } from './pax-records.ts'

/** An entry of an archive. */
export interface TarMember {
  readonly type: 'file' | 'directory' | 'symlink'
  /** Relative, without `.`, `..` and empty names, no slash at the end. */
  readonly path: ByteString
  readonly linkTarget: ByteString
  readonly size: number
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly mtime: Timestamp
  /** `size` bytes. What is not read when the next member is asked for is skipped. */
  readonly content: AsyncIterable<Uint8Array>
}

const BLOCK_BYTES = 512
const MAX_LONG_NAME_BYTES = 64 * 1024
const MAX_PAX_BYTES = 1024 * 1024
const MAX_GLOBAL_BYTES = 64 * 1024

const types: ReadonlyMap<string, TarMember['type']> = new Map([
  ['0', 'file'],
  ['\0', 'file'],
  ['7', 'file'],
  ['5', 'directory'],
  ['2', 'symlink'],
])

/**
 * Reads a tar archive as it comes: POSIX.1-1988 `ustar`, POSIX.1-2001 extended headers, and GNU's long names and base-256 numbers. Servers
 * before PostgreSQL 15 leave out the two zero blocks at the end, so an archive may end after any member.
 *
 * The archive may be hostile: header checksums, numbers and names are checked, nothing is allocated by a size that it states, and what
 * is neither a file, a directory nor a symbolic link is refused.
 *
 * @throws HoldfastError HF_SOURCE_DAMAGED; whatever `source` throws
 */
export async function* readTar(source: AsyncIterable<Uint8Array>): AsyncGenerator<TarMember> {
  const input = new ByteInput(source)
  let longName: ByteString | undefined
  let longTarget: ByteString | undefined
  let pax: PaxFields = {}
  for (;;) {
    const block = await input.take(BLOCK_BYTES)
    if (block.length === 0) break
    if (block.length < BLOCK_BYTES) throw damaged('ends within a header')
    const header = asBuffer(block)
    if (header.every((byte) => byte === 0)) return await expectZeros(input)
    checkHeader(header)
    const type = header.toString('latin1', 156, 157)
    const size = readNumber(header, 124, 12, 'size')
    if (type === 'L') longName = cString(await readSmall(input, size, MAX_LONG_NAME_BYTES, 'name'))
    else if (type === 'K') longTarget = cString(await readSmall(input, size, MAX_LONG_NAME_BYTES, 'link target'))
    else if (type === 'x') pax = applyPaxRecords(await readSmall(input, size, MAX_PAX_BYTES, 'extended header'))
    else if (type === 'g') await readSmall(input, size, MAX_GLOBAL_BYTES, 'global header')
    else {
      const fields = memberOf(header, type, {
        path: pax.path ?? longName ?? headerName(header),
        linkTarget: pax.linkTarget ?? longTarget ?? cString(header.subarray(157, 257)),
        size: pax.size ?? size,
      })
      const content = new MemberContent(input, fields.path, fields.size)
      yield { ...fields, content }
      await content.skipRest()
      longName = longTarget = undefined
      pax = {}
    }
  }
  if (longName !== undefined || longTarget !== undefined || Object.keys(pax).length > 0)
    throw damaged('ends before the member that a long name belongs to')
}

/** The bytes of one member, to be read once. */
class MemberContent implements AsyncIterable<Uint8Array> {
  readonly #input: ByteInput
  readonly #path: ByteString
  #left: number
  readonly #padding: number

  constructor(input: ByteInput, path: ByteString, size: number) {
    this.#input = input
    this.#path = path
    this.#left = size
    this.#padding = paddingOf(size)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    while (this.#left > 0) {
      const piece = await this.#input.some(this.#left)
      if (piece.length === 0) throw damaged(`ends within ${quoted(this.#path)}, ${this.#left} bytes early`)
      this.#left -= piece.length
      yield piece
    }
  }

  async skipRest(): Promise<void> {
    for await (const _ of this);
    const padding = await this.#input.take(this.#padding)
    if (padding.length < this.#padding) throw damaged(`ends right behind ${quoted(this.#path)}, within a block`)
  }
}

function checkHeader(header: Buffer): void {
  const stated = readNumber(header, 148, 8, 'checksum')
  let sum = 8 * 0x20
  for (let i = 0; i < BLOCK_BYTES; i++) if (i < 148 || i >= 156) sum += header[i]!
  if (sum !== stated) throw damaged('has a header with a wrong checksum')
  if (header.toString('latin1', 257, 262) !== 'ustar') throw damaged('has a header that is not of ustar format')
}

function memberOf(
  header: Buffer,
  typeFlag: string,
  { path: rawPath, linkTarget, size }: { path: ByteString; linkTarget: ByteString; size: number },
): Omit<TarMember, 'content'> {
  const path = rawPath.replace(/^\.\//, '').replace(/\/$/, '')
  const type = types.get(typeFlag)
  if (type === undefined) throw damaged(`has ${quoted(rawPath)}, of type ${quoted(typeFlag)}`)
  if (!path.split('/').every(isPlainName)) throw damaged(`has a member with the name ${quoted(rawPath)}`)
  if (type !== 'file' && size > 0) throw damaged(`has the ${type} ${quoted(path)} with content`)
  if (type === 'symlink' && linkTarget === '') throw damaged(`has the link ${quoted(path)} to nothing`)
  return {
    type,
    path,
    linkTarget: type === 'symlink' ? linkTarget : '',
    size,
    mode: readNumber(header, 100, 8, 'mode') & 0o7777,
    uid: readNumber(header, 108, 8, 'owner'),
    gid: readNumber(header, 116, 8, 'group'),
    mtime: { seconds: readNumber(header, 136, 12, 'time'), nanoseconds: 0, offsetSeconds: 0 },
  }
}

function headerName(header: Buffer): ByteString {
  const name = cString(header.subarray(0, 100))
  // GNU's format ("ustar  ") has other things where POSIX has the prefix.
  const prefix = header[262] === 0 ? cString(header.subarray(345, 500)) : ''
  return prefix === '' ? name : `${prefix}/${name}`
}

/** Octal digits, or big-endian binary when the first bit is set. Negative numbers have no place in what is read here. */
function readNumber(header: Buffer, at: number, length: number, what: string): number {
  const field = header.subarray(at, at + length)
  let value: number
  if ((field[0]! & 0x80) !== 0) {
    const digits = Buffer.from(field)
    digits[0]! &= 0x7f
    value = digits.reduce((sum, byte) => sum * 256 + byte, 0)
  } else {
    const text = /^ *([0-7]*)[ \0]*$/.exec(field.toString('latin1'))?.[1]
    value = text === undefined ? Number.NaN : Number.parseInt(text || '0', 8)
  }
  if (!Number.isSafeInteger(value)) throw damaged(`has a header with an impossible ${what}`)
  return value
}

async function readSmall(input: ByteInput, size: number, limit: number, what: string): Promise<Buffer> {
  if (size > limit) throw damaged(`has a ${what} of ${size} bytes`)
  const content = Buffer.from(await input.take(size))
  const padding = await input.take(paddingOf(size))
  if (content.length < size || padding.length < paddingOf(size)) throw damaged(`ends within a ${what}`)
  return content
}

async function expectZeros(input: ByteInput): Promise<void> {
  for (;;) {
    const piece = await input.some(64 * 1024)
    if (piece.length === 0) return
    if (piece.some((byte) => byte !== 0)) throw damaged('goes on behind its end')
  }
}

const paddingOf = (size: number): number => (BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES

function cString(bytes: Buffer): ByteString {
  const end = bytes.indexOf(0)
  return bytes.toString('latin1', 0, end < 0 ? bytes.length : end)
}

const quoted = (path: ByteString): string => JSON.stringify(byteStringToText(path))

const damaged = (how: string): HoldfastError =>
  new HoldfastError('HF_SOURCE_DAMAGED', `the archive the server sends ${how}`, {
    hint: 'nothing was kept of it; if it happens again, something between here and the server changes the bytes',
  })
