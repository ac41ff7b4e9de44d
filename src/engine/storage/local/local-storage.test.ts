import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { utf8 } from '../../../lib/bytes.ts'
import { namedFile } from '../contract-support.ts'
import { listFiles } from '../list-files.ts'
import type { FileRef, Storage } from '../storage.ts'
import { errorFrom } from '../testing.ts'
import { openLocalStorage } from './local-storage.ts'

const config: FileRef = { kind: 'config' }
const isRoot = process.getuid?.() === 0

let root: string
let storage: Storage

// The 256 folders of packs are left to the tests that are about them: making and removing them for each test takes its time.
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'holdfast-local-'))
  for (const folder of ['data', 'index', 'keys', 'locks', 'snapshots']) mkdirSync(join(root, folder))
  storage = openLocalStorage(root)
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const modeOf = (...parts: string[]): string => (statSync(join(root, ...parts)).mode & 0o7777).toString(8)

async function withUmask<T>(mask: number, run: () => Promise<T>): Promise<T> {
  const before = process.umask(mask)
  try {
    return await run()
  } finally {
    process.umask(before)
  }
}

describe('layout and permissions', () => {
  test('a new repository has the five folders and the 256 folders of packs', async () => {
    await storage.create()
    expect(readdirSync(root).sort()).toEqual(['data', 'index', 'keys', 'locks', 'snapshots'])
    expect(readdirSync(join(root, 'data'))).toHaveLength(256)
  })

  test.each([0, 0o022, 0o077, 0o277])('files 0400 and folders 0700 under umask %o', async (mask) => {
    rmSync(root, { recursive: true })
    await withUmask(mask, async () => {
      const deep = openLocalStorage(join(root, 'place', 'repository'))
      await deep.create()
      await deep.put(config, utf8('config'))
      await deep.put(namedFile('data', utf8('pack')), utf8('pack'))
    })
    for (const folder of ['place', 'place/repository', 'place/repository/keys', 'place/repository/data/ab']) {
      expect([folder, modeOf(folder)]).toEqual([folder, '700'])
    }
    expect(modeOf('place/repository/config')).toBe('400')
    const { name } = namedFile('data', utf8('pack'))
    expect(modeOf('place/repository/data', name.slice(0, 2), name)).toBe('400')
  })

  test('a file is never wider than 0600 while it is written', async () => {
    const seen = new Set<string>()
    await withUmask(0, async () => {
      const content = new Uint8Array(32 << 20)
      let writing = true
      const written = storage.put(namedFile('index', content), content).then(() => {
        writing = false
      })
      while (writing) {
        for (const name of readdirSync(join(root, 'index'))) {
          const status = statSync(join(root, 'index', name), { throwIfNoEntry: false })
          if (status) seen.add((status.mode & 0o777).toString(8))
        }
        await new Promise((resolve) => setImmediate(resolve))
      }
      await written
    })
    expect(seen).toContain('600')
    expect([...seen].filter((mode) => mode !== '600' && mode !== '400')).toEqual([])
  })

  test('a repository whose config the group may read is kept usable for the group', async () => {
    await storage.put(config, utf8('config'))
    chmodSync(join(root, 'config'), 0o440)
    rmSync(join(root, 'snapshots'), { recursive: true })
    chmodSync(root, 0o2770)
    const forGroup = openLocalStorage(root)
    expect(forGroup.properties.directory).toMatchObject({ fileMode: 0o660, directoryMode: 0o770 })
    const file = namedFile('snapshot', utf8('s'))
    await withUmask(0o077, () => forGroup.put(file, utf8('s')))
    expect(modeOf('snapshots', file.name)).toBe('440')
    expect(modeOf('snapshots')).toMatch(/^2?770$/)
  })

  test('create leaves what exists as it is', async () => {
    chmodSync(join(root, 'keys'), 0o750)
    await storage.put(config, utf8('config'))
    await storage.create()
    expect(modeOf('keys')).toBe('750')
    expect(await storage.get(config)).toEqual(utf8('config'))
  })

  test('an empty place in which the repository was is not filled (S4-10)', async () => {
    rmSync(root, { recursive: true })
    mkdirSync(root)
    const file = namedFile('lock', utf8('lock'))
    expect((await errorFrom(() => storage.put(file, utf8('lock')))).code).toBe('HF_REPO_NOT_FOUND')
    expect(readdirSync(root)).toEqual([])
  })
})

describe('listing', () => {
  test('ignores names that are none, folders, and packs in the wrong folder', async () => {
    const content = utf8('x')
    const index = namedFile('index', content)
    const pack = namedFile('data', content)
    await storage.put(index, content)
    await storage.put(pack, content)
    const prefix = pack.name.slice(0, 2)
    const other = prefix === 'ff' ? '00' : 'ff'
    for (const name of ['README', 'a'.repeat(63), 'A'.repeat(64), `${index.name}-tmp-0123`]) {
      writeFileSync(join(root, 'index', name), 'foreign')
    }
    mkdirSync(join(root, 'index', 'b'.repeat(64)))
    symlinkSync('nowhere', join(root, 'index', 'c'.repeat(64)))
    writeFileSync(join(root, 'data', 'stray'), 'not a folder')
    mkdirSync(join(root, 'data', other))
    writeFileSync(join(root, 'data', other, pack.name), 'misplaced')
    expect(await listFiles(storage, 'index')).toEqual([{ name: index.name, sizeBytes: 1 }])
    expect(await listFiles(storage, 'data')).toEqual([{ name: pack.name, sizeBytes: 1 }])
  })

  test('a missing folder lists as empty', async () => {
    rmSync(join(root, 'data'), { recursive: true })
    rmSync(join(root, 'locks'), { recursive: true })
    expect(await listFiles(storage, 'data')).toEqual([])
    expect(await listFiles(storage, 'lock')).toEqual([])
  })
})

describe('what dead writers left', () => {
  test('is removed by the next write after a listing, once it is older than a day', async () => {
    const name = 'd'.repeat(64)
    const old = join(root, 'data', 'dd', `${name}-tmp-0a1b2c3d4e5f6071`)
    const restics = join(root, 'data', 'dd', `${name}-tmp-123456789`)
    const young = join(root, 'data', 'dd', `${name}-tmp-1111111111111111`)
    mkdirSync(join(root, 'data', 'dd'))
    for (const path of [old, restics, young]) writeFileSync(path, 'half')
    const yesterday = statSync(young).mtimeMs / 1000 - 25 * 60 * 60
    utimesSync(old, yesterday, yesterday)
    utimesSync(restics, yesterday, yesterday)

    await listFiles(storage, 'data')
    expect([old, restics, young].map((path) => existsSync(path))).toEqual([true, true, true])
    await storage.put(namedFile('lock', utf8('l')), utf8('l'))
    expect([old, restics, young].map((path) => existsSync(path))).toEqual([false, false, true])
  })
})

describe('hostile and broken places', () => {
  test('a named pipe in the place of a file is an error, not a wait', async () => {
    const file = namedFile('index', utf8('pipe'))
    expect(spawnSync('mkfifo', [join(root, 'index', file.name)]).status).toBe(0)
    expect(await errorFrom(() => storage.get(file))).toMatchObject({ code: 'HF_STORAGE_IO', retry: 'never' })
    expect(await listFiles(storage, 'index')).toEqual([])
  })

  test('a folder in the place of a file', async () => {
    const file = namedFile('index', utf8('folder'))
    mkdirSync(join(root, 'index', file.name))
    for (const call of [() => storage.get(file), () => storage.stat(file)]) {
      expect(await errorFrom(call)).toMatchObject({ code: 'HF_STORAGE_IO', retry: 'never' })
    }
  })

  test('a name that is no id never becomes a path', async () => {
    for (const name of ['../config', '', `${'a'.repeat(63)}/`]) {
      expect((await errorFrom(() => storage.get({ kind: 'key', name }))).code).toBe('HF_INTERNAL')
      expect((await errorFrom(() => storage.delete({ kind: 'key', name }))).code).toBe('HF_INTERNAL')
    }
  })

  test('a file in the place of the repository', async () => {
    const path = join(root, 'file')
    writeFileSync(path, '')
    const error = await errorFrom(() => openLocalStorage(path).put(config, utf8('c')))
    expect(error.code).toBe('HF_STORAGE_LOCATION')
    expect((await errorFrom(() => openLocalStorage(path).create())).message).toContain(path)
  })

  test.skipIf(!isRoot)(
    'refused access names the object, and no retry is suggested (needs root, to become somebody else)',
    async () => {
      await storage.put(config, utf8('config'))
      process.seteuid?.(65_534)
      try {
        const calls = [
          () => storage.get(config),
          () => storage.put(namedFile('key', utf8('k')), utf8('k')),
          () => storage.delete(config),
          () => listFiles(storage, 'snapshot'),
          () => openLocalStorage(join(root, 'inner')).create(),
        ]
        for (const call of calls) {
          const error = await errorFrom(call)
          expect(error).toMatchObject({ code: 'HF_STORAGE_DENIED', retry: 'after-fix' })
          expect(error.message).toContain(root)
          expect(error.hint).toContain('permissions')
        }
      } finally {
        process.seteuid?.(0)
      }
    },
  )

  test.skipIf(isRoot)('a folder without write permission (root may write anywhere)', async () => {
    chmodSync(join(root, 'index'), 0o500)
    const error = await errorFrom(() => storage.put(namedFile('index', utf8('i')), utf8('i')))
    expect(error.code).toBe('HF_STORAGE_DENIED')
    chmodSync(join(root, 'index'), 0o700)
  })
})

describe('on a small file system of its own', () => {
  const mounted = (): boolean =>
    isRoot && spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m,mode=0700', 'none', root]).status === 0
  const unmount = (): void => {
    expect(spawnSync('umount', [root]).status).toBe(0)
  }

  test('a full disk: a clear error, nothing left, and what was there stays', async ({ skip }) => {
    if (!mounted()) skip('needs the right to mount a small file system')
    try {
      const small = openLocalStorage(root)
      await small.create()
      const kept = new Uint8Array(1 << 20).fill(1)
      await small.put(namedFile('index', kept), kept)
      const large = new Uint8Array(8 << 20)
      const file = namedFile('data', large)
      const error = await errorFrom(() => small.put(file, large))
      expect(error).toMatchObject({ code: 'HF_STORAGE_FULL', retry: 'after-fix' })
      expect(error.message).toContain(`data/${file.name.slice(0, 8)}`)
      expect(error.hint).toContain('space')
      expect(readdirSync(join(root, 'data', file.name.slice(0, 2)))).toEqual([])
      expect(await small.get(namedFile('index', kept))).toEqual(kept)
    } finally {
      unmount()
    }
  })

  test('a file system mounted read-only', async ({ skip }) => {
    if (!mounted()) skip('needs the right to mount a small file system')
    try {
      const small = openLocalStorage(root)
      await small.create()
      const file = namedFile('index', utf8('i'))
      await small.put(file, utf8('i'))
      expect(spawnSync('mount', ['-o', 'remount,ro', root]).status).toBe(0)
      expect((await errorFrom(() => small.delete(file))).code).toBe('HF_STORAGE_DENIED')
      const error = await errorFrom(() => small.put(namedFile('index', utf8('j')), utf8('j')))
      expect(error).toMatchObject({ code: 'HF_STORAGE_DENIED', retry: 'after-fix' })
      expect(error.message).toContain('read-only')
      expect(await small.get(file)).toEqual(utf8('i'))
    } finally {
      unmount()
    }
  })
})
