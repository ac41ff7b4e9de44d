import { setTimeout } from 'node:timers/promises'
import { beforeAll, describe, expect, test } from 'vitest'
import { farStorage, packReads } from '../../../test/support/far-storage.ts'
import { CHEAP_KDF, overStorage, PASSWORD, scratchFolder } from '../../../test/support/test-repository.ts'
import { HoldfastError } from '../../lib/errors.ts'
import type { Id } from '../../lib/id.ts'
import { randomBytes } from '../../lib/random.ts'
import { initRepository, type Repository } from '../repository/repository.ts'
import { withRetry } from '../storage/layers/with-retry.ts'
import { openMemoryStorage } from '../storage/memory/memory-storage.ts'
import type { Storage } from '../storage/storage.ts'
import { errorFrom } from '../storage/testing.ts'
import { dumpEntries } from './dump/dump-snapshot.ts'
import type { PackFetch } from './fetch-plan.ts'
import { fetchEach } from './pack-fetcher.ts'
import { describeFolder, restoreForTest, TreeMaker } from './testing.ts'

const MIB = 1024 * 1024

/** 400 small files in 40 folders, and one of many blobs; in packs of 4 MiB. */
async function makeRepository(): Promise<{ readonly repository: Repository; readonly tree: Id }> {
  const repository = await initRepository(
    openMemoryStorage(),
    { password: PASSWORD },
    { key: { kdf: CHEAP_KDF }, packBytes: 4 * MIB },
  )
  await repository.loadIndex()
  const maker = new TreeMaker(repository)
  const shared = randomBytes(30_000)
  const folders = []
  for (let f = 0; f < 40; f++) {
    const files = []
    for (let i = 0; i < 10; i++) files.push(await maker.file(`file-${i}`, [randomBytes(20_000), shared]))
    folders.push(await maker.directory(`folder-${f}`, files))
  }
  const pieces = Array.from({ length: 16 }, () => randomBytes(MIB / 2))
  folders.push(await maker.file('large', pieces))
  return { repository, tree: await maker.finish(folders) }
}

describe('a restore from a store that is far away', () => {
  let repository: Repository
  let tree: Id
  let expected: ReturnType<typeof describeFolder>

  beforeAll(async () => {
    ;({ repository, tree } = await makeRepository())
    using scratch = scratchFolder()
    await restoreForTest(repository, tree, scratch.join('target'))
    expected = describeFolder(scratch.join('target'))
  })

  /** The repository over a store; its index is loaded. */
  async function over(storage: Storage): Promise<Repository> {
    const opened = overStorage(repository, storage)
    await opened.loadIndex()
    return opened
  }

  test('takes a request for each stretch of a pack, and reads nothing twice', async () => {
    using scratch = scratchFolder()
    const far = farStorage(repository.storage)
    const { errors } = await restoreForTest(await over(far.storage), tree, scratch.join('target'))
    expect(errors).toEqual([])
    expect(describeFolder(scratch.join('target'))).toEqual(expected)
    const packs = [...repository.index.packs()]
    expect(packs.length).toBeGreaterThan(4)
    // No pack is larger than a request brings; each is read once.
    expect(packReads(far)).toBe(packs.length)
    expect(far.most.reads).toBe(4)
  })

  test('gets what it could not have as a whole blob by blob', async () => {
    using scratch = scratchFolder()
    const far = farStorage(repository.storage)
    far.onRead = async (file, range) => {
      if (file.kind === 'data' && range!.length > MIB) throw new HoldfastError('HF_STORAGE_SHORT', 'the answer was cut')
    }
    const { errors } = await restoreForTest(await over(far.storage), tree, scratch.join('target'))
    expect(errors).toEqual([])
    expect(describeFolder(scratch.join('target'))).toEqual(expected)
  })

  test('asks again for a stretch whose answer was cut or wrong in the middle', async () => {
    using scratch = scratchFolder()
    const far = farStorage(repository.storage)
    let cuts = 0
    far.onRead = async (file, range, options) => {
      if (file.kind !== 'data' || range!.length < MIB || cuts++ % 2 === 1) return
      // Part of it has come by then.
      options?.into?.fill(0xff, 0, range!.length / 2)
      throw new HoldfastError('HF_STORAGE_SHORT', 'the connection was reset', { retry: 'later' })
    }
    const storage = withRetry(far.storage, { initialDelayMs: 1 })
    const { errors } = await restoreForTest(await over(storage), tree, scratch.join('target'))
    expect(errors).toEqual([])
    expect(cuts).toBeGreaterThan(4)
    expect(describeFolder(scratch.join('target'))).toEqual(expected)
  })

  test('stops in the middle when it is cancelled, without asking for more', async () => {
    using scratch = scratchFolder()
    const far = farStorage(repository.storage, 2)
    const stop = new AbortController()
    let large = 0
    far.onRead = async (file, range, options) => {
      if (file.kind !== 'data' || range!.length < MIB) return
      if (++large === 3) stop.abort()
      await setTimeout(20, undefined, { signal: options?.signal }).catch(() => undefined)
    }
    const opened = await over(far.storage)
    const error = await errorFrom(() => restoreForTest(opened, tree, scratch.join('target'), { signal: stop.signal }))
    expect(error.code).toBe('HF_INTERRUPTED')
    const reads = far.reads.length
    await setTimeout(50)
    expect(far.reads.length).toBe(reads)
  })
})

describe('fetching', () => {
  const packId = (): Id => 'a'.repeat(64)
  const content = new Uint8Array(MIB)
  const fetches = Array.from(
    { length: 40 },
    (_, i): PackFetch => ({ pack: 0, offset: i * 25_000, length: 20_000 + i, tasks: [] }),
  )

  test('never has more under way than its memory holds, nor than there are connections', async () => {
    for (let i = 0; i < content.length; i++) content[i] = i % 253
    const store = openMemoryStorage()
    await store.put({ kind: 'data', name: packId() }, content)
    for (const [memoryBytes, connections] of [
      [70_000, 8],
      [10 * MIB, 3],
    ] as const) {
      const far = farStorage(store, connections)
      let held = 0
      let most = 0
      const index = { packId } as unknown as Repository['index']
      const use = async ({ offset, length }: PackFetch, bytes: Uint8Array | undefined): Promise<void> => {
        held += length
        most = Math.max(most, held)
        await setTimeout(1)
        expect(Buffer.compare(bytes!, content.subarray(offset, offset + length))).toBe(0)
        held -= length
      }
      await fetchEach({ storage: far.storage, index }, fetches, use, { memoryBytes })
      expect(packReads(far)).toBe(fetches.length)
      expect(Math.max(most, far.most.bytes)).toBeLessThanOrEqual(memoryBytes)
      expect(far.most.reads).toBeLessThanOrEqual(connections)
    }
  })

  test('ends with what its user throws, and leaves no read behind', async () => {
    const store = openMemoryStorage()
    await store.put({ kind: 'data', name: packId() }, content)
    const far = farStorage(store)
    const index = { packId } as unknown as Repository['index']
    const use = async (): Promise<void> => {
      throw new HoldfastError('HF_RESTORE_FAILED', 'the disk is full')
    }
    expect((await errorFrom(() => fetchEach({ storage: far.storage, index }, fetches, use))).code).toBe(
      'HF_RESTORE_FAILED',
    )
    expect(packReads(far)).toBeLessThan(fetches.length)
  })
})

describe('a dump from a store that is far away', () => {
  test('reads neighbouring files with one request, and nothing twice', async () => {
    const { repository, tree } = await makeRepository()
    const far = farStorage(repository.storage)
    const opened = overStorage(repository, far.storage)
    await opened.loadIndex()
    const sizes: number[] = []
    for await (const { content = [], node } of dumpEntries(opened, { kind: 'folder', path: '/', tree })) {
      if (node.type !== 'file') continue
      let size = 0
      for await (const chunk of content) size += chunk.length
      expect(size).toBe(Number(node.size))
      sizes.push(size)
    }
    expect(sizes).toHaveLength(401)
    const stored = [...repository.index.packs()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    const read = far.reads.reduce((sum, { range }) => sum + (range?.length ?? 0), 0)
    // Blobs at the ends of windows may be read with both.
    expect(read).toBeLessThan(stored * 1.3)
    expect(packReads(far)).toBeLessThan(30)
  })
})
