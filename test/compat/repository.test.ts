import { execFileSync } from 'node:child_process'
import { closeSync, ftruncateSync, linkSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { executeForget, planForgetOf } from '../../src/engine/repository/forget.ts'
import { addKey } from '../../src/engine/repository/key-management.ts'
import { executePrune } from '../../src/engine/repository/prune/execute-prune.ts'
import { planPrune } from '../../src/engine/repository/prune/plan-prune.ts'
import type { Repository } from '../../src/engine/repository/repository.ts'
import type { StoredSnapshot } from '../../src/engine/repository/snapshot.ts'
import { loadSnapshots } from '../../src/engine/repository/snapshots.ts'
import { TreeLoader } from '../../src/engine/repository/tree-loader.ts'
import { openLocalStorage } from '../../src/engine/storage/local/local-storage.ts'
import { HoldfastError } from '../../src/lib/errors.ts'
import type { Id } from '../../src/lib/id.ts'
import { noProgress } from '../../src/lib/progress.ts'
import { findTreeDifference } from '../support/compare-trees.ts'
import { makeOddFolder } from '../support/odd-folder.ts'
import { lacks } from '../support/requirements.ts'
import { ResticProgram } from '../support/restic-program.ts'
import { resticPrograms } from '../support/restic-trees.ts'
import { AGES, noise, pruneAll, writeAge } from '../support/storage-victims.ts'
import { backUp, CHEAP_KDF, newRepository, PASSWORD, reopen, scratchFolder } from '../support/test-repository.ts'
import { loadEverything } from '../support/whole-snapshots.ts'

const MIB = 1024 * 1024

/** Restores a snapshot with restic and fails unless `folder` comes back as `expected`, which is where it was by default. */
function expectRestores(restic: ResticProgram, snapshot: string, folder: string, expected: string = folder): void {
  using scratch = scratchFolder()
  restic.run('restore', snapshot, '--target', scratch.path, ...(restic.isSince(15) ? ['--sparse'] : []))
  expect(findTreeDifference(expected, scratch.join(folder))).toBeUndefined()
}

async function forgetAndPrune(repository: Repository, keep: number): Promise<void> {
  const snapshots = await loadSnapshots(repository)
  await executeForget(repository, planForgetOf(snapshots.slice(0, snapshots.length - keep)), noProgress)
  await executePrune(repository, await planPrune(repository, pruneAll, noProgress), noProgress)
}

/** Opens a repository with the key restic made, and puts one in its place that costs less time with each command. */
async function exchangeKey(path: string): Promise<void> {
  const repository = await reopen(path)
  await addKey(repository, PASSWORD, { kdf: CHEAP_KDF })
  await openLocalStorage(path).delete({ kind: 'key', name: repository.keyId })
}

/** The tree of a folder in a snapshot: the folders above it change with everything else on this machine. */
async function treeOf(repository: Repository, { tree }: StoredSnapshot, folder: string): Promise<Id> {
  const loader = new TreeLoader(repository)
  let id = tree!
  for (const name of folder.split('/').filter(Boolean)) {
    const node = (await loader.load(id)).nodes.find((entry) => entry.name === name)
    id = node!.subtree!
  }
  loader.close()
  return id
}

/** Everything a folder can hold, where this machine lets us make it; else plain files, links and folders. */
function makeSource(folder: string): void {
  mkdirSync(folder)
  writeAge(join(folder, 'plain'), AGES - 1)
  mkdirSync(join(folder, 'empty'))
  linkSync(join(folder, 'plain', 'file 1'), join(folder, 'plain', 'second name'))
  linkSync(join(folder, 'plain', 'file 1'), join(folder, 'empty-not'))
  const fd = openSync(join(folder, 'all hole'), 'w')
  ftruncateSync(fd, 20 * MIB)
  closeSync(fd)
  if (!lacks('root', 'setfattr')) makeOddFolder(join(folder, 'odd'))
}

const copyOf = (folder: string, target: string): void => {
  execFileSync('cp', ['-a', folder, target])
}

describe.skipIf(lacks('restic')).each(resticPrograms)('%s', (program) => {
  // Before 0.16 restic kept link targets that are no valid UTF-8 only with replacement characters.
  const canLinks = (restic: ResticProgram): boolean => restic.isSince(16)

  describe('reads what we write', () => {
    test('first and later backups, before and after prune: contents and attributes come back', async () => {
      using scratch = scratchFolder()
      const [path, data] = [scratch.join('repository'), scratch.join('data')]
      const restic = new ResticProgram(program, path)
      makeSource(data)
      if (!canLinks(restic)) rmSync(join(data, 'odd', 'link-invalid'), { force: true })
      const repository = await newRepository(path, { packBytes: MIB / 4 })
      const first = await backUp(repository, data)
      restic.expectContent()
      copyOf(data, scratch.join('before'))
      expectRestores(restic, first.snapshot!.id, data)

      rmSync(join(data, 'plain', 'a', 'deep'), { recursive: true })
      writeFileSync(join(data, 'plain', 'file 0'), noise(77, 300_000))
      writeFileSync(join(data, 'empty', 'no longer'), 'x')
      const second = await backUp(repository, data)
      restic.expectContent()
      expectRestores(restic, second.snapshot!.id, data)
      expectRestores(restic, first.snapshot!.id, data, scratch.join('before'))

      await forgetAndPrune(await reopen(path, { packBytes: MIB / 4 }), 1)
      restic.expectContent()
      expectRestores(restic, 'latest', data)
    })

    test('what an interrupted backup left, and the one after it', async () => {
      using scratch = scratchFolder()
      const [path, data] = [scratch.join('repository'), scratch.join('data')]
      mkdirSync(data)
      for (let i = 0; i < 12; i++) writeFileSync(join(data, `file ${i}`), noise(i, MIB))
      const restic = new ResticProgram(program, path)
      const controller = new AbortController()
      let items = 0
      const observer = {
        onError: () => undefined,
        onItem: () => ++items === 4 && controller.abort(new HoldfastError('HF_INTERRUPTED', 'stopped')),
      }
      const interrupted = backUp(await newRepository(path), data, { signal: controller.signal, observer })
      await expect(interrupted).rejects.toMatchObject({ code: 'HF_INTERRUPTED' })
      restic.expectContent()
      await backUp(await reopen(path), data)
      restic.expectContent()
      expectRestores(restic, 'latest', data)
    })

    test('version 1', async () => {
      using scratch = scratchFolder()
      const [path, data] = [scratch.join('repository'), scratch.join('data')]
      const restic = new ResticProgram(program, path)
      writeAge(data, 0)
      const repository = await newRepository(path, { version: 1 })
      await backUp(repository, data)
      writeAge(data, 1)
      await backUp(repository, data)
      await forgetAndPrune(await reopen(path), 1)
      restic.expectContent()
      expectRestores(restic, 'latest', data)
    })

    test('and backs up, copies, forgets and prunes there, and we go on', async () => {
      using scratch = scratchFolder()
      const [path, data] = [scratch.join('repository'), scratch.join('data')]
      const restic = new ResticProgram(program, path)
      const ours = await newRepository(path, { packBytes: MIB / 4 })
      for (let age = 0; age < AGES; age++) {
        writeAge(data, age)
        await backUp(ours, data)
      }
      restic.run('backup', '--host', 'test-host', data)
      const repository = await reopen(path)
      const snapshots = await loadSnapshots(repository)
      const [before, theirs] = snapshots.slice(-2)
      expect(theirs!.parent).toBe(before!.id)
      expect(await treeOf(repository, theirs!, data)).toBe(await treeOf(repository, before!, data))

      const copy = new ResticProgram(program, scratch.join('copy'))
      writeFileSync(scratch.join('password'), PASSWORD)
      copy.run('init', '--from-repo', path, '--from-password-file', scratch.join('password'), '--copy-chunker-params')
      copy.run('copy', '--from-repo', path, '--from-password-file', scratch.join('password'))
      expect(await loadEverything(openLocalStorage(copy.repository))).toHaveLength(AGES + 1)

      restic.run('forget', '--keep-last', '2', '--prune', '--max-unused', '0')
      expect(await loadEverything(openLocalStorage(path))).toHaveLength(2)
      writeFileSync(join(data, 'one more'), noise(88, 100_000))
      const { summary } = await backUp(await reopen(path), data)
      expect(summary.dataBlobs).toBe(1)
      restic.expectContent()
      expectRestores(restic, 'latest', data)
    })
  })

  describe('writes what we read', () => {
    const ways: readonly (readonly [name: string, init: readonly string[], backup: readonly string[]])[] = [
      ['version 1', ['--repository-version', '1'], []],
      ['version 2', ['--repository-version', '2'], []],
      ['version 2, compressed as far as it goes', [], ['--compression', 'max']],
      ['version 2, not compressed', [], ['--compression', 'off']],
      ['version 2, other packs', [], ['--pack-size', '4']],
    ]
    test.each(ways)('%s: we load all of it, go on, prune, and it is content', async (_, init, options) => {
      using scratch = scratchFolder()
      const [path, data] = [scratch.join('repository'), scratch.join('data')]
      const restic = new ResticProgram(program, path)
      restic.run('init', ...init)
      await exchangeKey(path)
      for (let age = 0; age < AGES; age++) {
        writeAge(data, age)
        writeFileSync(join(data, 'text'), `compresses well, ${age}\n`.repeat(50_000))
        restic.run('backup', '--host', 'test-host', ...options, data)
      }
      expect(await loadEverything(openLocalStorage(path))).toHaveLength(AGES)

      const repository = await reopen(path)
      const theirs = (await loadSnapshots(repository)).at(-1)!
      const { snapshot, summary } = await backUp(repository, data, { parent: undefined })
      expect(summary.dataBlobs).toBe(0)
      expect(await treeOf(repository, snapshot!, data)).toBe(await treeOf(repository, theirs, data))

      await forgetAndPrune(await reopen(path), 1)
      restic.expectContent()
      expectRestores(restic, 'latest', data)
    })

    test('many snapshots', async () => {
      using scratch = scratchFolder()
      const [path, data] = [scratch.join('repository'), scratch.join('data')]
      const restic = new ResticProgram(program, path)
      await newRepository(path)
      writeAge(data, 0)
      for (let age = 0; age < 12; age++) {
        writeFileSync(join(data, `from ${age}`), noise(100 + age, 50_000))
        restic.run('backup', '--host', 'test-host', data)
      }
      expect(await loadEverything(openLocalStorage(path))).toHaveLength(12)
      await forgetAndPrune(await reopen(path), 5)
      expect(await loadEverything(openLocalStorage(path))).toHaveLength(5)
      restic.expectContent()
      expectRestores(restic, 'latest', data)
    })
  })
})

describe.skipIf(lacks('restic'))('sizes', () => {
  const program = resticPrograms.at(-1)!

  test('100,000 files in one folder', async () => {
    using scratch = scratchFolder()
    const [path, data] = [scratch.join('repository'), scratch.join('data')]
    mkdirSync(data)
    for (let i = 0; i < 100_000; i++) writeFileSync(join(data, `${i}`), i % 1000 === 0 ? `${i % 7}` : '')
    const { summary } = await backUp(await newRepository(path), data)
    expect(summary.totalFilesProcessed).toBe(100_000)
    const restic = new ResticProgram(program, path)
    restic.expectContent()
    expectRestores(restic, 'latest', data)
  })

  test('a file of 3 GiB, most of it holes', async () => {
    using scratch = scratchFolder()
    const [path, data] = [scratch.join('repository'), scratch.join('data')]
    mkdirSync(data)
    const fd = openSync(join(data, 'large'), 'w')
    ftruncateSync(fd, 3 * 1024 * MIB + 12_345)
    for (const [i, at] of [0, 700 * MIB + 1, 2 ** 31 - 1000, 3 * 1024 * MIB].entries())
      writeSync(fd, noise(i + 1, 12_345), 0, 12_345, at)
    closeSync(fd)
    await backUp(await newRepository(path), data)
    const restic = new ResticProgram(program, path)
    restic.expectContent()
    expectRestores(restic, 'latest', data)
  })
})
