import { expect, test } from 'vitest'
import { noise } from '../../../test/support/storage-victims.ts'
import { contentOf, nodesOf } from '../../../test/support/stored-nodes.ts'
import { memoryRepository, plainOptions } from '../../../test/support/test-repository.ts'
import type { Id } from '../../lib/id.ts'
import { backupEntries } from './entries-backup.ts'
import type { EntryAttributes } from './entry-tree.ts'
import type { FilePart } from './stream-saver.ts'

const BLOCK = 64 * 1024
const attributes: EntryAttributes = {
  mode: 0o600,
  mtime: { seconds: 1_700_000_000, nanoseconds: 0, offsetSeconds: 0 },
  uid: 70,
  gid: 70,
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

/** Every third block of a file exchanged for noise, in a buffer that is used again and again. */
async function* everyThird(ids: readonly Id[], size: number, expected: Buffer): AsyncGenerator<FilePart> {
  const buffer = new Uint8Array(BLOCK)
  for (let block = 0; block < ids.length; block++) {
    const start = block * BLOCK
    const length = Math.min(BLOCK, size - start)
    if (block % 3 !== 0) yield { kind: 'stored', ids: [ids[block]!], size: length }
    else {
      buffer.set(noise(7, length))
      Buffer.from(`${size}:${block}`).copy(buffer)
      expected.set(buffer.subarray(0, length), start)
      yield { kind: 'blob', bytes: buffer.subarray(0, length) }
    }
  }
}

test('files of stored and new blobs are put together in their order, several at a time', async () => {
  const repository = await memoryRepository()
  const options = { ...plainOptions(repository), paths: ['/shop'] }
  const sizes = [31 * 1024 * 1024 + 5, 2000, BLOCK, 3 * BLOCK + 1, 0]
  const contents = sizes.map((size, i) => Buffer.from(noise(i + 1, size)))
  const first = await backupEntries(repository, {
    ...options,
    write: async (entries) => {
      for (const [i, bytes] of contents.entries())
        await entries.file(`/shop/${i}`, attributes, once(bytes), { kind: 'blocks', blockBytes: BLOCK })
    },
  })
  const before = await nodesOf(repository, first.tree)
  const { tree, summary } = await backupEntries(repository, {
    ...options,
    parent: first.snapshot,
    write: async (entries) => {
      await Promise.all(
        contents.map((bytes, i) =>
          entries.patchedFile(
            `/shop/${i}`,
            attributes,
            everyThird(before.get(`/shop/${i}`)!.content!, sizes[i]!, bytes),
          ),
        ),
      )
    },
  })
  const after = await nodesOf(repository, tree)
  for (const [i, bytes] of contents.entries()) {
    const node = after.get(`/shop/${i}`)!
    expect(node.size).toBe(sizes[i])
    expect((await contentOf(repository, node)).equals(bytes), `file ${i}`).toBe(true)
  }
  expect(summary).toMatchObject({ filesChanged: 4, filesUnmodified: 1 })
  expect(summary.dataBlobs).toBe(sizes.reduce((sum, size) => sum + Math.ceil(Math.ceil(size / BLOCK) / 3), 0))
})

test('a file whose parts fail is no file, and what was begun can be forgotten for a new beginning', async () => {
  const repository = await memoryRepository()
  const options = { ...plainOptions(repository), paths: ['/shop'] }
  async function* failing(): AsyncGenerator<FilePart> {
    yield { kind: 'blob', bytes: noise(1, 1000) }
    throw new Error('the parent is damaged')
  }
  await expect(
    backupEntries(repository, {
      ...options,
      write: (entries) => entries.patchedFile('/shop/a', attributes, failing()),
    }),
  ).rejects.toThrow('the parent is damaged')
  expect(await repository.list('snapshot')).toEqual([])
  const { tree } = await backupEntries(repository, {
    ...options,
    write: async (entries) => {
      entries.directory('/shop/gone', attributes)
      await expect(entries.patchedFile('/shop/a', attributes, failing())).rejects.toThrow('the parent is damaged')
      entries.clear()
      await entries.file('/shop/a', attributes, once(noise(2, 10)), { kind: 'content' })
    },
  })
  expect([...(await nodesOf(repository, tree)).keys()]).toEqual(['/shop', '/shop/a'])
})
