import { execFileSync, spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { utf8 } from '../../lib/bytes.ts'
import { isHoldfastError, systemErrorCode } from '../../lib/errors.ts'
import { randomBytes } from '../../lib/random.ts'
import { type AttributeStore, nativeAttributeStore, portableAttributeStore } from './extended-attributes.ts'
import { libc } from './libc.ts'

const library = libc()
const native = library && nativeAttributeStore(library)

/** Whether files below `folder` take an attribute with a value of `bytes`. */
function takes(folder: string, bytes: number): boolean {
  if (!native) return false
  const scratch = mkdtempSync(join(folder, 'posix-attributes-'))
  try {
    native.write(utf8(scratch), { name: 'user.probe', value: new Uint8Array(bytes) })
    return true
  } catch {
    return false
  } finally {
    rmSync(scratch, { recursive: true })
  }
}

const places = [tmpdir(), '/dev/shm', '/var/tmp']
const place = places.find((folder) => takes(folder, 1))
const roomy = places.find((folder) => takes(folder, 65_536))
const hasAclTools = spawnSync('setfacl', ['--version']).status === 0
const root = mkdtempSync(join(place ?? tmpdir(), 'posix-attributes-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const plain = (attributes: ReturnType<AttributeStore['read']>): [string, string][] =>
  attributes.map(({ name, value }) => [name, Buffer.from(value).toString('latin1')])

describe.skipIf(!place)('extended attributes (needs the native library and a file system that has them)', () => {
  const { read, write, remove } = native ?? portableAttributeStore
  let path: Buffer
  let fd: number
  beforeAll(() => {
    path = Buffer.concat([utf8(`${root}/`), Buffer.from([0xff, 0x0a, 0x41])])
    writeFileSync(path, '')
    fd = openSync(path, 'r+')
  })
  afterAll(() => closeSync(fd))

  test('are written, read, replaced and removed, by name and by descriptor', () => {
    for (const target of [path, fd]) {
      expect(read(target)).toEqual([])
      write(target, { name: 'user.text', value: utf8('one') })
      write(target, { name: 'user.text', value: utf8('another') })
      write(target, { name: 'user.empty', value: new Uint8Array() })
      write(target, { name: 'user.b\xffn\xe4ry', value: Uint8Array.of(0, 255, 10, 0) })
      expect(plain(read(target))).toEqual([
        ['user.text', 'another'],
        ['user.empty', ''],
        ['user.b\xffn\xe4ry', '\0\xff\n\0'],
      ])
      for (const { name } of read(target)) remove(target, name)
    }
    expect(read(path)).toEqual([])
  })

  test('values do not share memory with later reads', () => {
    write(path, { name: 'user.first', value: utf8('first') })
    const [first] = read(path)
    write(path, { name: 'user.first', value: utf8('other') })
    read(path)
    expect(Buffer.from(first!.value).toString()).toBe('first')
    remove(path, 'user.first')
  })

  test('a value may be part of a larger buffer', () => {
    write(path, { name: 'user.part', value: utf8('....part....').subarray(4, 8) })
    expect(plain(read(path))).toEqual([['user.part', 'part']])
    remove(path, 'user.part')
  })

  test('many names and a longer value than the first room are read whole', () => {
    // Together less than the block ext4 keeps them in.
    const value = randomBytes(1500)
    write(path, { name: 'user.long', value })
    const names = Array.from({ length: 20 }, (_, i) => `user.${String(i).padStart(60, 'n')}`)
    for (const name of names) write(path, { name, value: new Uint8Array() })
    const attributes = read(path)
    expect(attributes.map(({ name }) => name).sort()).toEqual(['user.long', ...names].sort())
    expect(attributes.find(({ name }) => name === 'user.long')!.value).toEqual(value)
    for (const { name } of attributes) remove(path, name)
  })

  test('of a link are those of the link', () => {
    const link = join(root, 'link')
    symlinkSync(Buffer.from(path), link)
    write(path, { name: 'user.target', value: utf8('x') })
    expect(read(utf8(link))).toEqual([])
    expect(() => write(utf8(link), { name: 'user.link', value: utf8('x') })).toThrow('EPERM')
    remove(path, 'user.target')
  })

  test('failures tell their code and the path', () => {
    const none = utf8(`${root}/none`)
    const codes = [
      () => read(none),
      () => write(none, { name: 'user.x', value: utf8('x') }),
      () => remove(none, 'user.x'),
      () => remove(path, 'user.none'),
      () => write(path, { name: 'unknown.space', value: utf8('x') }),
      () => write(path, { name: 'user.a\0b', value: utf8('x') }),
      () => write(path, { name: `user.${'x'.repeat(251)}`, value: utf8('x') }),
      () => write(path, { name: 'user.huge', value: new Uint8Array(65_537) }),
      () => read(987_654),
    ].map((work) => {
      try {
        work()
        return 'worked'
      } catch (error) {
        return systemErrorCode(error)
      }
    })
    expect(codes).toEqual(['ENOENT', 'ENOENT', 'ENOENT', 'ENODATA', 'ENOTSUP', 'EINVAL', 'ERANGE', 'E2BIG', 'EBADF'])
    expect(() => read(none)).toThrow(`ENOENT: no such file or directory, llistxattr '${root}/none'`)
  })

  test('files of file systems without any have none', () => {
    expect(read(utf8('/proc/self/status'))).toEqual([])
  })

  test.skipIf(!roomy)('values of 64 KiB (needs a file system that takes them)', () => {
    const folder = mkdtempSync(join(roomy!, 'posix-attributes-'))
    const value = randomBytes(65_536)
    write(utf8(folder), { name: 'user.large', value })
    const [attribute] = read(utf8(folder))
    rmSync(folder, { recursive: true })
    expect(attribute!.value).toEqual(value)
  })

  test.skipIf(!hasAclTools)('access control lists are carried over (needs setfacl and getfacl)', () => {
    const source = join(root, 'acl-source')
    const target = join(root, 'acl-target')
    for (const folder of [source, target]) mkdirSync(folder, { mode: 0o700 })
    execFileSync('setfacl', ['-m', 'u:12345:rwx,g:54321:r-x,m::rwx', source])
    execFileSync('setfacl', ['-d', '-m', 'u:12345:r--', source])
    const lists = read(utf8(source))
    expect(lists.map(({ name }) => name).sort()).toEqual(['system.posix_acl_access', 'system.posix_acl_default'])
    for (const list of lists) write(utf8(target), list)
    const show = (folder: string): string =>
      execFileSync('getfacl', ['--omit-header', '--numeric', '--absolute-names', folder], { encoding: 'utf8' })
    expect(show(target)).toBe(show(source))
    expect(show(target)).toContain('user:12345:rwx')
  })
})

test('without the native library there are none to read, and writing is refused by name', () => {
  const { read, write, remove } = portableAttributeStore
  expect(read(utf8('/'))).toEqual([])
  for (const work of [() => write(utf8('/x'), { name: 'user.x', value: utf8('x') }), () => remove(3, 'user.x')])
    expect(work).toThrow(expect.toSatisfy((error) => isHoldfastError(error, 'HF_UNSUPPORTED')))
  expect(() => write(utf8('/x'), { name: 'user.x', value: utf8('x') })).toThrow('user.x of /x cannot be set')
})
