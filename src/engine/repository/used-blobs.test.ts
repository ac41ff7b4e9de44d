import { describe, expect, test } from 'vitest'
import { makeTrees } from '../../../test/support/make-trees.ts'
import { memoryRepository, overStorage } from '../../../test/support/test-repository.ts'
import { utf8 } from '../../lib/bytes.ts'
import { noProgress } from '../../lib/progress.ts'
import { withFaults } from '../storage/layers/with-faults.ts'
import { errorFrom } from '../storage/testing.ts'
import { countUsed, findUsedBlobs } from './used-blobs.ts'
import { BlobWriter } from './write/blob-writer.ts'

describe('the blobs in use', () => {
  test('are those that trees below the roots need, each once', async () => {
    const repository = await memoryRepository()
    const { one, shared, deep } = await makeTrees(repository)
    const all = await findUsedBlobs(repository, [one, one], noProgress)
    // Three trees and one content; the second root and what it needs are not among them.
    expect(countUsed(all)).toBe(4)
    expect(all.missing).toEqual([])
    const usedTrees = [...all.marks.tree.entries()]
      .filter(([, mark]) => mark)
      .map(([row]) => all.tables.tree.idHex(row))
    expect(usedTrees.sort()).toEqual([one, shared, deep].sort())
    expect(countUsed(await findUsedBlobs(repository, [], noProgress))).toBe(0)
  })

  test('of which an index lacks some are named, and the others found all the same', async () => {
    const repository = await memoryRepository()
    const { two, lost } = await makeTrees(repository)
    const used = await findUsedBlobs(repository, [two, 'd'.repeat(64)], noProgress)
    expect(used.missing.map(({ type, id }) => `${type} ${id[0]}`).sort()).toEqual(['data e', 'tree d', 'tree f'])
    expect(used.missing).toContainEqual({ type: 'tree', id: lost })
    expect(countUsed(used)).toBe(4)
  })

  test('are marked at one of several copies', async () => {
    const repository = await memoryRepository()
    const { deep } = await makeTrees(repository)
    const writer = new BlobWriter(repository)
    await writer.save('data', utf8('content'), undefined, { duplicate: true })
    await writer.flush()
    expect(repository.index.count).toBe(6)
    expect(countUsed(await findUsedBlobs(repository, [deep], noProgress))).toBe(2)
  })

  test('cannot be found when a tree that is in the index cannot be read', async () => {
    const plain = await memoryRepository()
    const { one } = await makeTrees(plain)
    const storage = withFaults(plain.storage, [{ operation: 'get', kind: 'data', effect: { type: 'flip', bit: 200 } }])
    const repository = overStorage(plain, storage)
    await repository.loadIndex()
    expect((await errorFrom(() => findUsedBlobs(repository, [one], noProgress))).code).toBe('HF_PACK_DAMAGED')
  })
})
