import { closeSync, lstatSync, mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { utf8 } from '../../lib/bytes.ts'
import { type FileTime, lstat } from './attributes.ts'
import { libc } from './libc.ts'
import { nativeTimesSetter, portableTimesSetter, type TimesSetter } from './times.ts'

const library = libc()
const setters: [string, TimesSetter][] = [
  ['portable', portableTimesSetter],
  ...(library ? [['native', nativeTimesSetter(library)] satisfies [string, TimesSetter]] : []),
]

let root: string
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'posix-times-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

const EPOCH: FileTime = { seconds: 0, nanoseconds: 0 }
const EXACT: FileTime = { seconds: 1_795_261_601, nanoseconds: 987_654_321 }

describe.each(setters)('%s times', (kind, setTimes) => {
  test('of a file, by name and by descriptor, also before 1970', () => {
    const path = join(root, `file-${kind}`)
    writeFileSync(path, '')
    const fd = openSync(path, 'r')
    const before: FileTime = { seconds: -2, nanoseconds: 250_000_000 }
    const after: FileTime = { seconds: 4_294_967_297, nanoseconds: 500_000_000 }
    for (const target of [utf8(path), fd]) {
      setTimes(target, before, after)
      expect(lstat(utf8(path))).toMatchObject({ atime: before, mtime: after })
      setTimes(target, after, EPOCH)
      expect(lstat(utf8(path))).toMatchObject({ atime: after, mtime: EPOCH })
    }
    closeSync(fd)
  })

  test('of a link are set without touching what it points at', () => {
    const target = join(root, `target-${kind}`)
    const link = join(root, `link-${kind}`)
    writeFileSync(target, '')
    symlinkSync(target, link)
    const before = lstatSync(target, { bigint: true }).mtimeNs
    setTimes(utf8(link), EPOCH, EPOCH)
    expect(lstat(utf8(link)).mtime).toEqual(EPOCH)
    expect(lstatSync(target, { bigint: true }).mtimeNs).toBe(before)
  })

  test('of a file whose name is no text', () => {
    const path = Buffer.concat([utf8(`${root}/${kind}-`), Buffer.from([0xff, 0x0a])])
    writeFileSync(path, '')
    setTimes(path, EPOCH, EPOCH)
    expect(lstat(path).mtime).toEqual(EPOCH)
  })

  test('fail with the code and the path', () => {
    expect(() => setTimes(utf8(`${root}/none`), EPOCH, EPOCH)).toThrow(
      `ENOENT: no such file or directory, lutime '${root}/none'`,
    )
    expect(() => setTimes(987_654, EPOCH, EPOCH)).toThrow(expect.objectContaining({ code: 'EBADF' }))
  })
})

test('the portable version is right to the microsecond', () => {
  const path = Buffer.from(join(root, 'rounded'))
  writeFileSync(path, '')
  portableTimesSetter(path, EPOCH, EXACT)
  const { seconds, nanoseconds } = lstat(path).mtime
  expect(seconds).toBe(EXACT.seconds)
  expect(Math.abs(nanoseconds - EXACT.nanoseconds)).toBeLessThan(1000)
})

describe.skipIf(!library)('native times (needs the native library)', () => {
  test('are exact to the nanosecond', () => {
    const setTimes = nativeTimesSetter(library!)
    const path = Buffer.from(join(root, 'exact'))
    writeFileSync(path, '')
    const fd = openSync(path, 'r')
    // What ext4 with 256-byte inodes, XFS and tmpfs can all hold; the kernel clamps what is beyond.
    const time = fc.record({
      seconds: fc.integer({ min: -(2 ** 31) + 1, max: 2 ** 33 }),
      nanoseconds: fc.nat(999_999_999),
    })
    fc.assert(
      fc.property(time, time, fc.boolean(), (atime, mtime, byName) => {
        setTimes(byName ? path : fd, atime, mtime)
        expect(lstat(path)).toMatchObject({ atime, mtime })
      }),
      { examples: [[EXACT, { seconds: -1, nanoseconds: 999_999_999 }, true]] },
    )
    closeSync(fd)
  })
})
