import { spawnSync } from 'node:child_process'
import { randomFillSync } from 'node:crypto'
import { mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { lstat } from '../../posix/attributes.ts'
import { toGoMode } from '../../repository/tree/mode.ts'
import { createNode, type NodeFields, textToByteString } from '../../repository/tree/node.ts'
import type { DumpEntry } from './dump-entry.ts'
import { writeZip } from './zip.ts'
import { dataDescriptor, directoryRecord, endOfDirectory, localHeader, type ZipFile } from './zip-records.ts'

const noon = { seconds: 1_600_000_000, nanoseconds: 0, offsetSeconds: 0 }

function entry(path: string, fields: Partial<NodeFields> = {}, content?: Iterable<Uint8Array>): DumpEntry {
  const type = fields.type ?? 'file'
  const stMode = type === 'dir' ? 0o40755 : type === 'symlink' ? 0o120777 : 0o100644
  const node = createNode({ name: '', type, mode: toGoMode(stMode), mtime: noon, atime: noon, ctime: noon, ...fields })
  return { path, node, content }
}

const file = (path: string, content: Buffer | string, fields: Partial<NodeFields> = {}): DumpEntry => {
  const bytes = Buffer.from(content)
  return entry(path, { size: bytes.length, ...fields }, [bytes])
}

async function archive(entries: Iterable<DumpEntry>): Promise<{ bytes: Buffer; warnings: string[] }> {
  const pieces: Buffer[] = []
  const warnings: string[] = []
  await writeZip({
    entries: (async function* () {
      yield* entries
    })(),
    write: async (bytes) => void pieces.push(Buffer.from(bytes)),
    warn: (message) => warnings.push(message),
  })
  return { bytes: Buffer.concat(pieces), warnings }
}

describe.skipIf(lacks('unzip'))('zip archives', () => {
  let root: string
  let unpacked = 0

  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'zip-'))
  })
  afterAll(() => rmSync(root, { recursive: true }))

  /** Runs Info-ZIP on an archive; it may not complain. */
  async function unzip(entries: Iterable<DumpEntry>, ...options: string[]): Promise<string> {
    const zip = join(root, `${unpacked}.zip`)
    writeFileSync(zip, (await archive(entries)).bytes)
    const folder = join(root, String(unpacked++))
    const args = options.length > 0 ? [...options, zip] : ['-qq', '-K', zip, '-d', folder]
    const { status, stdout, stderr } = spawnSync('unzip', args, {
      encoding: 'utf8',
      env: { ...process.env, TZ: 'UTC', LC_ALL: 'C.UTF-8' },
      maxBuffer: 2 ** 26,
    })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    return options.length > 0 ? stdout : folder
  }

  test('hold what was put in, for Info-ZIP', async () => {
    const noise = randomFillSync(Buffer.alloc(700_000))
    const repeated = Buffer.alloc(2_000_000, 'again and ')
    const folder = await unzip([
      entry('d', { type: 'dir', mode: toGoMode(0o40750) }),
      file('d/text', 'hello', { mode: toGoMode(0o104751) }),
      file('d/empty', ''),
      file('d/read only', 'x', { mode: toGoMode(0o100400) }),
      file('noise', noise),
      file('again', repeated),
      entry('link', { type: 'symlink', linkTarget: 'd/\xc3\xa4' }),
      file(textToByteString('größe漢😀'), 'utf-8'),
      file('half\xe2\x82', 'bytes'),
    ])
    expect(lstat(Buffer.from(`${folder}/d`)).mode).toBe(0o40750)
    expect(lstat(Buffer.from(`${folder}/d/text`)).mode).toBe(0o104751)
    expect(lstat(Buffer.from(`${folder}/d/read only`)).mode).toBe(0o100400)
    expect(readFileSync(`${folder}/d/text`, 'utf8')).toBe('hello')
    expect(readFileSync(`${folder}/d/empty`, 'utf8')).toBe('')
    expect(readFileSync(`${folder}/noise`).equals(noise)).toBe(true)
    expect(readFileSync(`${folder}/again`).equals(repeated)).toBe(true)
    expect(readlinkSync(`${folder}/link`)).toBe('d/ä')
    expect(readFileSync(`${folder}/größe漢😀`, 'utf8')).toBe('utf-8')
    expect(readFileSync(Buffer.from(`${folder}/half\xe2\x82`, 'latin1'), 'utf8')).toBe('bytes')
  })

  test.each([1_600_000_001, 0, 1_000_000_000])('hold times to the second: %i', async (seconds) => {
    const folder = await unzip([file('f', '', { mtime: { seconds, nanoseconds: 7, offsetSeconds: 7200 } })])
    expect(lstat(Buffer.from(`${folder}/f`)).mtime).toEqual({ seconds, nanoseconds: 0 })
  })

  test('deflate files as restic does and store links', async () => {
    const listing = await unzip(
      [file('f', 'a'.repeat(1000)), entry('l', { type: 'symlink', linkTarget: 'x' }), entry('d', { type: 'dir' })],
      '-Z',
    )
    expect(listing).toMatch(/^-rw-r--r-- .* 1000 .* defN .* f$/m)
    expect(listing).toMatch(/^lrwxrwxrwx .* 1 .* stor .* l$/m)
    expect(listing).toMatch(/^drwxr-xr-x .* 0 .* stor .* d\/$/m)
  })

  test('have room for more entries than 16 bits count', async () => {
    const count = 70_000
    const entries = (function* () {
      for (let i = 0; i < count; i++) yield file(`f${i}`, '')
    })()
    const listing = await unzip(entries, '-Z1')
    expect(listing.split('\n').length - 1).toBe(count)
    expect(listing.endsWith(`f${count - 1}\n`)).toBe(true)
  })

  test('may be empty', async () => {
    expect((await archive([])).bytes.toString('latin1')).toBe(`PK\x05\x06${'\0'.repeat(18)}`)
  })

  test('without a place for an entry leave it out and say so', async () => {
    const { bytes, warnings } = await archive([entry('fifo', { type: 'fifo' }), entry('device', { type: 'dev' })])
    expect(bytes.length).toBe(22)
    expect(warnings).toEqual([expect.stringContaining('fifo'), expect.stringContaining('device')])
  })

  test('refuse what cannot be in an archive', async () => {
    await expect(archive([file('../f', '')])).rejects.toMatchObject({ code: 'HF_TREE_INVALID' })
    await expect(archive([file(`${'d/'.repeat(40_000)}f`, '')])).rejects.toMatchObject({ code: 'HF_UNSUPPORTED' })
  })

  test.each([10, 1_000_000])('refuse content of another size than the entry says (%i bytes)', async (length) => {
    for (const size of [length - 1, length + 1])
      await expect(archive([file('f', Buffer.alloc(length), { size })])).rejects.toMatchObject({
        code: 'HF_DATA_DAMAGED',
      })
  })

  test('pass errors on, from either side', async () => {
    const broken = (async function* () {
      yield Buffer.alloc(1000)
      throw new Error('cannot read')
    })()
    await expect(archive([{ ...entry('f', { size: 1e6 }), content: broken }])).rejects.toThrow('cannot read')
    const full = writeZip({
      entries: (async function* () {
        yield file('f', randomFillSync(Buffer.alloc(1_000_000)))
      })(),
      write: () => Promise.reject(new Error('cannot write')),
      warn: () => undefined,
    })
    await expect(full).rejects.toThrow('cannot write')
  })
})

describe('times', () => {
  const record = (seconds: number): Buffer => {
    const mtime = { seconds, nanoseconds: 0, offsetSeconds: 5400 }
    const file: ZipFile = { path: 'f', mode: 0o100644, mtime, compression: 'store', sizesFollow: false, isLarge: false }
    return Buffer.from(localHeader(file, { crc32: 0, sizeBytes: 0, compressedBytes: 0 }))
  }
  const wallClock = (bytes: Buffer): readonly number[] => {
    const [time, date] = [bytes.readUInt16LE(10), bytes.readUInt16LE(12)]
    return [1980 + (date >> 9), (date >> 5) & 15, date & 31, time >> 11, (time >> 5) & 63, (time & 31) * 2]
  }

  test('are those of the clock on the wall where they were recorded, as far as the field goes', () => {
    expect(wallClock(record(1_600_000_000))).toEqual([2020, 9, 13, 13, 56, 40])
    expect(wallClock(record(-1_000_000_000))).toEqual([1980, 1, 1, 0, 0, 0])
    expect(wallClock(record(1e11))).toEqual([2107, 12, 31, 23, 59, 58])
  })

  test('are also there in UTC, unless they need more than 32 bits', () => {
    expect(record(-1_000_000_000).subarray(31).toString('hex')).toBe('5554050001003665c4')
    expect(record(2 ** 31).length).toBe(31)
  })
})

describe('records of large archives', () => {
  const large: ZipFile = {
    path: 'f',
    mode: 0o100644,
    mtime: noon,
    compression: 'deflate',
    sizesFollow: true,
    isLarge: true,
  }
  const sizes = { crc32: 1, sizeBytes: 6e9, compressedBytes: 5e9 }
  const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes)

  test('a large file has its sizes in 64 bits, everywhere', () => {
    const local = asBuffer(localHeader(large, undefined))
    expect(local.readUInt16LE(4)).toBe(45)
    expect([local.readUInt32LE(18), local.readUInt32LE(22)]).toEqual([0xffffffff, 0xffffffff])
    const descriptor = asBuffer(dataDescriptor(large, sizes))
    expect([descriptor.readBigUInt64LE(8), descriptor.readBigUInt64LE(16)]).toEqual([5_000_000_000n, 6_000_000_000n])
    const record = asBuffer(directoryRecord(large, sizes, 1000))
    expect([record.readUInt32LE(20), record.readUInt32LE(24), record.readUInt32LE(42)]).toEqual([
      2 ** 32 - 1,
      2 ** 32 - 1,
      1000,
    ])
    const extra = record.subarray(47 + 9)
    expect([extra.readUInt16LE(0), extra.readUInt16LE(2), extra.length]).toEqual([1, 16, 20])
    expect([extra.readBigUInt64LE(4), extra.readBigUInt64LE(12)]).toEqual([6_000_000_000n, 5_000_000_000n])
  })

  test('a file that begins far into the archive has its place in 64 bits', () => {
    const small = { crc32: 1, sizeBytes: 20, compressedBytes: 10 }
    const record = asBuffer(directoryRecord({ ...large, isLarge: false }, small, 7e9))
    expect([record.readUInt32LE(20), record.readUInt32LE(24), record.readUInt32LE(42)]).toEqual([10, 20, 0xffffffff])
    expect(record.subarray(47 + 9).readBigUInt64LE(4)).toBe(7_000_000_000n)
  })

  test('a directory that is far or large is found through the zip64 records', () => {
    expect(endOfDirectory(100, 100, 0xfffe).length).toBe(22)
    for (const [offset, size, count] of [
      [7e9, 100, 1],
      [100, 5e9, 1],
      [100, 100, 70_000],
    ] as const) {
      const end = asBuffer(endOfDirectory(offset, size, count))
      expect(end.length).toBe(56 + 20 + 22)
      expect(end.readBigUInt64LE(32)).toBe(BigInt(count))
      expect([end.readBigUInt64LE(40), end.readBigUInt64LE(48)]).toEqual([BigInt(size), BigInt(offset)])
      expect(end.readBigUInt64LE(64)).toBe(BigInt(offset + size))
    }
  })
})
