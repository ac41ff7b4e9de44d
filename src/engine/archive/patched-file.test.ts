import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { noise } from '../../../test/support/storage-victims.ts'
import { contentOf, nodesOf } from '../../../test/support/stored-nodes.ts'
import { memoryRepository, plainOptions } from '../../../test/support/test-repository.ts'
import type { Id } from '../../lib/id.ts'
import { advance } from '../kernels/crc32c.ts'
import { backupEntries } from './entries-backup.ts'
import type { EntryAttributes } from './entry-tree.ts'
import type { FilePart } from './file-parts.ts'
import { idBytes } from './hex-ids.ts'

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
    if (block % 3 !== 0) yield { kind: 'stored', ids: idBytes([ids[block]!]), size: length }
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
      write: async (entries) => void (await entries.patchedFile('/shop/a', attributes, failing())),
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

describe('blobs that are changed where they are saved', () => {
  /** How long the old and the new blob are, and where it changes. */
  const patches = [
    { before: BLOCK, after: BLOCK, at: [0] },
    { before: BLOCK, after: BLOCK, at: [8, 4096, BLOCK - 512] },
    { before: BLOCK - 8, after: BLOCK, at: [BLOCK - 512] },
    { before: 4096, after: BLOCK, at: [] },
    { before: BLOCK, after: 1024, at: [512] },
  ]
  const oldBlob = (i: number): Buffer => Buffer.from(noise(i + 10, patches[i]!.before))
  const changeOf = (i: number, at: number): Uint8Array => noise(100 * i + (at % 97), 512)
  const newBlob = (i: number): Buffer => {
    const bytes = Buffer.alloc(patches[i]!.after)
    oldBlob(i).copy(bytes)
    for (const at of patches[i]!.at) bytes.set(changeOf(i, at), at)
    return bytes
  }
  const differenceAtEnd = (i: number): number => {
    const before = Buffer.alloc(patches[i]!.after)
    oldBlob(i).copy(before)
    return advance(0, before) ^ advance(0, newBlob(i))
  }

  /** A snapshot with the old blobs, and how each lies in its pack. */
  async function stage() {
    const repository = await memoryRepository()
    const options = { ...plainOptions(repository), paths: ['/shop'] }
    const { tree } = await backupEntries(repository, {
      ...options,
      write: async (entries) => {
        for (const i of patches.keys())
          await entries.file(`/shop/${i}`, attributes, once(oldBlob(i)), { kind: 'blocks', blockBytes: BLOCK })
      },
    })
    const nodes = await nodesOf(repository, tree)
    const sealed = await Promise.all(
      [...patches.keys()].map(async (i) => {
        const id = nodes.get(`/shop/${i}`)!.content![0]!
        const { pack, offset, length, uncompressedLength } = repository.index.find('data', id)!
        return {
          id: idBytes([id]),
          sealed: await repository.storage.get({ kind: 'data', name: pack }, { offset, length }),
          uncompressedLength,
        }
      }),
    )
    return { repository, options, sealed }
  }

  test.each([
    ['as they lie there', undefined],
    ['from elsewhere when one is damaged', 1],
    ['from elsewhere when one is another', 3],
  ])('are taken %s', async (_, bad) => {
    const { repository, options, sealed } = await stage()
    if (bad === 1) sealed[1]!.sealed[40]! ^= 1
    if (bad === 3)
      sealed[3] = { ...sealed[3]!, sealed: sealed[0]!.sealed, uncompressedLength: sealed[0]!.uncompressedLength }
    const reloaded: number[] = []
    const differences = new Map<number, number>()
    async function* parts(): AsyncGenerator<FilePart> {
      for (const [i, { after, at }] of patches.entries()) {
        // Used again for the next one, as whoever brings parts may do.
        const bytes = new Uint8Array(at.length * 512)
        for (const [n, place] of at.entries()) bytes.set(changeOf(i, place), 512 * n)
        const changes = at.map((place, n) => ({ at: place, bytes: bytes.subarray(512 * n, 512 * (n + 1)) }))
        const reload = async (): Promise<Uint8Array> => {
          reloaded.push(i)
          return oldBlob(i)
        }
        const onPatched = (difference: number): void => void differences.set(i, difference)
        yield { kind: 'patched', ...sealed[i]!, size: after, changes, reload, onPatched }
        bytes.fill(0)
        if (i === 2) yield { kind: 'blob', bytes: noise(77, 100) }
      }
    }
    const { tree } = await backupEntries(repository, {
      ...options,
      write: async (entries) => {
        const { saved } = await entries.patchedFile('/shop/all', attributes, parts())
        await saved
        expect(Object.fromEntries(differences)).toEqual(
          Object.fromEntries([...patches.keys()].map((i) => [i, differenceAtEnd(i)])),
        )
      },
    })
    const node = (await nodesOf(repository, tree)).get('/shop/all')!
    const all = [0, 1, 2].map(newBlob)
    all.push(Buffer.from(noise(77, 100)), newBlob(3), newBlob(4))
    expect((await contentOf(repository, node)).equals(Buffer.concat(all))).toBe(true)
    expect(node.content).toEqual(all.map((bytes) => createHash('sha256').update(bytes).digest('hex')))
    expect(reloaded).toEqual(bad === undefined ? [] : [bad])
  })

  test('fail their file when they cannot be had at all', async () => {
    const { repository, options, sealed } = await stage()
    sealed[0]!.sealed[40]! ^= 1
    async function* parts(): AsyncGenerator<FilePart> {
      const reload = (): Promise<never> => Promise.reject(new Error('nowhere else either'))
      yield { kind: 'patched', ...sealed[0]!, size: BLOCK, changes: [], reload, onPatched: () => undefined }
    }
    const { tree } = await backupEntries(repository, {
      ...options,
      write: async (entries) => {
        const { saved } = await entries.patchedFile('/shop/all', attributes, parts())
        await expect(saved).rejects.toThrow('nowhere else either')
        entries.clear()
        await entries.file('/shop/instead', attributes, once(noise(2, 10)), { kind: 'content' })
      },
    })
    expect([...(await nodesOf(repository, tree)).keys()]).toEqual(['/shop', '/shop/instead'])
  })
})
