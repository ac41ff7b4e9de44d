import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { asBuffer, utf8 } from '../../lib/bytes.ts'
import { isHoldfastError, systemErrorCode } from '../../lib/errors.ts'
import { openDirectoryAt } from './at.ts'
import { nativeDirectoryAt } from './at-native.ts'
import { canReachByDescriptor, portableDirectoryAt } from './at-portable.ts'
import type { DirectoryAt, DirectoryAtOpener } from './directory-at.ts'
import { libc } from './libc.ts'

const { O_CREAT, O_EXCL, O_RDONLY, O_WRONLY } = constants
const library = libc()
const root = mkdtempSync(join(tmpdir(), 'posix-at-'))
let umask: number
beforeAll(() => {
  umask = process.umask(0o022)
})
afterAll(() => {
  process.umask(umask)
  rmSync(root, { recursive: true, force: true })
})

interface Kind {
  readonly name: string
  readonly open: DirectoryAtOpener
  /** Whether it stays in the directory it opened when another takes its name. */
  readonly raceProof: boolean
  readonly exact: boolean
  readonly makesNodes: boolean
}

const kinds: readonly Kind[] = [
  { name: 'by paths', open: portableDirectoryAt(false), raceProof: false, exact: false, makesNodes: false },
  ...(canReachByDescriptor()
    ? [{ name: 'portable', open: portableDirectoryAt(true), raceProof: true, exact: false, makesNodes: false }]
    : []),
  ...(library
    ? [{ name: 'native', open: nativeDirectoryAt(library), raceProof: true, exact: true, makesNodes: true }]
    : []),
]

function codeOf(work: () => unknown): string | undefined {
  try {
    work()
    return 'worked'
  } catch (error) {
    return systemErrorCode(error)
  }
}

let folderCount = 0

describe.each(kinds)('directory at: $name', ({ open, raceProof, exact, makesNodes }) => {
  let folder: string
  let directory: DirectoryAt
  const inside = (name: string): string => join(folder, name)
  const name = utf8

  beforeEach(() => {
    folder = join(root, `folder-${folderCount++}`)
    mkdirSync(folder)
    directory = open(utf8(folder))
    return () => directory.close()
  })

  function create(fileName: string, content = ''): void {
    const fd = directory.openFile(name(fileName), O_WRONLY | O_CREAT | O_EXCL, 0o640)
    writeSync(fd, content)
    closeSync(fd)
  }

  test('makes and opens files with their permissions', () => {
    create('file', 'content')
    expect(readFileSync(inside('file'), 'utf8')).toBe('content')
    expect(directory.lstat(name('file'))).toMatchObject({ type: 'file', mode: 0o100640, size: 7 })
    expect(codeOf(() => create('file'))).toBe('EEXIST')
    const message = `ENOENT: no such file or directory, open '${inside('none')}'`
    expect(() => directory.openFile(name('none'), O_RDONLY, 0)).toThrow(message)
  })

  test('takes names that are no text, of any length the system has', () => {
    for (const odd of [Buffer.from([0xff, 0x0a, 0x5c]), Buffer.alloc(255, 0xe4)]) {
      closeSync(directory.openFile(odd, O_WRONLY | O_CREAT, 0o600))
      expect([...directory.entries()].map((entry) => asBuffer(entry.name).toString('latin1'))).toEqual([
        odd.toString('latin1'),
      ])
      directory.removeFile(odd)
    }
    expect(codeOf(() => directory.openFile(Buffer.alloc(256, 0x61), O_WRONLY | O_CREAT, 0o600))).toBe('ENAMETOOLONG')
  })

  test('refuses names that lead elsewhere, in every call', () => {
    mkdirSync(inside('sub'))
    create('file')
    for (const bad of ['', '.', '..', '../x', 'sub/x', '/etc', 'a\0b'].map(utf8)) {
      const good = name('file')
      const zero = { seconds: 0, nanoseconds: 0 }
      const calls = [
        () => directory.openDirectory(bad),
        () => directory.openFile(bad, O_WRONLY | O_CREAT, 0o600),
        () => directory.makeDirectory(bad, 0o700),
        () => directory.makeLink(bad, directory, good),
        () => directory.makeLink(name('new'), directory, bad),
        () => directory.makeSymlink(bad, good),
        () => directory.makeNode(bad, 0o010600, 0),
        () => directory.removeFile(bad),
        () => directory.removeDirectory(bad),
        () => directory.rename(bad, directory, name('new')),
        () => directory.rename(good, directory, bad),
        () => directory.lstat(bad),
        () => directory.readLink(bad),
        () => directory.chown(bad, 0, 0),
        () => directory.chmod(bad, 0o600),
        () => directory.setTimes(bad, zero, zero),
        () => directory.pathTo(bad),
      ]
      expect(calls.map(codeOf)).toEqual(calls.map(() => 'EINVAL'))
    }
    expect([...directory.entries()].map((entry) => Buffer.from(entry.name).toString())).toEqual(['file', 'sub'])
  })

  test('makes directories, opens them downwards and removes them', () => {
    directory.makeDirectory(name('a'), 0o750)
    {
      using a = directory.openDirectory(name('a'))
      a.makeDirectory(name('b'), 0o700)
      using b = a.openDirectory(name('b'))
      expect(Buffer.from(b.path).toString()).toBe(inside('a/b'))
      closeSync(b.openFile(name('deep'), O_WRONLY | O_CREAT, 0o600))
      expect(existsSync(inside('a/b/deep'))).toBe(true)
      expect(codeOf(() => a.removeDirectory(name('b')))).toBe('ENOTEMPTY')
      b.removeFile(name('deep'))
      a.removeDirectory(name('b'))
    }
    expect(statSync(inside('a')).mode & 0o7777).toBe(0o750)
    expect(codeOf(() => directory.makeDirectory(name('a'), 0o700))).toBe('EEXIST')
    directory.removeDirectory(name('a'))
    expect([...directory.entries()]).toEqual([])
    create('file')
    expect(codeOf(() => directory.removeDirectory(name('file')))).toBe('ENOTDIR')
    expect(codeOf(() => directory.openDirectory(name('file')))).toBe('ENOTDIR')
  })

  test.skipIf(!raceProof)('goes deeper than paths are long', () => {
    const component = Buffer.alloc(200, 0x64)
    const opened = [directory]
    for (let i = 0; i < 30; i++) {
      const last = opened.at(-1)!
      last.makeDirectory(component, 0o700)
      opened.push(last.openDirectory(component))
    }
    closeSync(opened.at(-1)!.openFile(name('bottom'), O_WRONLY | O_CREAT, 0o600))
    expect(opened.at(-1)!.lstat(name('bottom')).type).toBe('file')
    expect([...opened.at(-1)!.entries()].length).toBe(1)
    opened.at(-1)!.removeFile(name('bottom'))
    for (let i = 30; i > 0; i--) {
      opened[i]!.close()
      opened[i - 1]!.removeDirectory(component)
    }
  })

  test('makes hard links between directories, and of links themselves', () => {
    create('file', 'x')
    directory.makeDirectory(name('sub'), 0o700)
    directory.makeSymlink(name('link'), name('file'))
    using sub = directory.openDirectory(name('sub'))
    sub.makeLink(name('hard'), directory, name('file'))
    sub.makeLink(name('hard-link'), directory, name('link'))
    expect(sub.lstat(name('hard')).inode).toBe(directory.lstat(name('file')).inode)
    expect(sub.lstat(name('hard-link'))).toMatchObject({ type: 'symlink', links: 2 })
    expect(codeOf(() => sub.makeLink(name('hard'), directory, name('file')))).toBe('EEXIST')
  })

  test('makes and reads links to anything', () => {
    for (const [i, target] of [
      utf8('../../etc/passwd'),
      Buffer.from([0xff, 0x0a]),
      Buffer.alloc(3000, 0x78),
    ].entries()) {
      directory.makeSymlink(name(`link-${i}`), target)
      expect(readlinkSync(inside(`link-${i}`), { encoding: 'buffer' }).equals(target)).toBe(true)
      expect(asBuffer(directory.readLink(name(`link-${i}`))).equals(target)).toBe(true)
    }
    create('file')
    expect(codeOf(() => directory.readLink(name('file')))).toBe('EINVAL')
    expect(codeOf(() => directory.makeSymlink(name('nul'), utf8('a\0b')))).toBe('EINVAL')
  })

  test('renames over what is there, and to other directories', () => {
    create('one', '1')
    create('two', '2')
    directory.rename(name('one'), directory, name('two'))
    expect(readFileSync(inside('two'), 'utf8')).toBe('1')
    directory.makeDirectory(name('sub'), 0o700)
    using sub = directory.openDirectory(name('sub'))
    directory.rename(name('two'), sub, name('three'))
    expect(readFileSync(inside('sub/three'), 'utf8')).toBe('1')
    expect(codeOf(() => directory.rename(name('two'), sub, name('x')))).toBe('ENOENT')
  })

  test('sets permissions of all kinds but links', () => {
    create('file')
    directory.makeDirectory(name('sub'), 0o700)
    directory.makeSymlink(name('link'), name('file'))
    directory.chmod(name('file'), 0o4711)
    directory.chmod(name('sub'), 0o1777)
    expect(directory.lstat(name('file')).mode).toBe(0o104711)
    expect(directory.lstat(name('sub')).mode).toBe(0o041777)
    expect(() => directory.chmod(name('link'), 0o600)).toThrow(
      `ENOTSUP: operation not supported on socket, chmod '${inside('link')}'`,
    )
    expect(directory.lstat(name('file')).mode).toBe(0o104711)
    expect(codeOf(() => directory.chmod(name('none'), 0o600))).toBe('ENOENT')
  })

  test('sets times of files and of links themselves', () => {
    create('file')
    directory.makeSymlink(name('link'), name('file'))
    const accessed = { seconds: -86_400, nanoseconds: exact ? 123_456_789 : 500_000_000 }
    const modified = { seconds: 1_795_261_601, nanoseconds: exact ? 987_654_321 : 250_000_000 }
    const { mtime } = directory.lstat(name('file'))
    directory.setTimes(name('link'), accessed, modified)
    expect(directory.lstat(name('link'))).toMatchObject({ atime: accessed, mtime: modified })
    expect(directory.lstat(name('file')).mtime).toEqual(mtime)
    directory.setTimes(name('file'), accessed, modified)
    expect(directory.lstat(name('file'))).toMatchObject({ atime: accessed, mtime: modified })
  })

  test.skipIf(process.geteuid!() !== 0)('sets owners, of links too (needs root)', () => {
    create('file')
    directory.makeSymlink(name('link'), name('file'))
    directory.chown(name('link'), 4_000_000_001, 12)
    expect(directory.lstat(name('link'))).toMatchObject({ uid: 4_000_000_001, gid: 12 })
    expect(directory.lstat(name('file'))).toMatchObject({ uid: 0 })
    directory.chown(name('file'), 7, 8)
    expect(directory.lstat(name('file'))).toMatchObject({ uid: 7, gid: 8 })
  })

  test('makes fifos, or says that it cannot', () => {
    if (makesNodes) {
      directory.makeNode(name('fifo'), 0o010644, 0)
      expect(directory.lstat(name('fifo'))).toMatchObject({ type: 'fifo', mode: 0o010644 })
      directory.chmod(name('fifo'), 0o622)
      expect(directory.lstat(name('fifo')).mode).toBe(0o010622)
    } else {
      expect(() => directory.makeNode(name('fifo'), 0o010644, 0)).toThrow(
        expect.toSatisfy((error) => isHoldfastError(error, 'HF_UNSUPPORTED')),
      )
    }
  })

  test('a path to a name leads to it', () => {
    create('file', 'here')
    expect(readFileSync(asBuffer(directory.pathTo(name('file'))), 'utf8')).toBe('here')
  })

  test('never follows a link at the last component', () => {
    const outside = inside('../outside')
    mkdirSync(outside, { recursive: true })
    writeFileSync(join(outside, 'file'), 'outside')
    directory.makeSymlink(name('dir-link'), utf8(outside))
    directory.makeSymlink(name('file-link'), utf8(join(outside, 'file')))
    directory.makeSymlink(name('dangling'), utf8(join(outside, 'created')))
    expect(codeOf(() => directory.openDirectory(name('dir-link')))).toBe('ENOTDIR')
    expect(codeOf(() => directory.openFile(name('file-link'), O_WRONLY, 0))).toBe('ELOOP')
    expect(codeOf(() => directory.openFile(name('dangling'), O_WRONLY | O_CREAT, 0o600))).toBe('ELOOP')
    directory.removeFile(name('dir-link'))
    expect(readFileSync(join(outside, 'file'), 'utf8')).toBe('outside')
    expect(existsSync(join(outside, 'created'))).toBe(false)
  })

  test.skipIf(!raceProof)('stays where it is when a link takes its name', () => {
    const outside = join(root, `trap-${folderCount}`)
    mkdirSync(outside)
    directory.makeDirectory(name('sub'), 0o700)
    using sub = directory.openDirectory(name('sub'))
    renameSync(inside('sub'), inside('moved'))
    symlinkSync(outside, inside('sub'))
    closeSync(sub.openFile(name('file'), O_WRONLY | O_CREAT, 0o600))
    sub.makeDirectory(name('dir'), 0o700)
    sub.makeSymlink(name('link'), name('x'))
    sub.makeLink(name('hard'), sub, name('file'))
    sub.setTimes(name('file'), { seconds: 1, nanoseconds: 0 }, { seconds: 1, nanoseconds: 0 })
    writeFileSync(asBuffer(sub.pathTo(name('by-path'))), '')
    sub.rename(name('hard'), sub, name('renamed'))
    expect([...sub.entries()].map((entry) => Buffer.from(entry.name).toString())).toEqual([
      'by-path',
      'dir',
      'file',
      'link',
      'renamed',
    ])
    expect(existsSync(inside('moved/file'))).toBe(true)
    using trap = open(utf8(outside))
    expect([...trap.entries()]).toEqual([])
  })

  test('lists itself as often as asked, and calls itself by the path it was opened by', () => {
    create('file')
    for (let i = 0; i < 3; i++) expect([...directory.entries()].length).toBe(1)
    rmSync(folder, { recursive: true })
    if (raceProof) expect([...directory.entries()]).toEqual([])
    else expect(() => directory.entries()).toThrow(`ENOENT: no such file or directory, open '${folder}'`)
  })

  test('does not leave descriptors open', () => {
    using descriptors = open(utf8('/proc/self/fd'))
    const count = (): number => [...descriptors.entries()].length
    create('file')
    directory.makeDirectory(name('sub'), 0o700)
    const before = count()
    for (let i = 0; i < 20; i++) {
      directory.openDirectory(name('sub')).close()
      directory.chmod(name('file'), 0o600)
      codeOf(() => directory.chmod(name('none'), 0o600))
      codeOf(() => directory.openDirectory(name('file')))
      directory.entries()
    }
    expect(count()).toBe(before)
  })
})

test('the top may be reached by a link, and must be a directory', () => {
  const target = join(root, 'top')
  mkdirSync(target)
  symlinkSync(target, join(root, 'top-link'))
  using directory = openDirectoryAt(utf8(join(root, 'top-link')))
  directory.makeDirectory(utf8('made'), 0o700)
  expect(existsSync(join(target, 'made'))).toBe(true)
  expect(codeOf(() => openDirectoryAt(utf8('/etc/passwd')))).toBe('ENOTDIR')
  expect(() => openDirectoryAt(utf8('/none'))).toThrow("ENOENT: no such file or directory, open '/none'")
})
