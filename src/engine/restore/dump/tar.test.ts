import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { lstat } from '../../posix/attributes.ts'
import { readAttributes } from '../../posix/extended-attributes.ts'
import { toGoMode } from '../../repository/tree/mode.ts'
import { createNode, type NodeFields, textToByteString } from '../../repository/tree/node.ts'
import { aclText } from './acl-text.ts'
import type { DumpEntry } from './dump-entry.ts'
import { writeTar } from './tar.ts'
import { encodeTarHeader, type TarHeader } from './tar-header.ts'

const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }

function entry(path: string, fields: Partial<NodeFields> = {}, content?: Iterable<Uint8Array>): DumpEntry {
  const time = { seconds: 1_600_000_000, nanoseconds: 0, offsetSeconds: 0 }
  const type = fields.type ?? 'file'
  const format = { file: 0o100000, dir: 0o040000, symlink: 0o120000, dev: 0o060000, chardev: 0o020000, fifo: 0o010000 }
  const mode = toGoMode((format[type as keyof typeof format] ?? 0o140000) | (type === 'dir' ? 0o755 : 0o644))
  const node = createNode({ name: '', type, mode, mtime: time, atime: time, ctime: time, ...owner, ...fields })
  return { path, node, content }
}

const file = (path: string, text: string, fields: Partial<NodeFields> = {}): DumpEntry =>
  entry(path, { size: Buffer.byteLength(text), ...fields }, [Buffer.from(text)])

async function archive(entries: readonly DumpEntry[]): Promise<{ bytes: Buffer; warnings: string[] }> {
  const pieces: Buffer[] = []
  const warnings: string[] = []
  await writeTar({
    entries: (async function* () {
      yield* entries
    })(),
    write: async (bytes) => void pieces.push(Buffer.from(bytes)),
    warn: (message) => warnings.push(message),
  })
  return { bytes: Buffer.concat(pieces), warnings }
}

describe('tar archives', () => {
  let root: string
  let unpacked = 0

  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'tar-'))
  })
  afterAll(() => rmSync(root, { recursive: true }))

  /** Unpacks with GNU tar, which may not complain, and gives the folder. */
  async function unpack(entries: readonly DumpEntry[]): Promise<string> {
    const folder = join(root, String(unpacked++))
    mkdirSync(folder)
    const { bytes } = await archive(entries)
    writeFileSync(`${folder}.tar`, bytes)
    const options = ['--xattrs', '--xattrs-include=*', '--acls', '--preserve-permissions', '--warning=no-timestamp']
    const { status, stderr } = spawnSync('tar', [...options, '-C', folder, '-xf', `${folder}.tar`], {
      encoding: 'utf8',
    })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    return folder
  }

  const pathOf = (folder: string, path: string): Buffer => Buffer.from(`${folder}/${path}`, 'latin1')

  test('hold what was put in, for GNU tar', async () => {
    const long = `${'directory'.repeat(12)}/${'name'.repeat(50)}`
    const folder = await unpack([
      entry('d', { type: 'dir', mode: toGoMode(0o41755) }),
      file('d/text', 'hello', { mode: toGoMode(0o104750) }),
      file('d/empty', ''),
      file('d/block', 'x'.repeat(512)),
      entry('link', { type: 'symlink', linkTarget: 'd/text' }),
      entry('far link', { type: 'symlink', linkTarget: `${'x'.repeat(150)}\xff/\xe2\x82` }),
      file(long, 'deep'),
      entry(long.replace('/', '/other/'), { type: 'dir' }),
      file(textToByteString('größe漢😀'), 'utf-8'),
      file('bad\xff\nname', 'bytes'),
      file(`bad\xff${'y'.repeat(200)}`, 'many bytes'),
      entry('pipe', { type: 'fifo' }),
    ])
    expect(lstat(pathOf(folder, 'd')).mode).toBe(0o41755)
    expect(lstat(pathOf(folder, 'd/text')).mode).toBe(0o104750)
    expect(lstat(pathOf(folder, 'pipe')).type).toBe('fifo')
    expect(readlinkSync(pathOf(folder, 'link'), 'latin1')).toBe('d/text')
    expect(readlinkSync(pathOf(folder, 'far link'), 'latin1')).toBe(`${'x'.repeat(150)}\xff/\xe2\x82`)
    const contents: Record<string, string> = {
      'd/text': 'hello',
      'd/empty': '',
      'd/block': 'x'.repeat(512),
      [long]: 'deep',
      [textToByteString('größe漢😀')]: 'utf-8',
      'bad\xff\nname': 'bytes',
      [`bad\xff${'y'.repeat(200)}`]: 'many bytes',
    }
    for (const [path, text] of Object.entries(contents)) expect(readFileSync(pathOf(folder, path), 'utf8')).toBe(text)
    expect(lstat(pathOf(folder, long.replace('/', '/other/'))).type).toBe('dir')
  })

  test.each([
    [1_600_000_000, 0],
    [1_600_000_000, 123_456_789],
    [1_600_000_000, 100_000_000],
    [0, 1],
    [-1, 500_000_000],
    [-2, 0],
    [-1_000_000, 999_999_999],
    [8 ** 11, 7],
  ])('hold times exactly: %i s and %i ns', async (seconds, nanoseconds) => {
    const mtime = { seconds, nanoseconds, offsetSeconds: 3600 }
    const folder = await unpack([file('f', '', { mtime }), entry('d', { type: 'dir', mtime })])
    expect(lstat(pathOf(folder, 'f')).mtime).toEqual({ seconds, nanoseconds })
    expect(lstat(pathOf(folder, 'd')).mtime).toEqual({ seconds, nanoseconds })
  })

  test('hold extended attributes, whatever their names and values', async () => {
    const values: Record<string, Buffer> = {
      'user.text': Buffer.from('value'),
      'user.bytes': Buffer.from([0, 10, 255, 61]),
      'user.empty': Buffer.alloc(0),
      'user.a=b': Buffer.from('equals'),
      'user.100%': Buffer.from('percent'),
      'user.%3D': Buffer.from('no equals'),
    }
    const extendedAttributes = Object.entries(values).map(([name, value]) => ({ name, value }))
    const folder = await unpack([
      file('f', 'x', { extendedAttributes }),
      entry('d', { type: 'dir', extendedAttributes }),
    ])
    for (const name of ['f', 'd']) {
      const found = readAttributes(pathOf(folder, name)).map((a) => [a.name, Buffer.from(a.value ?? [])])
      expect(Object.fromEntries(found)).toEqual(values)
    }
  })

  test('hold access control lists', async () => {
    const value = Buffer.from(
      '0200000001000600ffffffff02000400e903000004000400ffffffff080007002700000010000700ffffffff20000400ffffffff',
      'hex',
    )
    const names = ['system.posix_acl_access', 'system.posix_acl_default']
    const extendedAttributes = names.map((name) => ({ name, value }))
    const folder = await unpack([
      entry('d', { type: 'dir', mode: toGoMode(0o40674), extendedAttributes }),
      file('f', '', { mode: toGoMode(0o100674), extendedAttributes: extendedAttributes.slice(0, 1) }),
    ])
    const found = (path: string) =>
      readAttributes(pathOf(folder, path)).map((a) => [a.name, Buffer.from(a.value ?? [])])
    expect(found('d').sort()).toEqual(names.map((name) => [name, value]))
    expect(found('f')).toEqual([[names[0], value]])
  })

  test.skipIf(lacks('root'))('hold owners and devices', async () => {
    const folder = await unpack([
      file('plain', '', { uid: 1234, gid: 2345 }),
      file('large', '', { uid: 4_000_000_000, gid: 2_097_152 }),
      entry('block', { type: 'dev', device: 0x1_0070_0c }),
      entry('char', { type: 'chardev', device: 0x103 }),
    ])
    expect(lstat(pathOf(folder, 'plain'))).toMatchObject({ uid: 1234, gid: 2345 })
    expect(lstat(pathOf(folder, 'large'))).toMatchObject({ uid: 4_000_000_000, gid: 2_097_152 })
    expect(lstat(pathOf(folder, 'block'))).toMatchObject({ type: 'dev', rdev: 0x1_0070_0c })
    expect(lstat(pathOf(folder, 'char'))).toMatchObject({ type: 'chardev', rdev: 0x103 })
  })

  test('name owners as text of any length', async () => {
    const names = ['me', 'größe', 'x'.repeat(31), 'x'.repeat(32), 'x'.repeat(40)]
    const { bytes } = await archive(names.map((user, i) => file(`f${i}`, '', { user, group: user })))
    const listing = execFileSync('tar', ['-tvf', '-'], { input: bytes, encoding: 'utf8', env: { LC_ALL: 'C.UTF-8' } })
    for (const name of names) expect(listing).toContain(` ${name}/${name} `)
  })

  test('end with two empty blocks and are whole blocks', async () => {
    const { bytes } = await archive([file('f', 'x')])
    expect(bytes.length).toBe(512 * 4)
    expect(bytes.subarray(-1024).every((byte) => byte === 0)).toBe(true)
    expect((await archive([])).bytes.length).toBe(1024)
  })

  test('take content in pieces of any size', async () => {
    const pieces = [1, 0, 100_000, 131_072, 131_073, 511, 400_000].map((size, i) => Buffer.alloc(size, i + 65))
    const whole = Buffer.concat(pieces)
    const folder = await unpack([entry('f', { size: whole.length }, pieces), file('after', 'x')])
    expect(readFileSync(join(folder, 'f')).equals(whole)).toBe(true)
    expect(readFileSync(join(folder, 'after'), 'utf8')).toBe('x')
  })

  test('without a place for an entry leave it out and say so', async () => {
    const { bytes, warnings } = await archive([
      entry('socket', { type: 'socket' }),
      entry('huge', { type: 'dev', device: 2n ** 63n }),
      file('f', '', {
        extendedAttributes: [
          { name: 'system.posix_acl_access', value: Buffer.from('no list') },
          { name: 'user.\0', value: null },
        ],
      }),
    ])
    expect(execFileSync('tar', ['-tf', '-'], { input: bytes, encoding: 'utf8' })).toBe('f\n')
    expect(warnings).toHaveLength(4)
    expect(warnings[0]).toContain('socket')
    expect(warnings[2]).toContain('system.posix_acl_access')
  })

  test.each(['', '/', '/etc/passwd', '..', 'a/../b', 'a//b', 'a/.', 'a/', 'a\0b'])(
    'refuse the path %j',
    async (path) => {
      await expect(archive([file(path, '')])).rejects.toMatchObject({ code: 'HF_TREE_INVALID' })
    },
  )

  test('refuse content of another size than the entry says', async () => {
    for (const size of [4, 6])
      await expect(archive([file('f', 'hello', { size })])).rejects.toMatchObject({
        code: 'HF_DATA_DAMAGED',
        message: expect.stringContaining('f should have'),
      })
  })

  test('pass errors on, from either side', async () => {
    const broken = (async function* () {
      yield Buffer.from('he')
      throw new Error('cannot read')
    })()
    await expect(archive([{ ...entry('f', { size: 5 }), content: broken }])).rejects.toThrow('cannot read')
    const full = writeTar({
      entries: (async function* () {
        yield file('f', 'x'.repeat(1_000_000))
      })(),
      write: () => Promise.reject(new Error('cannot write')),
      warn: () => undefined,
    })
    await expect(full).rejects.toThrow('cannot write')
  })
})

describe('headers', () => {
  const header: TarHeader = {
    path: 'f',
    type: '0',
    mode: 0o644,
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
  const text = (fields: Partial<TarHeader>): string =>
    Buffer.from(encodeTarHeader({ ...header, ...fields })).toString('latin1')

  test('are one block unless something does not fit', () => {
    expect(text({}).length).toBe(512)
    expect(text({ path: `${'p'.repeat(155)}/${'n'.repeat(100)}` }).length).toBe(512)
    expect(text({ path: `${'p'.repeat(156)}/${'n'.repeat(100)}` }).length).toBe(1536)
    expect(text({ path: 'n'.repeat(101) }).length).toBe(1536)
    expect(text({ path: `${'p'.repeat(60)}/${'d'.repeat(60)}/` }).length).toBe(512)
  })

  test('give sizes beyond eight gibibytes in the pax header', () => {
    expect(text({ size: 8 ** 11 - 1 })).toContain('77777777777\0')
    expect(text({ size: 8 ** 11 })).toContain('19 size=8589934592\n')
    expect(text({ size: 2n ** 63n })).toContain('size=9223372036854775808\n')
  })

  test('count the digits of a length in it', () => {
    for (let length = 1; length < 1100; length++) {
      const record = /^(\d+) k=v*\n/.exec(text({ records: [['k', 'v'.repeat(length)]] }).slice(512))!
      expect(Number(record[1])).toBe(record[0].length)
    }
  })

  test('never end a cut name with a slash, which would make it a directory', () => {
    const block = text({ path: `${'n'.repeat(99)}/${'m'.repeat(200)}` }).slice(-512)
    expect(block.slice(0, 100)).toBe(`${'n'.repeat(99)}\0`)
  })
})

describe('access control lists as text', () => {
  test('name users and groups by number', () => {
    const value = Buffer.from(
      '0200000001000600ffffffff02000400e903000004000200ffffffff080001002700000010000700ffffffff20000400ffffffff',
      'hex',
    )
    expect(aclText(value)).toBe('user::rw-\nuser:1001:r--\ngroup::-w-\ngroup:39:--x\nmask::rwx\nother::r--\n')
  })

  test.each(['', '0200', '01000000', '0200000001000600ffffff', '0200000003000600ffffffff'])('%j is none', (hex) => {
    expect(aclText(Buffer.from(hex, 'hex'))).toBeUndefined()
  })
})
