import { expect, test } from 'vitest'
import { noise } from '../../../test/support/storage-victims.ts'
import { contentOf, nodesOf } from '../../../test/support/stored-nodes.ts'
import { memoryRepository, plainOptions } from '../../../test/support/test-repository.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { backupEntries } from './entries-backup.ts'
import type { EntryAttributes } from './entry-tree.ts'

const MIB = 1024 * 1024
const attributes: EntryAttributes = {
  mode: 0o600,
  mtime: { seconds: 1_700_000_000, nanoseconds: 0, offsetSeconds: 0 },
  uid: 70,
  gid: 70,
}
const blocks = { kind: 'blocks', blockBytes: MIB } as const

async function* mebibytes(count: number): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < count; i++) {
    const bytes = noise(3, MIB)
    bytes[0] = i
    yield bytes
  }
}

test.each(['after', 'while'] as const)(
  'a snapshot made %s another run stores the same and fails has all of its blobs in the index',
  async (when) => {
    const repository = await memoryRepository()
    const options = { ...plainOptions(repository), paths: ['/shop'] }
    const stored = Promise.withResolvers<void>()
    const mayFail = Promise.withResolvers<void>()
    const failing = backupEntries(repository, {
      ...options,
      write: async (entries) => {
        await entries.file('/shop/file', attributes, mebibytes(60), blocks)
        while (repository.index.packCount === 0 && (await repository.list('data')).length < 2)
          await new Promise((resolve) => setTimeout(resolve, 10))
        stored.resolve()
        await mayFail.promise
        throw new Error('the server is gone')
      },
    })
    const failed = expect(failing).rejects.toThrow('the server is gone')
    await stored.promise
    if (when === 'after') {
      mayFail.resolve()
      await failed
    }
    const { tree } = await backupEntries(repository, {
      ...options,
      write: (entries) => entries.file('/shop/file', attributes, mebibytes(60), blocks),
    })
    mayFail.resolve()
    await failed
    await repository.loadIndex()
    const node = (await nodesOf(repository, tree)).get('/shop/file')!
    expect((await contentOf(repository, node)).length).toBe(60 * MIB)
  },
)

test('what was read before the source failed need not be stored again', async () => {
  const repository = await memoryRepository()
  const options = { ...plainOptions(repository), paths: ['/shop'] }
  const failing = backupEntries(repository, {
    ...options,
    write: async (entries) => {
      await entries.file('/shop/file', attributes, mebibytes(20), blocks)
      throw new HoldfastError('HF_SOURCE_UNREACHABLE', 'the server is gone')
    },
  })
  await expect(failing).rejects.toMatchObject({ code: 'HF_SOURCE_UNREACHABLE' })
  expect(await repository.list('snapshot')).toEqual([])
  await repository.loadIndex()
  const { summary } = await backupEntries(repository, {
    ...options,
    write: (entries) => entries.file('/shop/file', attributes, mebibytes(20), blocks),
  })
  expect(summary.dataBlobs).toBe(0)
})
