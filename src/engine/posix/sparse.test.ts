import { closeSync, fstatSync, ftruncateSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { libc } from './libc.ts'
import { allocate, dataRanges, type HoleAccess, nativeHoleAccess, portableHoleAccess } from './sparse.ts'

const library = libc()
const root = mkdtempSync(join(tmpdir(), 'posix-sparse-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const MIB = 1024 * 1024
let fd: number
beforeEach(() => {
  fd = openSync(join(root, 'file'), 'w+')
})
afterEach(() => closeSync(fd))

const accesses: [string, HoleAccess][] = [
  ['portable', portableHoleAccess],
  ...(library ? [['native', nativeHoleAccess(library)] satisfies [string, HoleAccess]] : []),
]

describe.each(accesses)('%s data ranges', (_, access) => {
  test('cover every byte that is not zero', () => {
    ftruncateSync(fd, 9 * MIB + 5)
    for (const at of [0, 3 * MIB + 17, 9 * MIB + 4]) writeSync(fd, Buffer.from('x'), 0, 1, at)
    const ranges = [...access.dataRanges(fd, 9 * MIB + 5)]
    for (const at of [0, 3 * MIB + 17, 9 * MIB + 4])
      expect(ranges.some(({ start, end }) => start <= at && at < end)).toBe(true)
    expect(ranges.every(({ start, end }, i) => start < end && (i === 0 || ranges[i - 1]!.end < start))).toBe(true)
    expect(ranges.at(-1)!.end).toBe(9 * MIB + 5)
  })

  test('an empty file has none, a full one has one', () => {
    expect([...access.dataRanges(fd, 0)]).toEqual([])
    writeSync(fd, Buffer.alloc(100_000, 1))
    expect([...access.dataRanges(fd, 100_000)]).toEqual([{ start: 0, end: 100_000 }])
  })

  test('stay within the size that was asked for', () => {
    writeSync(fd, Buffer.alloc(100_000, 1))
    expect([...access.dataRanges(fd, 70_000)]).toEqual([{ start: 0, end: 70_000 }])
  })
})

test.skipIf(!library)('holes are found (needs the native library)', () => {
  const size = 5 * 1024 * MIB
  ftruncateSync(fd, size)
  expect([...dataRanges(fd, size)]).toEqual([])
  writeSync(fd, Buffer.alloc(MIB, 1), 0, MIB, 4 * 1024 * MIB)
  expect([...dataRanges(fd, size)]).toEqual([{ start: 4 * 1024 * MIB, end: 4 * 1024 * MIB + MIB }])
})

test.skipIf(!library)('a descriptor that is not open is an error (needs the native library)', () => {
  expect(() => [...dataRanges(987_654, 10)]).toThrow(expect.objectContaining({ code: 'EBADF' }))
})

describe.skipIf(!library)('allocating (needs the native library)', () => {
  test('takes the space, sets the size and leaves zeros', () => {
    expect(allocate(fd, MIB)).toBe(true)
    const { size, blocks } = fstatSync(fd)
    expect([size, blocks * 512]).toEqual([MIB, MIB])
    const bytes = Buffer.alloc(10, 1)
    readSync(fd, bytes, 0, 10, MIB - 10)
    expect(bytes).toEqual(Buffer.alloc(10))
  })

  test('nothing is nothing, and too much is an error', () => {
    expect(allocate(fd, 0)).toBe(false)
    expect(() => allocate(fd, 2 ** 52)).toThrow(/^(ENOSPC|EFBIG)/)
  })

  test('is no more than not possible where the file system cannot', () => {
    const other = openSync('/proc/self/comm', 'r+')
    expect(allocate(other, 10)).toBe(false)
    closeSync(other)
  })
})

test('the portable version reserves nothing', () => {
  expect(portableHoleAccess.allocate(fd, MIB)).toBe(false)
  expect(fstatSync(fd).size).toBe(0)
})
