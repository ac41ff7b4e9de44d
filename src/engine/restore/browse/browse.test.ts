import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { beforeAll, describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import {
  backUp,
  CHEAP_KDF,
  newRepository,
  PASSWORD,
  restic,
  scratchFolder,
} from '../../../../test/support/test-repository.ts'
import { localTimestamp } from '../../../lib/go-time.ts'
import type { Id } from '../../../lib/id.ts'
import { initRepository, type Repository } from '../../repository/repository.ts'
import type { StoredSnapshot } from '../../repository/snapshot.ts'
import { openMemoryStorage } from '../../storage/memory/memory-storage.ts'
import { createFindPattern } from '../find-pattern.ts'
import { resolveFolder } from '../snapshot-folder.ts'
import { TreeMaker } from '../testing.ts'
import { diffTrees } from './diff.ts'
import { findFiles } from './find-files.ts'
import { blobsOfPacks, findObjects } from './find-objects.ts'
import { type ListingOrder, listSnapshot, sortListing } from './list.ts'
import type { FoundNode } from './walk-snapshot.ts'

const newMaker = async (): Promise<TreeMaker> =>
  new TreeMaker(await initRepository(openMemoryStorage(), { password: PASSWORD }, { key: { kdf: CHEAP_KDF } }))

const snapshotOf = (tree: Id, id = 'ab'): StoredSnapshot =>
  ({ id: id.repeat(32), tree, time: localTimestamp(0n), paths: ['/'] }) as unknown as StoredSnapshot

/** Counts how many trees are opened. */
function countTrees(repository: Repository): { trees: number } {
  const count = { trees: 0 }
  const openBlob = repository.openBlob.bind(repository)
  repository.openBlob = (...args) => {
    count.trees++
    return openBlob(...args)
  }
  return count
}

describe('listing a snapshot', () => {
  let maker: TreeMaker
  let tree: Id
  beforeAll(async () => {
    maker = await newMaker()
    const at = (seconds: number) => ({ seconds, nanoseconds: 0, offsetSeconds: 0 })
    const deep = await maker.directory('deep', [await maker.file('z.txt', ['12345'], { mtime: at(3) })])
    const nodes = [
      await maker.file('b.txt', ['1'], { mtime: at(2) }),
      await maker.file('a', ['123'], { mtime: at(9) }),
      deep,
    ]
    tree = await maker.finish([
      await maker.directory('home', [await maker.directory('ann', nodes), await maker.directory('bob', [])]),
      await maker.directory('homer', []),
    ])
  })

  async function list(
    folders: string[],
    recursive = false,
  ): Promise<{ listed: string[]; way: string[]; left: string[] }> {
    const listed: string[] = []
    const way: string[] = []
    const left: string[] = []
    await listSnapshot(
      maker.repository,
      tree,
      { folders, recursive },
      {
        onEntry: ({ path }) => listed.push(path),
        onWay: ({ path }) => way.push(path),
        onLeave: (path) => left.push(path),
      },
    )
    return { listed, way, left }
  }

  test('shows everything, depth first, when no folder is given', async () => {
    const { listed, way, left } = await list([])
    expect(listed).toEqual([
      '/home',
      '/home/ann',
      '/home/ann/a',
      '/home/ann/b.txt',
      '/home/ann/deep',
      '/home/ann/deep/z.txt',
      '/home/bob',
      '/homer',
    ])
    expect(way).toEqual([])
    expect(left).toEqual(['/home/ann/deep', '/home/ann', '/home/bob', '/home', '/homer'])
  })

  test('shows a folder and its entries, or all below it', async () => {
    expect(await list(['/home/ann/'])).toEqual({
      listed: ['/home/ann', '/home/ann/a', '/home/ann/b.txt', '/home/ann/deep'],
      way: ['/home'],
      left: ['/home/ann/deep', '/home/ann', '/home'],
    })
    expect((await list(['/home/ann', '/home/bob'], true)).listed).toContain('/home/ann/deep/z.txt')
    expect((await list(['/nowhere'])).listed).toEqual([])
  })

  test.each([
    ['size', ['/home/ann', '/home/ann/deep', '/home/ann/b.txt', '/home/ann/a']],
    ['mtime', ['/home/ann/b.txt', '/home/ann/a', '/home/ann', '/home/ann/deep']],
    ['extension', ['/home/ann', '/home/ann/a', '/home/ann/deep', '/home/ann/b.txt']],
    ['name', ['/home/ann', '/home/ann/a', '/home/ann/b.txt', '/home/ann/deep']],
  ] as const)('sorts by %s, equal entries by path', async (order: ListingOrder, expected) => {
    const entries: FoundNode[] = []
    const observer = { onEntry: (entry: FoundNode) => entries.push(entry) }
    await listSnapshot(maker.repository, tree, { folders: ['/home/ann'], recursive: false }, observer)
    expect(sortListing(entries, order).map(({ path }) => path)).toEqual(expected)
    expect(sortListing(entries, order, true).map(({ path }) => path)).toEqual(expected.toReversed())
  })

  test('finds the folder behind a colon', async () => {
    const ann = await resolveFolder(maker.repository, tree, '/home/ann')
    expect(await resolveFolder(maker.repository, tree, 'home//ann/deep/..')).toBe(ann)
    expect(await resolveFolder(maker.repository, tree, '')).toBe(tree)
    for (const [folder, message] of [
      ['/home/eve', 'not in the snapshot'],
      ['/home/ann/a', 'not a folder'],
    ])
      await expect(resolveFolder(maker.repository, tree, folder!)).rejects.toMatchObject({
        code: 'HF_PATH_NOT_FOUND',
        message: expect.stringContaining(message!),
      })
  })
})

describe('finding files', () => {
  test('tells every snapshot that has them, and searches what is the same only once', async () => {
    const maker = await newMaker()
    const empty = await maker.directory('big', [await maker.directory('barren', [await maker.file('x', ['x'])])])
    const hit = await maker.directory('docs', [await maker.file('report.pdf', ['r']), await maker.file('other', ['o'])])
    const first = await maker.tree([empty, hit])
    const second = await maker.tree([empty, hit, await maker.file('report.txt', ['t'])])
    await maker.writer.flush()
    const snapshots = [snapshotOf(first, '11'), snapshotOf(second, '22'), snapshotOf(second, '33')]
    const found: string[] = []
    const count = countTrees(maker.repository)
    await findFiles(maker.repository, snapshots, createFindPattern({ patterns: ['report.*'] }), {
      onFound: (snapshot, { path }) => found.push(`${snapshot.id.slice(0, 2)}${path}`),
      onUnreadable: (_, tree) => found.push(tree),
    })
    expect(found).toEqual([
      '11/docs/report.pdf',
      '22/docs/report.pdf',
      '22/report.txt',
      '33/docs/report.pdf',
      '33/report.txt',
    ])
    // Roots and docs of each snapshot, but the barren part once.
    expect(count.trees).toBe(3 + 3 + 2)
  })

  test('searches the same folder again where it lies in another place', async () => {
    const maker = await newMaker()
    const folder = await maker.directory('one', [await maker.file('x', ['x'])])
    const first = await maker.tree([folder])
    const second = await maker.finish([{ ...folder, name: 'two' }])
    const found: string[] = []
    await findFiles(
      maker.repository,
      [snapshotOf(first), snapshotOf(second)],
      createFindPattern({ patterns: ['/two/x'] }),
      { onFound: (_, { path }) => found.push(path), onUnreadable: () => undefined },
    )
    expect(found).toEqual(['/two/x'])
  })

  test('goes on past a folder that cannot be read, and says so for each snapshot', async () => {
    const maker = await newMaker()
    const lost = maker.node('lost', 'dir', { subtree: 'cd'.repeat(32) })
    const tree = await maker.finish([lost, await maker.file('x', ['x'])])
    const told: string[] = []
    await findFiles(
      maker.repository,
      [snapshotOf(tree, '11'), snapshotOf(tree, '22')],
      createFindPattern({ patterns: ['x'] }),
      {
        onFound: (_, { path }) => told.push(path),
        onUnreadable: (snapshot, id) => told.push(`${snapshot.id.slice(0, 2)} ${id.slice(0, 4)}`),
      },
    )
    expect(told).toEqual(['11 cdcd', '/x', '22 cdcd', '/x'])
  })
})

describe('finding what uses blobs', () => {
  test('by id, by the beginning of one, and by pack', async () => {
    const maker = await newMaker()
    const file = await maker.file('file', ['first', 'second', 'first'])
    const folder = await maker.directory('folder', [file])
    const tree = await maker.finish([folder, await maker.file('other', ['third'])])
    const search = async (blobs: string[], trees: string[]): Promise<string[]> => {
      const found: string[] = []
      await findObjects(
        maker.repository,
        [snapshotOf(tree, '11'), snapshotOf(tree, '22')],
        { blobs, trees },
        {
          onFound: (snapshot, { type, path, parentTree }) =>
            found.push(
              `${snapshot.id.slice(0, 2)} ${type} ${path}${parentTree === folder.subtree ? ' in folder' : ''}`,
            ),
          onUnreadable: () => undefined,
        },
      )
      return found
    }
    const [first] = file.content!
    expect(await search([first!.slice(0, 8)], [])).toEqual([
      '11 blob /folder/file in folder',
      '11 blob /folder/file in folder',
      '22 blob /folder/file in folder',
      '22 blob /folder/file in folder',
    ])
    expect(await search([], [folder.subtree!])).toEqual(['11 tree /folder', '22 tree /folder'])
    expect(await search([], [tree])).toEqual(['11 tree /', '22 tree /'])
    const { pack } = maker.repository.index.find('tree', tree)!
    const { blobs, trees } = blobsOfPacks(maker.repository, [pack.slice(0, 8)])
    expect(trees.toSorted()).toEqual([tree, folder.subtree!].toSorted())
    expect(blobs).toEqual([])
    expect(() => blobsOfPacks(maker.repository, ['00000000'])).toThrow(/unable to find pack\(s\): \[00000000\]/)
  })
})

describe('comparing two trees', () => {
  test('tells content, type and attributes apart, and content that changed by itself', async () => {
    const maker = await newMaker()
    const same = await maker.file('same', ['same'])
    const touched = { seconds: 5, nanoseconds: 0, offsetSeconds: 0 }
    const before = [
      same,
      await maker.file('gone', ['gone']),
      await maker.file('changed', ['before'], { mtime: touched }),
      await maker.file('rotten', ['before']),
      await maker.file('touched', ['x'], { mtime: touched }),
      await maker.file('retyped', ['x']),
      await maker.directory('folder', [await maker.file('inner', ['inner'])]),
    ]
    const after = [
      same,
      await maker.file('changed', ['after!']),
      await maker.file('rotten', ['after!']),
      await maker.file('touched', ['x']),
      maker.symlink('retyped', 'x'),
      await maker.directory('new', [await maker.file('inner', ['inner']), maker.symlink('link', 'x')]),
    ]
    const trees = [await maker.tree(before), await maker.finish(after)] as const
    const diff = async (metadata: boolean): Promise<string[]> => {
      const changes: string[] = []
      const observer = {
        onChange: (path: string, modifier: string) => changes.push(`${modifier} ${path}`),
        onError: () => undefined,
      }
      const statistics = await diffTrees(maker.repository, ...trees, observer, { metadata })
      expect(statistics).toEqual({
        changedFiles: 2,
        added: { files: 1, dirs: 1, others: 1, dataBlobs: 1, treeBlobs: 2, bytes: expect.any(Number) },
        removed: { files: 2, dirs: 1, others: 0, dataBlobs: 2, treeBlobs: 2, bytes: expect.any(Number) },
      })
      return changes
    }
    const plain = [
      'M /changed',
      '- /folder/',
      '- /folder/inner',
      '- /gone',
      '+ /new/',
      '+ /new/inner',
      '+ /new/link',
      'T /retyped',
      'M? /rotten',
    ]
    expect(await diff(false)).toEqual(plain)
    expect(await diff(true)).toEqual([...plain.map((line) => line.replace(/^T/, 'TU')), 'U /touched'])
  })

  test('does not count as new what lies in a part that is the same', async () => {
    const maker = await newMaker()
    const unchanged = await maker.directory('unchanged', [await maker.file('copy', ['content'])])
    const trees = [await maker.tree([unchanged]), await maker.finish([unchanged, await maker.file('new', ['content'])])]
    const observer = { onChange: () => undefined, onError: () => undefined }
    const { added } = await diffTrees(maker.repository, trees[0]!, trees[1]!, observer)
    expect(added).toMatchObject({ files: 1, dataBlobs: 0, treeBlobs: 1 })
  })

  test('goes on past a folder that cannot be read', async () => {
    const maker = await newMaker()
    const lost = maker.node('lost', 'dir', { subtree: 'cd'.repeat(32) })
    const trees = [await maker.tree([]), await maker.finish([lost, await maker.file('x', ['x'])])]
    const told: string[] = []
    await diffTrees(maker.repository, trees[0]!, trees[1]!, {
      onChange: (path) => told.push(path),
      onError: (path) => told.push(`error ${path}`),
    })
    expect(told.slice(0, 3)).toEqual(['/lost/', 'error /lost/', '/x'])
  })
})

test.skipIf(lacks('restic'))('restic lists, finds and compares the same', async () => {
  using scratch = scratchFolder()
  const data = scratch.join('data')
  mkdirSync(`${data}/sub/deeper`, { recursive: true })
  for (let i = 0; i < 12; i++) writeFileSync(`${data}/sub/file ${i}`, `content ${i}`.repeat(i + 1))
  writeFileSync(`${data}/sub/deeper/copy of 3`, 'content 3'.repeat(4))
  symlinkSync('file 1', `${data}/sub/link`)
  const repository = await newRepository(scratch.join('repository'))
  const { snapshot: before } = await backUp(repository, data)
  rmSync(`${data}/sub/file 2`)
  appendFileSync(`${data}/sub/file 4`, 'more')
  chmodSync(`${data}/sub/file 5`, 0o600)
  renameSync(`${data}/sub/file 6`, `${data}/sub/deeper/file 6`)
  rmSync(`${data}/sub/link`)
  mkdirSync(`${data}/sub/link`)
  utimesSync(`${data}/sub/file 7`, 1, 1)
  const { snapshot: after } = await backUp(repository, data)
  const run = (...args: string[]): string => {
    const { status, stdout, stderr } = restic(scratch.join('repository'), '--no-lock', '--json', ...args)
    if (status !== 0) throw new Error(stderr)
    return stdout
  }
  const lines = (text: string): Record<string, unknown>[] =>
    text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)

  const listed: string[] = []
  const observer = { onEntry: ({ path }: FoundNode) => listed.push(path) }
  await listSnapshot(repository, after!.tree!, { folders: [data], recursive: true }, observer)
  const theirList = lines(run('ls', '--recursive', after!.id, data)).filter(({ struct_type }) => struct_type === 'node')
  expect(listed).toEqual(theirList.map(({ path }) => path))

  const found: string[] = []
  await findFiles(repository, [after!, before!], createFindPattern({ patterns: ['file [2-6]', 'deep*'] }), {
    onFound: (snapshot, { path }) => found.push(`${snapshot.id} ${path}`),
    onUnreadable: () => undefined,
  })
  const theirFinds = JSON.parse(run('find', 'file [2-6]', 'deep*')) as {
    snapshot: string
    matches: { path: string }[]
  }[]
  const theirPaths = theirFinds.flatMap(({ snapshot, matches }) => matches.map(({ path }) => `${snapshot} ${path}`))
  expect(found.toSorted()).toEqual(theirPaths.sort())

  const changes: string[] = []
  const statistics = await diffTrees(
    repository,
    before!.tree!,
    after!.tree!,
    { onChange: (path, modifier) => changes.push(`${modifier} ${path}`), onError: () => undefined },
    { metadata: true },
  )
  const theirs = lines(run('diff', '--metadata', before!.id, after!.id))
  expect(changes).toEqual(
    theirs.filter(({ message_type }) => message_type === 'change').map(({ modifier, path }) => `${modifier} ${path}`),
  )
  const side = (counts: (typeof statistics)['added']): Record<string, number> => ({
    files: counts.files,
    dirs: counts.dirs,
    others: counts.others,
    data_blobs: counts.dataBlobs,
    tree_blobs: counts.treeBlobs,
    bytes: counts.bytes,
  })
  expect(theirs.at(-1)).toMatchObject({
    changed_files: statistics.changedFiles,
    added: side(statistics.added),
    removed: side(statistics.removed),
  })
})
