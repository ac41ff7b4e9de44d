import { describe, expect, test, vi } from 'vitest'
import { memoryRepository, overStorage } from '../../../../test/support/test-repository.ts'
import { utf8 } from '../../../lib/bytes.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import { randomBytes } from '../../../lib/random.ts'
import { sha256Hex } from '../../kernels/sha256.ts'
import { withFaults } from '../../storage/layers/with-faults.ts'
import type { Storage } from '../../storage/storage.ts'
import { errorFrom } from '../../storage/testing.ts'
import { FULL_INDEX_BLOBS } from '../index/index-file.ts'
import { rowsOf } from '../pack/blob-rows.ts'
import type { Repository } from '../repository.ts'
import { BlobWriter } from './blob-writer.ts'
import { IndexWriter } from './index-writer.ts'

/** The repository as another process sees it. */
async function seenByOthers(repository: Repository): Promise<Repository> {
  const other = overStorage(repository, repository.storage)
  await other.loadIndex()
  return other
}

describe('saving blobs', () => {
  test('stores each once, by type, and says what it takes', async () => {
    const repository = await memoryRepository()
    const writer = new BlobWriter(repository)
    const content = utf8('content '.repeat(100))
    const first = await writer.save('data', content)
    expect(first).toEqual({ id: sha256Hex(content), isNew: true, storedBytes: expect.any(Number) })
    expect(first.storedBytes).toBeLessThan(content.length)
    expect(await writer.save('data', content)).toEqual({ id: first.id, isNew: false, storedBytes: 0 })
    expect((await writer.save('tree', content)).isNew).toBe(true)
    expect([writer.has('data', first.id), writer.has('data', 'f'.repeat(64))]).toEqual([true, false])
    await writer.flush()
    expect(writer.counts).toMatchObject({ blobs: { data: 1, tree: 1 }, packs: { data: 1, tree: 1 } })
    const other = await seenByOthers(repository)
    for (const type of ['data', 'tree'] as const) expect(await other.loadBlob(type, first.id)).toEqual(content)
    const later = new BlobWriter(other)
    expect((await later.save('data', content)).isNew).toBe(false)
    expect((await later.save('data', content, first.id, { duplicate: true })).isNew).toBe(true)
    await later.flush()
    expect((await seenByOthers(repository)).index.findAll('data', first.id)).toHaveLength(2)
  })

  test('by many at once stores each once too, and every one of them whole', async () => {
    const repository = await memoryRepository({ packBytes: 4 << 20 })
    const writer = new BlobWriter(repository)
    const contents = Array.from({ length: 60 }, () => randomBytes(200_000))
    const saved = await Promise.all([...contents, ...contents].map((content) => writer.save('data', content)))
    expect(saved.filter(({ isNew }) => isNew)).toHaveLength(60)
    await writer.flush()
    expect(writer.counts.packs.data).toBe(3)
    const other = await seenByOthers(repository)
    for (const content of contents)
      expect(await other.loadBlob('data', sha256Hex(content))).toEqual(new Uint8Array(content))
    expect(other.index.count).toBe(60)
  })

  test('lets an index list nothing that is not stored', async () => {
    const plain = await memoryRepository()
    const storage = withFaults(plain.storage, [])
    const writer = new BlobWriter(overStorage(plain, storage))
    await writer.save('data', utf8('a'))
    await writer.save('tree', utf8('b'))
    expect(storage.calls).toEqual([])
    await writer.flush()
    expect(storage.calls.map((call) => call.split('/')[0])).toEqual(['put data', 'put data', 'put index'])
    await writer.flush()
    expect(storage.calls).toHaveLength(3)
  })

  test('that cannot be stored fails, and leaves nothing in the index', async () => {
    const plain = await memoryRepository()
    const error = new HoldfastError('HF_STORAGE_FULL', 'no space')
    const effect = { type: 'fail', error } as const
    const full = withFaults(plain.storage, [{ operation: 'put', kind: 'data', times: 1, effect }])
    const writer = new BlobWriter(overStorage(plain, full))
    const { id } = await writer.save('data', utf8('a'))
    expect(await errorFrom(() => writer.flush())).toBe(error)
    // What was lost with the pack must not be forgotten when there is room again.
    expect(await errorFrom(() => writer.flush())).toBe(error)
    expect(await errorFrom(() => writer.save('data', utf8('b')))).toBe(error)
    expect(await plain.list('index')).toEqual([])
    expect((await seenByOthers(plain)).index.has('data', id)).toBe(false)
  })

  test('goes on while a full pack is on its way to a far store, and lists each pack when it is there', async () => {
    const plain = await memoryRepository({ packBytes: 4 << 20 })
    const waiting: (() => void)[] = []
    const order: string[] = []
    let most = 0
    let isOpen = false
    const slow: Storage = {
      ...plain.storage,
      put: async (file, content, options) => {
        if (file.kind === 'data' && !isOpen) {
          await new Promise<void>((resolve) => {
            most = Math.max(most, waiting.push(resolve))
          })
        }
        await plain.storage.put(file, content, options)
        order.push(file.kind)
      },
    }
    const writer = new BlobWriter(overStorage(plain, slow, { packBytes: 4 << 20 }))
    const contents = Array.from({ length: 30 }, () => randomBytes(1 << 20))
    let saved = 0
    const saving = Promise.all(contents.map((content) => writer.save('data', content).then(() => saved++)))
    await vi.waitFor(() => expect(waiting).toHaveLength(2))
    // One pack on its way does not hold up the next, two do.
    expect(saved).toBeGreaterThanOrEqual(4)
    expect(saved).toBeLessThan(9)
    isOpen = true
    for (const resume of waiting) resume()
    await saving
    await writer.flush()
    expect(most).toBe(2)
    expect(order.at(-1)).toBe('index')
    const other = await seenByOthers(plain)
    for (const content of contents)
      expect(await other.loadBlob('data', sha256Hex(content))).toEqual(new Uint8Array(content))
  })

  test('fails when a pack on its way could not be stored, at the latest when everything is to be there', async () => {
    const plain = await memoryRepository({ packBytes: 4 << 20 })
    const error = new HoldfastError('HF_STORAGE_FULL', 'no space')
    const effect = { type: 'fail', error } as const
    const full = withFaults(plain.storage, [{ operation: 'put', kind: 'data', times: 1, effect }])
    const writer = new BlobWriter(overStorage(plain, full, { packBytes: 4 << 20 }))
    for (let i = 0; i < 5; i++) await writer.save('data', randomBytes(1 << 20)).catch(() => undefined)
    expect(await errorFrom(() => writer.flush())).toBe(error)
    expect(await plain.list('index')).toEqual([])
  })

  test('takes a pack that is there already for the one it was about to store', async () => {
    const plain = await memoryRepository()
    const error = new HoldfastError('HF_STORAGE_EXISTS', 'it is there')
    const effect = { type: 'fail-after', error } as const
    const storage = withFaults(plain.storage, [{ operation: 'put', kind: 'data', effect }])
    const writer = new BlobWriter(overStorage(plain, storage))
    const { id } = await writer.save('data', utf8('a'))
    await writer.flush()
    expect(await (await seenByOthers(plain)).loadBlob('data', id)).toEqual(utf8('a'))
  })
})

describe('index files of a run', () => {
  test('are written when full, so that an interrupted run can be continued', async () => {
    const repository = await memoryRepository()
    const index = new IndexWriter(repository)
    const listing = (pack: string, blobs: number) => ({
      pack: pack.repeat(64),
      rows: rowsOf(
        Array.from({ length: blobs }, (_, i) => ({
          type: 'data' as const,
          id: i.toString(16).padStart(63, '0') + pack,
          offset: i * 40,
          length: 40,
          uncompressedLength: 0,
        })),
      ),
    })
    await index.add(listing('a', FULL_INDEX_BLOBS - 1))
    expect(await repository.list('index')).toEqual([])
    await index.add(listing('b', 1))
    expect(await repository.list('index')).toEqual(index.written)
    await index.add(listing('c', 1))
    expect(index.written).toHaveLength(1)
    await index.flush()
    expect((await repository.list('index')).sort()).toEqual([...index.written].sort())
    const other = await seenByOthers(repository)
    expect([...other.index.packs()].map(({ id, blobs }) => `${id[0]} ${blobs}`).sort()).toEqual([
      'a 49999',
      'b 1',
      'c 1',
    ])
  })
})
