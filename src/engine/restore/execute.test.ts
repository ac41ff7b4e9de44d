import {
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { describe, expect, test } from 'vitest'
import { makeOddFolder } from '../../../test/support/odd-folder.ts'
import { lacks } from '../../../test/support/requirements.ts'
import {
  backUp,
  CHEAP_KDF,
  newRepository,
  PASSWORD,
  restic,
  scratchFolder,
} from '../../../test/support/test-repository.ts'
import type { Id } from '../../lib/id.ts'
import { randomBytes } from '../../lib/random.ts'
import { openDirectoryAt } from '../posix/at.ts'
import { type InitOptions, initRepository, openRepository, type Repository } from '../repository/repository.ts'
import { loadSnapshots } from '../repository/snapshots.ts'
import { openLocalStorage } from '../storage/local/local-storage.ts'
import { openMemoryStorage } from '../storage/memory/memory-storage.ts'
import { planRestore } from './plan.ts'
import { plannedItems } from './restore-plan.ts'
import { resolveFolder } from './snapshot-folder.ts'
import { describeFolder, restoreForTest, TreeMaker } from './testing.ts'

const MIB = 1024 * 1024

/** Backs `folder` up; the tree is that of the folder itself. */
async function store(repository: Repository, folder: string): Promise<Id> {
  const { snapshot } = await backUp(repository, folder)
  return await resolveFolder(repository, snapshot!.tree!, Buffer.from(folder).toString('latin1'))
}

const memoryRepository = (options: InitOptions = {}): Promise<Repository> =>
  initRepository(openMemoryStorage(), { password: PASSWORD }, { key: { kdf: CHEAP_KDF }, ...options })

/** Files of many sizes around every border, some alike, some compressible, and all that is in a folder besides. */
function makeMixedFolder(folder: string): void {
  mkdirSync(`${folder}/sub/deeper`, { recursive: true })
  const sizes = [0, 1, 100, 4096, 512 * 1024 - 1, 512 * 1024 + 1, 3 * MIB, 8 * MIB + 1, 12 * MIB]
  for (const [i, size] of sizes.entries()) writeFileSync(`${folder}/random ${i}`, randomBytes(size))
  writeFileSync(`${folder}/text`, 'a line of text that repeats\n'.repeat(200_000))
  writeFileSync(`${folder}/sub/same as random 7`, readFileSync(`${folder}/random 7`))
  writeFileSync(`${folder}/sub/zeros`, Buffer.alloc(5 * MIB))
  for (let i = 0; i < 300; i++)
    writeFileSync(`${folder}/sub/deeper/small ${i}`, `small file number ${i % 200}\n`.repeat(i))
  symlinkSync('random 1', `${folder}/link`)
  linkSync(`${folder}/random 2`, `${folder}/sub/another name of random 2`)
  linkSync(`${folder}/random 6`, `${folder}/sub/deeper/another name of random 6`)
}

describe('restoring to a new folder', () => {
  test.skipIf(lacks('root', 'setfattr'))('brings back all that a file system of Linux can hold', async () => {
    using scratch = scratchFolder()
    makeOddFolder(scratch.join('odd'))
    const repository = await newRepository(scratch.join('repository'))
    const tree = await store(repository, scratch.join('odd'))
    const { errors, progress } = await restoreForTest(repository, tree, scratch.join('out'))
    expect(errors).toEqual([])
    expect(describeFolder(scratch.join('out'))).toEqual(describeFolder(scratch.join('odd')))
    expect(progress.files).toBe(progress.totals.files)
    expect(progress.bytes).toBe(progress.totals.bytes)
  })

  test.each([
    ['compressed', { version: 2 }, false],
    ['compressed, past the cache', { version: 2 }, true],
    ['of version 1', { version: 1 }, false],
    ['of version 1, past the cache', { version: 1 }, true],
  ] as const)('brings back files of every size from a repository %s', async (_, options, durable) => {
    using scratch = scratchFolder()
    makeMixedFolder(scratch.join('data'))
    const repository = await newRepository(scratch.join('repository'), options)
    const tree = await store(repository, scratch.join('data'))
    const { errors, progress, plan } = await restoreForTest(repository, tree, scratch.join('out'), { durable })
    expect(errors).toEqual([])
    expect(describeFolder(scratch.join('out'))).toEqual(describeFolder(scratch.join('data')))
    expect(progress).toMatchObject({ files: plan.totals.files, bytes: plan.totals.bytes })
  })

  test('brings back the same from storage that threads cannot read', async () => {
    using scratch = scratchFolder()
    makeMixedFolder(scratch.join('data'))
    const repository = await memoryRepository()
    await repository.loadIndex()
    const tree = await store(repository, scratch.join('data'))
    const { errors } = await restoreForTest(repository, tree, scratch.join('out'))
    expect(errors).toEqual([])
    expect(describeFolder(scratch.join('out'))).toEqual(describeFolder(scratch.join('data')))
  })

  test.skipIf(lacks('restic', 'root', 'setfattr'))('brings back what restic has stored as restic does', async () => {
    using scratch = scratchFolder()
    makeOddFolder(scratch.join('odd'))
    makeMixedFolder(scratch.join('odd/mixed'))
    await newRepository(scratch.join('repository'))
    expect(restic(scratch.join('repository'), 'backup', '-q', scratch.join('odd')).status).toBe(0)
    const repository = await openRepository(openLocalStorage(scratch.join('repository')), { password: PASSWORD })
    const [snapshot] = await loadSnapshots(repository)
    await repository.loadIndex()
    const { errors } = await restoreForTest(repository, snapshot!.tree!, scratch.join('ours'))
    expect(
      restic(scratch.join('repository'), 'restore', '-q', 'latest', '--target', scratch.join('theirs')).status,
    ).toBe(0)
    expect(errors).toEqual([])
    expect(describeFolder(scratch.join('ours'))).toEqual(describeFolder(scratch.join('theirs')))
  })

  test('reads each blob once, however many files hold it', async () => {
    using scratch = scratchFolder()
    const maker = new TreeMaker(await memoryRepository())
    const blobs = [randomBytes(MIB), randomBytes(MIB)]
    const files = await Promise.all(['a', 'b', 'c'].map((name) => maker.file(name, [...blobs, ...blobs])))
    const tree = await maker.finish(files)
    let fetched = 0
    const get = maker.repository.storage.get.bind(maker.repository.storage)
    maker.repository.storage.get = async (file, range, options) => {
      if (file.kind === 'data') fetched += range?.length ?? 0
      return await get(file, range, options)
    }
    const { errors, progress } = await restoreForTest(maker.repository, tree, scratch.join('out'))
    expect(errors).toEqual([])
    expect(progress.bytes).toBe(12 * MIB)
    expect(fetched).toBeLessThan(2 * MIB + 4096)
    expect(readFileSync(scratch.join('out/c')).equals(Buffer.concat([...blobs, ...blobs]))).toBe(true)
  })

  test('leaves holes where --sparse is given, and only there', async () => {
    using scratch = scratchFolder()
    mkdirSync(scratch.join('data'))
    const path = scratch.join('data/disk image')
    const fd = openSync(path, 'w')
    for (const at of [3 * MIB, 17 * MIB]) writeSync(fd, randomBytes(10_000), 0, 10_000, at)
    closeSync(fd)
    truncateSync(path, 40 * MIB)
    writeFileSync(scratch.join('data/small'), Buffer.concat([Buffer.alloc(100_000), Buffer.from('end')]))
    const repository = await newRepository(scratch.join('repository'))
    const tree = await store(repository, scratch.join('data'))
    await restoreForTest(repository, tree, scratch.join('sparse'), { sparse: true })
    await restoreForTest(repository, tree, scratch.join('dense'))
    expect(describeFolder(scratch.join('sparse'))).toEqual(describeFolder(scratch.join('data')))
    expect(describeFolder(scratch.join('dense'))).toEqual(describeFolder(scratch.join('data')))
    const bytesOn = (name: string): number => statSync(scratch.join(name)).blocks * 512
    expect(bytesOn('sparse/disk image')).toBeLessThan(MIB)
    expect(bytesOn('sparse/small')).toBeLessThan(50_000)
    expect(bytesOn('dense/disk image')).toBeGreaterThanOrEqual(40 * MIB)
  })

  test('reaches places whose path is longer than any call would take', async () => {
    using scratch = scratchFolder()
    const maker = new TreeMaker(await memoryRepository())
    const name = 'd'.repeat(200)
    let node = await maker.file('deep down', ['here'])
    for (let depth = 0; depth < 60; depth++) node = await maker.directory(name, [node])
    const { errors } = await restoreForTest(maker.repository, await maker.finish([node]), scratch.join('out'))
    expect(errors).toEqual([])
    const open = [openDirectoryAt(Buffer.from(scratch.join('out')))]
    for (let depth = 0; depth < 60; depth++) open.push(open.at(-1)!.openDirectory(Buffer.from(name)))
    expect(open.at(-1)!.lstat(Buffer.from('deep down')).size).toBe(4)
    for (const directory of open) directory.close()
  })

  test('restores only what is selected, with the folders above it', async () => {
    using scratch = scratchFolder()
    const maker = new TreeMaker(await memoryRepository())
    const inner = [await maker.file('yes.txt', ['yes']), await maker.file('no.bin', ['no'])]
    const tree = await maker.finish([
      await maker.directory('with', inner, { mode: 0x8000_0000 + 0o750 }),
      await maker.directory('without', [await maker.file('no.bin', ['no'])]),
    ])
    const { errors, progress } = await restoreForTest(maker.repository, tree, scratch.join('out'), {
      selector: (path, isDirectory) => ({ selected: path.endsWith('.txt'), descend: isDirectory }),
    })
    expect(errors).toEqual([])
    const facts = describeFolder(scratch.join('out'))
    expect(Object.keys(facts)).toEqual(['/with', '/with/yes.txt'])
    expect(facts['/with']).toMatchObject({ mode: '40750', mtime: 1_700_000_000_123_456_789n })
    expect(progress).toMatchObject({ files: 2, totals: { files: 2, bytes: 3 } })
  })

  test('says in the plan what it will do, and does nothing before it is executed', async () => {
    using scratch = scratchFolder()
    const maker = new TreeMaker(await memoryRepository())
    const tree = await maker.finish([
      await maker.directory('folder', [await maker.file('file', ['content'])]),
      maker.symlink('link', 'folder'),
    ])
    const plan = await planRestore(maker.repository, tree, { target: scratch.join('out') })
    expect(existsSync(scratch.join('out'))).toBe(false)
    expect([...plannedItems(plan)]).toEqual([
      { path: '/folder', type: 'dir', action: 'restored', sizeBytes: 0 },
      { path: '/folder/file', type: 'file', action: 'restored', sizeBytes: 7 },
      { path: '/link', type: 'other', action: 'restored', sizeBytes: 0 },
    ])
    const { items } = await restoreForTest(maker.repository, tree, scratch.join('out'))
    const byPath = (a: { path: string }, b: { path: string }): number => (a.path < b.path ? -1 : 1)
    expect(items.sort(byPath)).toEqual([...plannedItems(plan)])
  })

  test.skipIf(lacks('root'))(
    'gives files to the users called as at backup time when asked to, else by number',
    async () => {
      using scratch = scratchFolder()
      const maker = new TreeMaker(await memoryRepository())
      const tree = await maker.finish([
        await maker.file('known', ['a'], { uid: 4711, gid: 4711, user: 'daemon', group: 'daemon' }),
        await maker.file('unknown', ['b'], { uid: 4711, gid: 4711, user: 'nobody-has-this-name', group: '' }),
      ])
      const owners = async (target: string, ownershipByName: boolean): Promise<number[]> => {
        await restoreForTest(maker.repository, tree, scratch.join(target), { ownershipByName })
        return ['known', 'unknown'].map((name) => statSync(scratch.join(target, name)).uid)
      }
      expect(await owners('by number', false)).toEqual([4711, 4711])
      expect(await owners('by name', true)).toEqual([1, 4711])
    },
  )

  test('ends when it is interrupted', async () => {
    using scratch = scratchFolder()
    const maker = new TreeMaker(await memoryRepository())
    const tree = await maker.finish([await maker.file('file', ['content'])])
    const signal = AbortSignal.abort()
    await expect(restoreForTest(maker.repository, tree, scratch.join('out'), { signal })).rejects.toMatchObject({
      code: 'HF_INTERRUPTED',
    })
  })
})

test('a target that is a file is refused before anything is done', async () => {
  using scratch = scratchFolder()
  writeFileSync(scratch.join('file'), 'precious')
  const maker = new TreeMaker(await memoryRepository())
  const tree = await maker.finish([await maker.file('a', ['b'])])
  for (const target of [scratch.join('file'), scratch.join('file/below')])
    await expect(restoreForTest(maker.repository, tree, target)).rejects.toMatchObject({ code: 'HF_TARGET_INVALID' })
  expect(readFileSync(scratch.join('file'), 'utf8')).toBe('precious')
})
