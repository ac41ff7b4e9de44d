import { describe, expect, test } from 'vitest'
import { makeTrees } from '../../../test/support/make-trees.ts'
import { memoryRepository, newRepository, overStorage, scratchFolder } from '../../../test/support/test-repository.ts'
import { utf8 } from '../../lib/bytes.ts'
import type { Id } from '../../lib/id.ts'
import { withFaults } from '../storage/layers/with-faults.ts'
import { errorFrom } from '../storage/testing.ts'
import type { Repository } from './repository.ts'
import { type TreeWalkOptions, walkTrees } from './tree-walk.ts'
import { BlobWriter } from './write/blob-writer.ts'

async function visited(
  repository: Repository,
  roots: readonly Id[],
  options: Partial<TreeWalkOptions> = {},
): Promise<Id[]> {
  const ids: Id[] = []
  await walkTrees(repository, roots, { onTree: (id) => ids.push(id), ...options })
  return ids.sort()
}

/** Repositories whose trees are read at once, and one whose trees arrive later. */
async function* bothKinds(): AsyncGenerator<Repository> {
  using scratch = scratchFolder()
  yield await newRepository(scratch.join('r'))
  yield await memoryRepository()
}

describe('a walk over trees', () => {
  test('visits each tree once, however often it is referred to', async () => {
    for await (const repository of bothKinds()) {
      const { one, shared, deep } = await makeTrees(repository)
      expect(await visited(repository, [one, one])).toEqual([one, shared, deep].sort())
      expect(await visited(repository, [])).toEqual([])
    }
  })

  test('leaves out what a walk before has seen', async () => {
    for await (const repository of bothKinds()) {
      const { one, two, shared } = await makeTrees(repository)
      const seen = new Set<Id>()
      expect(await visited(repository, [shared], { seen })).toHaveLength(2)
      expect(await visited(repository, [one], { seen })).toEqual([one])
      expect(await visited(repository, [two], { seen, onError: () => undefined })).toEqual([two])
    }
  })

  test('ends at the first tree it cannot read, or reports it and goes on', async () => {
    for await (const repository of bothKinds()) {
      const { two, shared, deep, lost } = await makeTrees(repository)
      expect((await errorFrom(() => visited(repository, [two]))).code).toBe('HF_BLOB_NOT_FOUND')
      const failed: string[] = []
      const ids = await visited(repository, [two], { onError: (id, error) => failed.push(`${id} ${error.message}`) })
      expect(ids).toEqual([two, shared, deep].sort())
      expect(failed).toEqual([`${lost} tree blob ${lost} is in no index`])
    }
  })

  test('reports a tree that is none', async () => {
    for await (const repository of bothKinds()) {
      const writer = new BlobWriter(repository)
      const { id } = await writer.save('tree', utf8('{"nodes":[{}]}'))
      await writer.flush()
      expect((await errorFrom(() => visited(repository, [id]))).code).toBe('HF_TREE_INVALID')
    }
  })

  test('stops at a signal, also with reports of errors', async () => {
    for await (const repository of bothKinds()) {
      const { one } = await makeTrees(repository)
      const controller = new AbortController()
      const onTree = (): void => controller.abort()
      const stopped = errorFrom(() =>
        visited(repository, [one], { onTree, onError: () => undefined, signal: controller.signal }),
      )
      expect((await stopped).code).toBe('HF_INTERRUPTED')
    }
  })

  test('tries another copy of a tree when one cannot be read', async () => {
    const plain = await memoryRepository()
    const { deep } = await makeTrees(plain)
    const writer = new BlobWriter(plain)
    await writer.save('tree', await plain.loadBlob('tree', deep), deep, { duplicate: true })
    await writer.flush()
    for (let call = 1; call <= 2; call++) {
      const storage = withFaults(plain.storage, [
        { operation: 'get', kind: 'data', call, times: 1, effect: { type: 'flip', bit: 200 } },
      ])
      const repository = overStorage(plain, storage)
      await repository.loadIndex()
      expect(await visited(repository, [deep])).toEqual([deep])
    }
  })
})
