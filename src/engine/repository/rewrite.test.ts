import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { makeSnapshot } from '../../../test/support/make-snapshot.ts'
import { lacks } from '../../../test/support/requirements.ts'
import {
  backUp,
  expectResticContent,
  memoryRepository,
  newRepository,
  overStorage,
  reopen,
  restic,
  scratchFolder,
} from '../../../test/support/test-repository.ts'
import { workingFolder } from '../../../test/support/working-folder.ts'
import { utf8 } from '../../lib/bytes.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { parseTime, zeroTime } from '../../lib/go-time.ts'
import { noProgress } from '../../lib/progress.ts'
import { withFaults } from '../storage/layers/with-faults.ts'
import type { Storage } from '../storage/storage.ts'
import { errorFrom } from '../storage/testing.ts'
import type { Repository } from './repository.ts'
import { type RewriteOptions, type RewriteOutcome, rewriteSnapshots } from './rewrite.ts'
import type { StoredSnapshot } from './snapshot.ts'
import { loadSnapshots, saveSnapshot } from './snapshots.ts'
import { decodeTree } from './tree/decode-tree.ts'
import { encodeTree } from './tree/encode-tree.ts'
import { createNode, type Node } from './tree/node.ts'
import type { RewriteSelector } from './tree-rewriter.ts'
import { BlobWriter } from './write/blob-writer.ts'

const without =
  (pattern: RegExp): RewriteSelector =>
  (path, isDirectory) => ({ selected: !pattern.test(path), descend: isDirectory && !pattern.test(path) })

/** Takes what matches, and looks for it in every directory. */
const only =
  (pattern: RegExp): RewriteSelector =>
  (path, isDirectory) => ({ selected: pattern.test(path), descend: isDirectory })

const times = { mtime: zeroTime, atime: zeroTime, ctime: zeroTime }
const file = (name: string, content: string[] = []): Node =>
  createNode({ ...times, name, type: 'file', mode: 0o644, links: 1, size: content.length * 100, content })

/** Saves nested folders; a key with a slash at its end is one. */
async function saveFolder(writer: BlobWriter, folder: Folder): Promise<string> {
  const nodes: Node[] = []
  for (const name of Object.keys(folder).sort()) {
    const entry = folder[name]!
    if (Array.isArray(entry)) nodes.push(file(name, entry))
    else nodes.push(createNode({ ...times, name, type: 'dir', subtree: await saveFolder(writer, entry as Folder) }))
  }
  return (await writer.save('tree', encodeTree(nodes))).id
}

interface Folder {
  readonly [name: string]: Folder | string[]
}

/** The names in a tree, as paths. */
async function pathsOf(repository: Repository, tree: string, path = ''): Promise<string[]> {
  const paths: string[] = []
  for (const node of decodeTree(await repository.loadBlob('tree', tree), tree).nodes) {
    paths.push(`${path}/${node.name}`)
    if (node.subtree) paths.push(...(await pathsOf(repository, node.subtree, `${path}/${node.name}`)))
  }
  return paths
}

const sample: Folder = {
  etc: { hosts: [], secret: [] },
  home: { ann: { 'a.iso': ['a'.repeat(64)], notes: ['b'.repeat(64)] }, bob: { secret: [] } },
}

interface World {
  readonly repository: Repository
  readonly run: (options: Partial<RewriteOptions>) => Promise<RewriteOutcome[]>
  readonly stored: () => Promise<StoredSnapshot[]>
}

async function world(folder: Folder = sample, fields: Partial<StoredSnapshot> = {}): Promise<World> {
  const repository = await memoryRepository()
  const writer = new BlobWriter(repository)
  const tree = await saveFolder(writer, folder)
  await writer.flush()
  await saveSnapshot(repository, makeSnapshot('2024-03-01T10:00:00Z', { tree, tags: ['a'], ...fields }))
  const stored = (): Promise<StoredSnapshot[]> => loadSnapshots(repository)
  return {
    repository,
    stored,
    run: async (options) => await rewriteSnapshots(repository, await stored(), { progress: noProgress, ...options }),
  }
}

describe('rewriting', () => {
  test('leaves out what is excluded, and says where the new snapshot comes from', async () => {
    const { repository, run, stored } = await world()
    const [before] = await stored()
    const [outcome] = await run({ selector: without(/secret$/) })
    expect(outcome!.snapshot).toEqual(before)
    expect(outcome!.saved).toMatchObject({ original: before!.id, tags: ['a', 'rewrite'], time: before!.time })
    expect(await pathsOf(repository, outcome!.saved!.tree!)).toEqual([
      '/etc',
      '/etc/hosts',
      '/home',
      '/home/ann',
      '/home/ann/a.iso',
      '/home/ann/notes',
      '/home/bob',
    ])
    expect(await stored()).toHaveLength(2)
    expect(outcome!.saved!.summary).toMatchObject({ totalFilesProcessed: 3, totalBytesProcessed: 200 })
  })

  test('takes only what is included, with the folders on the way', async () => {
    const { repository, run } = await world()
    const [outcome] = await run({ selector: only(/notes$/), forget: true })
    expect(await pathsOf(repository, outcome!.saved!.tree!)).toEqual(['/home', '/home/ann', '/home/ann/notes'])
    expect(outcome!.saved!.tags).toEqual(['a'])
  })

  test('leaves a snapshot alone of which nothing would be left, or nothing would change', async () => {
    const { run, stored } = await world()
    const before = await stored()
    for (const selector of [only(/nothing like that/), without(/./)])
      for (const forget of [false, true]) {
        expect(await run({ selector, forget })).toEqual([{ snapshot: before[0], changed: undefined, saved: undefined }])
        expect(await stored()).toEqual(before)
      }
    // Counting the files is a change by itself; done once, there is nothing left to do.
    await run({ selector: without(/nothing like that/), forget: true })
    const counted = await stored()
    expect(counted[0]!.tree).toBe(before[0]!.tree)
    await run({ selector: without(/nothing like that/), forget: true })
    expect(await stored()).toEqual(counted)
  })

  test('keeps a snapshot all of whose files are excluded', async () => {
    const { repository, run } = await world()
    const [outcome] = await run({ selector: without(/^\/(etc|home)$/), mayEmpty: true })
    expect(await pathsOf(repository, outcome!.saved!.tree!)).toEqual([])
  })

  test('changes host and time, and touches no tree for that', async () => {
    const { run, stored } = await world({ broken: {} }, { tree: 'f'.repeat(64) })
    const newTime = parseTime('2020-02-02T02:02:02+01:00')!
    await run({ newHost: 'web9', newTime, forget: true })
    const [after] = await stored()
    expect(after).toMatchObject({
      hostname: 'web9',
      time: newTime,
      tree: 'f'.repeat(64),
      tags: ['a'],
      summary: undefined,
    })
  })

  test('adds counts to a snapshot without a summary, and corrects them in one with', async () => {
    const { run, stored } = await world()
    await run({ summary: true, forget: true })
    const [counted] = await stored()
    expect(counted!.summary).toMatchObject({ totalFilesProcessed: 5, totalBytesProcessed: 200, filesNew: 0 })
    expect(counted!.summary!.backupStart).toEqual(zeroTime)
    expect((await run({ summary: true, forget: true }))[0]!.saved).toBeUndefined()
    const wrong = { ...counted!.summary!, filesNew: 7, totalFilesProcessed: 1 }
    const other = await world(sample, { summary: wrong })
    await other.run({ summary: true, forget: true })
    expect((await other.stored())[0]!.summary).toEqual({ ...wrong, totalFilesProcessed: 5 })
  })

  test('tries without writing anything', async () => {
    const { repository, run, stored } = await world()
    const files = async (): Promise<string[][]> =>
      await Promise.all((['data', 'index', 'snapshot'] as const).map((kind) => repository.list(kind)))
    const before = await files()
    const [outcome] = await run({ selector: without(/secret$/), newHost: 'x', forget: true, dryRun: true })
    expect(outcome!.changed).toMatchObject({ hostname: 'x' })
    expect(outcome!.saved).toBeUndefined()
    expect(await files()).toEqual(before)
    expect((await stored())[0]!.hostname).not.toBe('x')
  })

  test('reads a folder that snapshots share at the same place once, and elsewhere again', async () => {
    const shared: Folder = { secret: [], kept: [] }
    const { repository, run, stored } = await world({ a: shared, b: shared })
    await saveSnapshot(repository, { ...(await stored())[0]!, hostname: 'other' })
    const asked: string[] = []
    const selector: RewriteSelector = (path, isDirectory) => {
      asked.push(path)
      return { selected: path !== '/b/secret', descend: isDirectory }
    }
    const outcomes = await run({ selector })
    expect(asked).toEqual(['/a', '/a/kept', '/a/secret', '/b', '/b/kept', '/b/secret'])
    expect(new Set(outcomes.map(({ saved }) => saved!.tree)).size).toBe(1)
    expect(await pathsOf(repository, outcomes[0]!.saved!.tree!)).toEqual([
      '/a',
      '/a/kept',
      '/a/secret',
      '/b',
      '/b/kept',
    ])
  })

  test('refuses what it cannot write as it was, after finishing the snapshots before', async () => {
    const { repository, run, stored } = await world()
    const writer = new BlobWriter(repository)
    const strange = utf8(
      `{"nodes":[{"name":"x","type":"file","future":1,"mtime":"2024-01-01T00:00:00Z","atime":"2024-01-01T00:00:00Z","ctime":"2024-01-01T00:00:00Z","uid":0,"gid":0,"content":[]}]}\n`,
    )
    const { id: tree } = await writer.save('tree', strange)
    await writer.flush()
    await saveSnapshot(repository, makeSnapshot('2024-03-02T10:00:00Z', { tree }))
    await saveSnapshot(repository, makeSnapshot('2024-03-03T10:00:00Z', { tree: (await stored())[0]!.tree }))
    const error = await errorFrom(() => run({ selector: without(/secret$/) }))
    expect(error.code).toBe('HF_TREE_INVALID')
    expect(error.message).toMatch(
      /^unable to rewrite snapshot [0-9a-f]{8}: directory "\/": cannot encode tree without losing/,
    )
    expect((await stored()).map(({ tags }) => tags.join()).sort()).toEqual(['', '', 'a', 'a,rewrite'])
  })

  test('that fails anywhere leaves every snapshot whole, and can be repeated', async () => {
    const plain = await world()
    const before = (await plain.stored())[0]!
    for (let call = 1; ; call++) {
      const { repository, run, stored } = await world()
      const error = new HoldfastError('HF_STORAGE_IO', 'cut off')
      const faulty = (operation: 'put' | 'delete'): Storage =>
        withFaults(repository.storage, [{ operation, call, times: 1, effect: { type: 'fail', error } }])
      let failed = 0
      for (const operation of ['put', 'delete'] as const) {
        const over = overStorage(repository, faulty(operation))
        await over.loadIndex()
        const options = { selector: without(/secret$/), forget: true, progress: noProgress }
        await rewriteSnapshots(over, await loadSnapshots(over), options).catch(() => failed++)
        await repository.loadIndex()
        for (const { tree } of await stored()) expect((await pathsOf(repository, tree!)).length).toBeGreaterThan(5)
        expect((await stored()).length).toBeGreaterThan(0)
      }
      await run({ selector: without(/secret$/), forget: true })
      const left = (await stored()).map(({ tree }) => tree)
      expect(left).not.toContain(before.tree)
      expect(new Set(left).size).toBe(1)
      if (failed === 0) break
      expect(call).toBeLessThan(20)
    }
  })
})

describe.skipIf(lacks('restic'))('rewriting a real backup', () => {
  test.each([1, 2] as const)('gives the trees a backup without these files has, in version %d', async (version) => {
    using scratch = scratchFolder()
    using _ = workingFolder(scratch.path)
    const data = 'data'
    mkdirSync(`${data}/sub/odd`, { recursive: true })
    for (const name of ['a.txt', 'b.iso', 'sub/c.iso', 'sub/d\n"x"', 'sub/odd/\u00e9<&>.iso'])
      writeFileSync(`${data}/${name}`, name)
    const path = scratch.join('repository')
    const repository = await newRepository(path, { version })
    await backUp(repository, data)
    const { tree } = await backUp(repository, data, {
      parent: undefined,
      selector: { selectByName: (item) => !item.endsWith('.iso'), select: () => true },
    })
    const again = await reopen(path)
    const [first] = await loadSnapshots(again)
    const [outcome] = await rewriteSnapshots(again, [first!], {
      selector: without(/\.iso$/),
      forget: true,
      progress: noProgress,
    })
    expect(outcome!.saved!.tree).toBe(tree)
    const [second] = (await loadSnapshots(again)).filter(({ id }) => id !== outcome!.saved!.id)
    const [changed] = await rewriteSnapshots(again, [second!], { selector: only(/d\n/), progress: noProgress })
    expectResticContent(path)
    const target = scratch.join('restored')
    expect(restic(path, 'restore', changed!.saved!.id, '--target', target).status).toBe(0)
    expect(readdirSync(`${target}/${data}`, { recursive: true })).toEqual(['sub', 'sub/d\n"x"'])
  })
})
