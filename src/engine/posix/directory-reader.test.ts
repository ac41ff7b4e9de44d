import { chmodSync, linkSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { asBuffer, compareBytes, utf8 } from '../../lib/bytes.ts'
import { systemErrorCode } from '../../lib/errors.ts'
import type { DirectoryEntry } from './directory-listing.ts'
import {
  type DirectoryOpener,
  nativeDirectoryOpener,
  openDirectory,
  portableDirectoryOpener,
  readDirectory,
} from './directory-reader.ts'
import { type Libc, libc } from './libc.ts'
import { joinPath } from './plain-name.ts'
import { sortNames } from './sort-names.ts'

const library = libc()
const openers: [string, DirectoryOpener][] = [
  ['portable', portableDirectoryOpener],
  ...(library ? [['native', nativeDirectoryOpener(library)] satisfies [string, DirectoryOpener]] : []),
]

let root: string
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'posix-directory-'))
  chmodSync(root, 0o755)
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

function entriesOf(open: DirectoryOpener, path: Uint8Array): DirectoryEntry[] {
  using directory = open(path)
  return [...directory.entries()]
}

function folder(name: string): Buffer {
  const path = join(root, name)
  mkdirSync(path)
  return Buffer.from(path)
}

/** Root may do everything, so tests of refusals give that up for a moment. */
function asOrdinaryUser<T>(work: () => T): T {
  if (process.geteuid!() !== 0) return work()
  process.seteuid!(65534)
  try {
    return work()
  } finally {
    process.seteuid!(0)
  }
}

const latin1 = (name: Uint8Array): string => asBuffer(name).toString('latin1')

test('Linux on the usual processors has the native version', () => {
  const expected = process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch)
  if (process.env.HOLDFAST_NATIVE !== 'off') expect(library !== undefined).toBe(expected)
})

describe.each(openers)('%s directory reader', (kind, open) => {
  test('lists odd names in the order of their bytes', () => {
    const path = folder(`odd-${kind}`)
    const names = [
      Buffer.from('a'),
      Buffer.from('a b'),
      Buffer.from('line\nfeed'),
      Buffer.from([0xff, 0xfe, 0x80]),
      Buffer.from('ü'),
      Buffer.from('A'),
      Buffer.from('.hidden'),
      Buffer.from('..more'),
      Buffer.from('...'),
      Buffer.alloc(255, 0x78),
      Buffer.alloc(255, 0xff),
      Buffer.from([0x01]),
      Buffer.from('\ud83d\ude00'),
      Buffer.from('\uffee'),
    ]
    for (const name of names) writeFileSync(asBuffer(joinPath(path, name)), '')
    const listed = entriesOf(open, path).map(({ name }) => latin1(name))
    expect(listed).toEqual([...names].sort(compareBytes).map(latin1))
  })

  test('tells types, sizes, links and modes without following links', async () => {
    const path = folder(`kinds-${kind}`)
    const inside = (name: string): string => join(path.toString(), name)
    writeFileSync(inside('file'), 'twelve bytes')
    chmodSync(inside('file'), 0o4751)
    linkSync(inside('file'), inside('hard'))
    symlinkSync('nowhere', inside('link'))
    mkdirSync(inside('sub'))
    const server = createServer().listen(inside('socket'))
    await new Promise((resolve) => server.once('listening', resolve))
    const entries = new Map(entriesOf(open, path).map((entry) => [latin1(entry.name), entry.attributes!]))
    server.close()
    expect([...entries].map(([name, { type }]) => `${name} ${type}`)).toEqual([
      'file file',
      'hard file',
      'link symlink',
      'socket socket',
      'sub dir',
    ])
    expect(entries.get('file')).toMatchObject({ mode: 0o104751, size: 12, links: 2, uid: process.getuid!() })
    expect(entries.get('hard')).toEqual(entries.get('file'))
    expect(entries.get('link')!.size).toBe(7)
  })

  test('an empty directory has no entries and knows itself', () => {
    const path = folder(`empty-${kind}`)
    chmodSync(path, 0o710)
    using directory = open(path, { preserveAccessTime: true })
    expect([...directory.entries()]).toEqual([])
    expect(directory.attributes()).toMatchObject({ type: 'dir', mode: 0o040710 })
  })

  test('refuses links, files and what is not there, by code and path', () => {
    const path = folder(`refusals-${kind}`)
    const inside = (name: string): Buffer => Buffer.concat([path, Buffer.from(`/${name}`)])
    symlinkSync('.', inside('link'))
    writeFileSync(inside('file'), '')
    const codes = (name: string): string[] => {
      try {
        open(inside(name)).close()
        return []
      } catch (error) {
        return [systemErrorCode(error)!, (error as Error).message]
      }
    }
    expect(codes('link')).toEqual(['ENOTDIR', `ENOTDIR: not a directory, open '${inside('link')}'`])
    expect(codes('file')[0]).toBe('ENOTDIR')
    expect(codes('none')).toEqual(['ENOENT', `ENOENT: no such file or directory, open '${inside('none')}'`])
    expect(codes('x'.repeat(4096))[0]).toBe('ENAMETOOLONG')
  })

  test('goes on reading the directory it opened when another takes its name', () => {
    const path = folder(`moved-${kind}`)
    writeFileSync(join(path.toString(), 'mine'), '')
    using directory = open(path)
    renameSync(path, `${path}.old`)
    symlinkSync('/etc', path)
    expect([...directory.entries()].map(({ name }) => latin1(name))).toEqual(['mine'])
  })

  test('an entry that cannot be looked at comes with its error', () => {
    const path = folder(`denied-${kind}`)
    const name = join(path.toString(), 'secret')
    writeFileSync(name, '')
    // Listing needs r, looking up needs x.
    chmodSync(path, 0o444)
    const entries = asOrdinaryUser(() => entriesOf(open, path))
    chmodSync(path, 0o755)
    expect(entries).toMatchObject([{ attributes: undefined, error: { code: 'EACCES' } }])
    expect(entries[0]!.error!.message).toBe(`EACCES: permission denied, lstat '${name}'`)
  })

  test('does not leave descriptors open', () => {
    const path = folder(`descriptors-${kind}`)
    const count = (): number => entriesOf(open, Buffer.from('/proc/self/fd')).length
    const before = count()
    for (let i = 0; i < 50; i++) entriesOf(open, path)
    for (let i = 0; i < 50; i++) expect(() => open(Buffer.from(`${path}/none`))).toThrow('ENOENT')
    const twice = open(path)
    twice.close()
    twice.close()
    expect(count()).toBe(before)
  })
})

test.skipIf(!library)('a name the system lists twice is one entry (needs the native library)', () => {
  const path = folder('twice')
  for (const name of ['a', 'b', 'c']) writeFileSync(join(path.toString(), name), '')
  // As happens when a directory changes while it is read: after the first part the list begins again.
  let calls = 0
  const repeating: Libc = {
    ...library!,
    syscall: (...args) => {
      const got = library!.syscall(...args)
      if (calls++ === 0) library!.lseek(args[1]!, 0, 0)
      return got
    },
  }
  const names = entriesOf(nativeDirectoryOpener(repeating), path).map(({ name }) => latin1(name))
  expect(calls).toBe(3)
  expect(names).toEqual(['a', 'b', 'c'])
})

test('both versions say the same of a real tree', () => {
  for (const path of ['/', '/etc', '/dev', '/usr/bin', '/usr/lib'].map(utf8)) {
    const [portable, native] = openers.map(([, open]) => entriesOf(open, path).filter(({ attributes }) => attributes))
    if (!native) continue
    const withoutAccess = (entries: DirectoryEntry[]): unknown[] =>
      entries.map(({ name, attributes }) => ({ name: latin1(name), ...attributes, atime: 0 }))
    expect(withoutAccess(native)).toEqual(withoutAccess(portable!))
  }
})

test('sorts as comparing bytes does', () => {
  const alphabet = fc.constantFrom(1, 0x2f + 1, 0x61, 0x62, 0x80, 0xff)
  const name = fc.array(alphabet, { minLength: 1, maxLength: 12 }).map((bytes) => Uint8Array.from(bytes))
  fc.assert(
    fc.property(fc.array(name, { maxLength: 300 }), (names) => {
      const starts: number[] = []
      const bytes: number[] = []
      for (const each of names) {
        starts.push(bytes.length)
        bytes.push(...each, 0)
      }
      const memory = Uint8Array.from(bytes)
      const sorted = Uint32Array.from(starts)
      sortNames(memory, sorted, sorted.length)
      const textAt = (start: number): Uint8Array => memory.subarray(start, memory.indexOf(0, start))
      expect(Array.from(sorted, textAt).map(latin1)).toEqual([...names].sort(compareBytes).map(latin1))
    }),
    { numRuns: 300 },
  )
})

describe('100,000 entries', () => {
  const COUNT = 100_000
  let path: Buffer
  beforeAll(() => {
    path = folder('many')
    const first = join(path.toString(), 'entry-0')
    writeFileSync(first, '')
    // Links to a few files are quicker to make than files.
    let target = first
    for (let i = 1; i < COUNT; i++) {
      const name = join(path.toString(), `entry-${i}`)
      if (i % 20_000 !== 0) linkSync(target, name)
      else {
        writeFileSync(name, '')
        target = name
      }
    }
  })

  test.each(openers)('%s lists them all, sorted', (_, open) => {
    const entries = entriesOf(open, path)
    expect(entries.length).toBe(COUNT)
    expect(entries.every(({ attributes }) => attributes?.type === 'file')).toBe(true)
    expect(entries.every(({ name }, i) => i === 0 || compareBytes(entries[i - 1]!.name, name) < 0)).toBe(true)
  })

  test('a directory that is emptied meanwhile loses entries without an error', () => {
    const names = [...readDirectory(path)].slice(0, 50)
    using directory = openDirectory(path)
    for (const { name } of names) rmSync(asBuffer(joinPath(path, name)))
    expect([...directory.entries()].length).toBe(COUNT - 50)
  })
})
