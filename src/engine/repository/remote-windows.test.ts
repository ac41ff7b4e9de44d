import { writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { craftNode } from '../../../test/support/crafted-repository.ts'
import { farStorage, packReads } from '../../../test/support/far-storage.ts'
import { memoryRepository, overStorage, scratchFolder } from '../../../test/support/test-repository.ts'
import { HoldfastError } from '../../lib/errors.ts'
import type { Id } from '../../lib/id.ts'
import { withCache } from '../storage/layers/with-cache.ts'
import { pathOf } from '../storage/local/layout.ts'
import { RemoteWindows } from './remote-windows.ts'
import type { Repository } from './repository.ts'
import { encodeTree, sortNodes } from './tree/encode-tree.ts'
import type { Node } from './tree/node.ts'
import { walkTrees } from './tree-walk.ts'
import { BlobWriter } from './write/blob-writer.ts'

const FOLDERS = 300

/** A tree of folders with a folder in each; stored as an archiver does, what is inside first. */
async function makeFolders(repository: Repository): Promise<Id> {
  const writer = new BlobWriter(repository)
  const save = async (nodes: readonly Node[]): Promise<Id> =>
    (await writer.save('tree', encodeTree(sortNodes(nodes)))).id
  const folders = []
  for (let i = 0; i < FOLDERS; i++) {
    const inner = await save([craftNode(`inner-${i}`, { type: 'symlink', linkTarget: `${i}` })])
    folders.push(craftNode(`folder-${i}`, { type: 'dir', subtree: await save([dir(`d-${i}`, inner)]) }))
  }
  const root = await save(folders)
  await writer.flush()
  return root
}

const dir = (name: string, subtree: Id) => craftNode(name, { type: 'dir', subtree })

async function countTrees(repository: Repository, root: Id): Promise<number> {
  await repository.loadIndex()
  let trees = 0
  await walkTrees(repository, [root], { onTree: () => trees++ })
  return trees
}

describe('trees of a store that is far away', () => {
  test('are read with one request for many, without a cache', async () => {
    const repository = await memoryRepository()
    const root = await makeFolders(repository)
    const far = farStorage(repository.storage)
    expect(await countTrees(overStorage(repository, far.storage), root)).toBe(2 * FOLDERS + 1)
    expect(packReads(far)).toBe(1)
  })

  test('come from the cache when it has them, and enter it when it has not', async () => {
    using scratch = scratchFolder()
    const repository = await memoryRepository()
    const root = await makeFolders(repository)
    const far = farStorage(repository.storage)
    const cached = withCache(far.storage, { cacheDirectory: scratch.path, repositoryId: repository.config.id })
    for (const reads of [1, 1]) {
      expect(await countTrees(overStorage(repository, cached), root)).toBe(2 * FOLDERS + 1)
      expect(packReads(far)).toBe(reads)
    }
  })

  test('are fetched again when their copy is damaged', async () => {
    using scratch = scratchFolder()
    const repository = await memoryRepository()
    const root = await makeFolders(repository)
    const options = { cacheDirectory: scratch.path, repositoryId: repository.config.id }
    const far = farStorage(repository.storage)
    await countTrees(overStorage(repository, withCache(far.storage, options)), root)
    const { id, sizeBytes } = [...repository.index.packs()][0]!
    const copy = pathOf(withCache(far.storage, options).copies.path, { kind: 'data', name: id })
    writeFileSync(copy, new Uint8Array(sizeBytes))
    expect(await countTrees(overStorage(repository, withCache(far.storage, options)), root)).toBe(2 * FOLDERS + 1)
    expect(packReads(far)).toBe(2)
  })

  test('are read one by one when the piece they lie in cannot be had', async () => {
    const repository = await memoryRepository()
    const root = await makeFolders(repository)
    const far = farStorage(repository.storage)
    far.onRead = async (file, range) => {
      if (file.kind === 'data' && range!.length > 50_000)
        throw new HoldfastError('HF_STORAGE_SHORT', 'the answer was cut')
    }
    expect(await countTrees(overStorage(repository, far.storage), root)).toBe(2 * FOLDERS + 1)
  })
})

describe('windows of remote packs', () => {
  const MIB = 1024 * 1024
  const packs = ['a', 'b'].map((letter) => letter.repeat(64))

  test('are shared by those who ask at the same time, and bounded however much is read', async () => {
    const far = farStorage((await memoryRepository()).storage)
    const content = new Uint8Array(60 * MIB)
    for (let i = 0; i < content.length; i += 4096) content[i] = i / 4096
    for (const name of packs) await far.storage.put({ kind: 'data', name }, content)
    const windows = new RemoteWindows(far.storage, () => content.length)
    const at = (pack: string, offset: number, length = 5000) => ({ pack, offset, length, uncompressedLength: 0 })
    await Promise.all([0, 1, 2].map((i) => windows.fetch(at(packs[0]!, i * 300_000))))
    expect(packReads(far)).toBe(1)
    for (const pack of packs)
      for (let offset = 0; offset < content.length - 5000; offset += MIB) {
        const bytes = await windows.fetch(at(pack, offset))
        expect(Buffer.compare(bytes, content.subarray(offset, offset + 5000))).toBe(0)
      }
    // Windows become longer as reading goes on.
    expect(packReads(far)).toBeLessThan(24)
    // What was used last is at hand, what lies long back is not.
    expect(windows.atHand(at(packs[1]!, 59 * MIB))).toBeDefined()
    expect(windows.atHand(at(packs[1]!, 0))).toBeUndefined()
    expect(windows.atHand(at(packs[0]!, 59 * MIB))).toBeUndefined()
    // A blob that crosses the end of a window is read whole.
    expect((await windows.fetch(at(packs[0]!, 3 * MIB - 10, 9 * MIB))).length).toBe(9 * MIB)
  })
})
