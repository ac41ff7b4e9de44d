import {
  chmodSync,
  closeSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { utf8 } from '../../lib/bytes.ts'
import {
  type AttributeReader,
  deviceNumber,
  nativeAttributeReader,
  portableAttributeReader,
  sameContentAttributes,
  splitDeviceNumber,
} from './attributes.ts'
import { libc } from './libc.ts'

const library = libc()
const readers: [string, AttributeReader][] = [
  ['portable', portableAttributeReader],
  ...(library ? [['native', nativeAttributeReader(library)] satisfies [string, AttributeReader]] : []),
]

let root: string
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'posix-attributes-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

describe.each(readers)('%s attributes', (kind, { lstat, fstat }) => {
  test('of a file by name and by descriptor are the same', () => {
    const path = join(root, `file-${kind}`)
    writeFileSync(path, 'content')
    chmodSync(path, 0o6604)
    const fd = openSync(path, 'r')
    const byName = lstat(utf8(path))
    expect(fstat(fd)).toEqual(byName)
    closeSync(fd)
    const stats = statSync(path, { bigint: true })
    expect(byName).toMatchObject({ type: 'file', mode: 0o106604, size: 7, links: 1, rdev: 0 })
    expect(BigInt(byName.inode)).toBe(stats.ino)
    expect(BigInt(byName.device)).toBe(stats.dev)
    expect(BigInt(byName.blocks)).toBe(stats.blocks)
    expect(BigInt(byName.ctime.seconds) * 1_000_000_000n + BigInt(byName.ctime.nanoseconds)).toBe(stats.ctimeNs)
  })

  test('of a link are its own', () => {
    const path = join(root, `link-${kind}`)
    symlinkSync('/etc/hostname', path)
    expect(lstat(utf8(path))).toMatchObject({ type: 'symlink', size: 13 })
  })

  test('holds sizes beyond 32 bits and tells holes by the blocks', () => {
    const path = join(root, `large-${kind}`)
    writeFileSync(path, 'x')
    truncateSync(path, 5_000_000_000_123)
    const { size, blocks } = lstat(utf8(path))
    expect(size).toBe(5_000_000_000_123)
    expect(blocks * 512).toBeLessThan(1_000_000)
  })

  test.each([
    [-1.5, { seconds: -2, nanoseconds: 500_000_000 }],
    [-1_000_000_000, { seconds: -1_000_000_000, nanoseconds: 0 }],
    [0, { seconds: 0, nanoseconds: 0 }],
    [5_000_000_000.25, { seconds: 5_000_000_000, nanoseconds: 250_000_000 }],
  ])('a modification %d seconds after 1970 is told exactly', (seconds, expected) => {
    const path = join(root, `time-${kind}`)
    writeFileSync(path, '')
    // As text: Node takes a negative number for "now".
    utimesSync(path, 0, String(seconds))
    expect(lstat(utf8(path)).mtime).toEqual(expected)
  })

  test('of a device name the device', () => {
    expect(lstat(utf8('/dev/null'))).toMatchObject({ type: 'chardev', rdev: 0x103 })
  })

  test('fail with the code and the path', () => {
    expect(() => lstat(Buffer.from(`${root}/no\xffne\n`, 'latin1'))).toThrow(
      `ENOENT: no such file or directory, lstat '${root}/no\\xffne\\x0a'`,
    )
    expect(() => lstat(utf8(`${root}/a\0b`))).toThrow(expect.objectContaining({ code: expect.any(String) }))
    expect(() => fstat(987_654)).toThrow(expect.objectContaining({ code: 'EBADF' }))
  })
})

test('content attributes differ when anything of the content may', () => {
  const path = join(root, 'content')
  writeFileSync(path, 'x')
  const one = portableAttributeReader.lstat(utf8(path))
  expect(sameContentAttributes(one, { ...one, atime: { seconds: 1, nanoseconds: 1 }, uid: 77, links: 9 })).toBe(true)
  const later = { seconds: one.mtime.seconds, nanoseconds: one.mtime.nanoseconds ^ 1 }
  for (const change of [{ type: 'dir' }, { size: 2 }, { inode: 1 }, { mtime: later }, { ctime: later }] as const)
    expect(sameContentAttributes(one, { ...one, ...change })).toBe(false)
})

test('device numbers come apart as they were put together', () => {
  expect(deviceNumber(8, 17)).toBe(0x811)
  expect(deviceNumber(259, 0x12345)).toBe(0x12310345)
  fc.assert(
    fc.property(fc.nat(0xfff), fc.nat(0xfffff), (major, minor) => {
      expect(splitDeviceNumber(deviceNumber(major, minor))).toEqual({ major, minor })
    }),
  )
  expect(splitDeviceNumber(0xffff_ffff_ffff_ffffn)).toEqual({ major: 0xffff_ffff, minor: 0xffff_ffff })
})
