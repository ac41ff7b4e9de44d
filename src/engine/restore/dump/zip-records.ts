/**
 * The records a zip archive consists of (PKWARE APPNOTE 6.3.10), with what Unix readers understand of attributes. Sizes and offsets above
 * 32 bits take the zip64 form.
 */

import { type Timestamp, wallFields } from '../../../lib/go-time.ts'
import { isAscii, isValidUtf8 } from '../../archive/filter/byte-string.ts'
import type { ByteString } from '../../repository/tree/node.ts'

export interface ZipFile {
  /** With a slash at its end for a directory. */
  readonly path: ByteString
  /** st_mode. */
  readonly mode: number
  readonly mtime: Timestamp
  readonly compression: 'store' | 'deflate'
  /** The size and the checksum follow the content. */
  readonly sizesFollow: boolean
  /** Whether the sizes have 64 bits; decided before the content is known. */
  readonly isLarge: boolean
}

export interface ZipSizes {
  readonly crc32: number
  readonly sizeBytes: number
  readonly compressedBytes: number
}

/** Sizes from here on are given 64 bits: short of 4 GiB by more than deflate can add to what it cannot compress. */
export const ZIP_LARGE_BYTES = 0xff00_0000

const LIMIT_16 = 0xffff
const LIMIT_32 = 0xffff_ffff
const VERSION_DEFLATE = 20
const VERSION_ZIP64 = 45
const MADE_ON_UNIX = 3
const FLAG_SIZES_FOLLOW = 0x8
const FLAG_UTF8 = 0x800
const EXTRA_ZIP64 = 0x0001
const EXTRA_TIME = 0x5455
const ATTRIBUTE_DIRECTORY = 0x10
const ATTRIBUTE_READ_ONLY = 0x01

const S_IFMT = 0o170000
const S_IFDIR = 0o040000
const S_IWUSR = 0o200

/** What stands in front of the content. `sizes` is undefined when they follow it. */
export function localHeader(file: ZipFile, sizes: ZipSizes | undefined): Uint8Array {
  const large = file.isLarge ? zip64Extra([sizes?.sizeBytes ?? 0, sizes?.compressedBytes ?? 0]) : noBytes
  const extra = Buffer.concat([timeExtra(file.mtime), large])
  const header = Buffer.alloc(30)
  header.writeUInt32LE(0x04034b50, 0)
  writeCommon(header, 4, file, sizes, file.isLarge, extra.length)
  return Buffer.concat([header, Buffer.from(file.path, 'latin1'), extra])
}

/** What stands behind the content of a file whose sizes follow. */
export function dataDescriptor(file: ZipFile, { crc32, sizeBytes, compressedBytes }: ZipSizes): Uint8Array {
  const record = Buffer.alloc(file.isLarge ? 24 : 16)
  record.writeUInt32LE(0x08074b50, 0)
  record.writeUInt32LE(crc32, 4)
  if (file.isLarge) {
    record.writeBigUInt64LE(BigInt(compressedBytes), 8)
    record.writeBigUInt64LE(BigInt(sizeBytes), 16)
  } else {
    record.writeUInt32LE(compressedBytes, 8)
    record.writeUInt32LE(sizeBytes, 12)
  }
  return record
}

/** The entry of a file in the directory at the end; `offset` is where its local header begins. */
export function directoryRecord(file: ZipFile, sizes: ZipSizes, offset: number): Uint8Array {
  const isLarge = file.isLarge || offset >= LIMIT_32
  const isFar = offset >= LIMIT_32
  const large = file.isLarge ? [sizes.sizeBytes, sizes.compressedBytes] : []
  const values = isFar ? [...large, offset] : large
  const extra = Buffer.concat([timeExtra(file.mtime), values.length > 0 ? zip64Extra(values) : noBytes])
  const isDirectory = (file.mode & S_IFMT) === S_IFDIR
  const attributes = (isDirectory ? ATTRIBUTE_DIRECTORY : 0) | ((file.mode & S_IWUSR) === 0 ? ATTRIBUTE_READ_ONLY : 0)
  const header = Buffer.alloc(46)
  header.writeUInt32LE(0x02014b50, 0)
  header.writeUInt8(isLarge ? VERSION_ZIP64 : VERSION_DEFLATE, 4)
  header.writeUInt8(MADE_ON_UNIX, 5)
  writeCommon(header, 6, file, sizes, isLarge, extra.length)
  header.writeUInt16LE(file.mode, 40)
  header.writeUInt16LE(attributes, 38)
  header.writeUInt32LE(Math.min(offset, LIMIT_32), 42)
  return Buffer.concat([header, Buffer.from(file.path, 'latin1'), extra])
}

/** The end of the archive: where the directory begins, how long it is and how many entries it has. */
export function endOfDirectory(offset: number, sizeBytes: number, count: number): Uint8Array {
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(Math.min(count, LIMIT_16), 8)
  end.writeUInt16LE(Math.min(count, LIMIT_16), 10)
  end.writeUInt32LE(Math.min(sizeBytes, LIMIT_32), 12)
  end.writeUInt32LE(Math.min(offset, LIMIT_32), 16)
  if (count < LIMIT_16 && sizeBytes < LIMIT_32 && offset < LIMIT_32) return end
  const large = Buffer.alloc(56 + 20)
  large.writeUInt32LE(0x06064b50, 0)
  large.writeBigUInt64LE(44n, 4)
  large.writeUInt8(VERSION_ZIP64, 12)
  large.writeUInt8(MADE_ON_UNIX, 13)
  large.writeUInt16LE(VERSION_ZIP64, 14)
  large.writeBigUInt64LE(BigInt(count), 24)
  large.writeBigUInt64LE(BigInt(count), 32)
  large.writeBigUInt64LE(BigInt(sizeBytes), 40)
  large.writeBigUInt64LE(BigInt(offset), 48)
  // The locator, which says where the record before it begins.
  large.writeUInt32LE(0x07064b50, 56)
  large.writeBigUInt64LE(BigInt(offset + sizeBytes), 64)
  large.writeUInt32LE(1, 72)
  return Buffer.concat([large, end])
}

const noBytes = new Uint8Array()

/** The fields that the local header and the entry in the directory share, from the version needed to the length of the extra field. */
function writeCommon(
  header: Buffer,
  at: number,
  file: ZipFile,
  sizes: ZipSizes | undefined,
  isLarge: boolean,
  extraBytes: number,
): void {
  const isUtf8 = !isAscii(file.path) && isValidUtf8(file.path)
  const { date, time } = dosTime(file.mtime)
  header.writeUInt16LE(isLarge ? VERSION_ZIP64 : VERSION_DEFLATE, at)
  header.writeUInt16LE((file.sizesFollow ? FLAG_SIZES_FOLLOW : 0) | (isUtf8 ? FLAG_UTF8 : 0), at + 2)
  header.writeUInt16LE(file.compression === 'deflate' ? 8 : 0, at + 4)
  header.writeUInt16LE(time, at + 6)
  header.writeUInt16LE(date, at + 8)
  header.writeUInt32LE(sizes?.crc32 ?? 0, at + 10)
  header.writeUInt32LE(file.isLarge ? LIMIT_32 : (sizes?.compressedBytes ?? 0), at + 14)
  header.writeUInt32LE(file.isLarge ? LIMIT_32 : (sizes?.sizeBytes ?? 0), at + 18)
  header.writeUInt16LE(file.path.length, at + 22)
  header.writeUInt16LE(extraBytes, at + 24)
}

function zip64Extra(values: readonly number[]): Buffer {
  const extra = Buffer.alloc(4 + 8 * values.length)
  extra.writeUInt16LE(EXTRA_ZIP64, 0)
  extra.writeUInt16LE(8 * values.length, 2)
  for (const [i, value] of values.entries()) extra.writeBigUInt64LE(BigInt(value), 4 + 8 * i)
  return extra
}

/** Info-ZIP's field for a time in UTC, which has 32 bits; left out for other times, which then are what the DOS fields say. */
function timeExtra({ seconds }: Timestamp): Buffer {
  if (seconds < -0x8000_0000 || seconds > 0x7fff_ffff) return Buffer.alloc(0)
  const extra = Buffer.alloc(9)
  extra.writeUInt16LE(EXTRA_TIME, 0)
  extra.writeUInt16LE(5, 2)
  extra.writeUInt8(1, 4)
  extra.writeInt32LE(seconds, 5)
  return extra
}

/** Local time of the zone the time was recorded in, in steps of two seconds, from 1980 to 2107. */
function dosTime(mtime: Timestamp): { date: number; time: number } {
  const { year, month, day, hour, minute, second } = wallFields(mtime)
  if (year < 1980) return { date: (1 << 5) | 1, time: 0 }
  if (year > 2107) return { date: (127 << 9) | (12 << 5) | 31, time: (23 << 11) | (59 << 5) | 29 }
  return { date: ((year - 1980) << 9) | (month << 5) | day, time: (hour << 11) | (minute << 5) | (second >> 1) }
}
