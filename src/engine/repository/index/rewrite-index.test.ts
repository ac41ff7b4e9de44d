import { describe, expect, test } from 'vitest'
import { copyStorage } from '../../../../test/support/copy-storage.ts'
import { memoryRepository, overStorage } from '../../../../test/support/test-repository.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import type { Id } from '../../../lib/id.ts'
import { noProgress } from '../../../lib/progress.ts'
import { randomBytes } from '../../../lib/random.ts'
import { type Operation, withFaults } from '../../storage/layers/with-faults.ts'
import { errorFrom } from '../../storage/testing.ts'
import { type PackListing, rowsOf } from '../pack/blob-rows.ts'
import type { Repository } from '../repository.ts'
import { BlobWriter } from '../write/blob-writer.ts'
import { encodeIndex, FULL_INDEX_BLOBS } from './index-file.ts'
import { type RewriteIndexOptions, rewriteIndex } from './rewrite-index.ts'

interface Sample {
  readonly repository: Repository
  /** Blobs that must stay readable, and packs that are to go. */
  readonly kept: readonly Id[]
  readonly doomed: ReadonlySet<Id>
}

/** Four index files of one pack each; the packs of the first two are to go. */
async function makeSample(): Promise<Sample> {
  const repository = await memoryRepository()
  const blobs: Id[] = []
  for (let i = 0; i < 4; i++) {
    const writer = new BlobWriter(repository)
    blobs.push((await writer.save('data', randomBytes(100))).id)
    await writer.flush()
  }
  const packOf = (blob: Id): Id => repository.index.find('data', blob)!.pack
  return { repository, kept: blobs.slice(2), doomed: new Set(blobs.slice(0, 2).map(packOf)) }
}

const rewrite = async (repository: Repository, options: Partial<RewriteIndexOptions>): Promise<void> =>
  await rewriteIndex(repository, { removePacks: new Set(), progress: noProgress, ...options })

/** Ids of the packs that an index file lists. */
async function listedPacks(repository: Repository): Promise<Id[]> {
  const fresh = overStorage(repository, repository.storage)
  await fresh.loadIndex()
  return [...fresh.index.packs()].map(({ id }) => id).sort()
}

const listing = (pack: string, blobs: number): PackListing => ({
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

const saveIndex = (repository: Repository, ...listings: PackListing[]): Promise<Id> =>
  repository.saveUnpacked('index', encodeIndex(listings))

describe('rewriting the index', () => {
  test('leaves out packs, takes in others, and puts small files together', async () => {
    const { repository, doomed } = await makeSample()
    const added = listing('a', 3)
    const before = await listedPacks(repository)
    await rewrite(repository, { removePacks: doomed, addPacks: [added] })
    expect(await repository.list('index')).toHaveLength(1)
    expect(await listedPacks(repository)).toEqual([...before.filter((id) => !doomed.has(id)), added.pack].sort())
  })

  test('writes no file when nothing is left to list', async () => {
    const { repository } = await makeSample()
    await rewrite(repository, { removePacks: new Set(await listedPacks(repository)) })
    expect(await repository.list('index')).toEqual([])
  })

  test('leaves full files alone unless one of their packs goes or is listed before', async () => {
    const repository = await memoryRepository()
    const full = await saveIndex(repository, listing('a', FULL_INDEX_BLOBS))
    const small = await saveIndex(repository, listing('b', 5))
    await rewrite(repository, {})
    expect(await repository.list('index')).toContain(full)
    expect(await repository.list('index')).not.toContain(small)
    await rewrite(repository, { removePacks: new Set([listing('a', 0).pack]) })
    expect(await repository.list('index')).not.toContain(full)
    expect(await listedPacks(repository)).toEqual([listing('b', 0).pack])
  })

  test('lists a pack once that was listed twice', async () => {
    const repository = await memoryRepository()
    await saveIndex(repository, listing('a', 2), listing('b', 2))
    await saveIndex(repository, listing('b', 2), listing('c', 2))
    await rewrite(repository, {})
    const [name] = await repository.list('index')
    const { packs } = JSON.parse(Buffer.from(await repository.loadUnpacked('index', name!)).toString()) as {
      packs: { id: string }[]
    }
    expect(packs.map(({ id }) => id[0]).sort()).toEqual(['a', 'b', 'c'])
  })

  test('ends at a damaged file with everything still there, unless that file is to go', async () => {
    const { repository } = await makeSample()
    const bytes = new Uint8Array(100)
    const damaged = 'd'.repeat(64)
    await repository.storage.put({ kind: 'index', name: damaged }, bytes)
    const before = await repository.list('index')
    expect((await errorFrom(() => rewrite(repository, {}))).code).toBe('HF_DATA_DAMAGED')
    expect(await repository.list('index')).toEqual(expect.arrayContaining(before))
    await rewrite(repository, { obsolete: [damaged] })
    expect(await repository.list('index')).not.toContain(damaged)
  })

  test('that is cut off at any call leaves everything readable, and can be repeated', async () => {
    const { repository: original, kept, doomed } = await makeSample()
    const error = new HoldfastError('HF_STORAGE_IO', 'cut off')
    const before = await listedPacks(original)
    let failures = 0
    for (const operation of ['list', 'get', 'put', 'delete'] satisfies Operation[])
      for (const type of ['fail', 'fail-after'] as const)
        for (let call = 1; call < 10; call++) {
          const inner = await copyStorage(original.storage)
          const storage = withFaults(inner, [{ operation, kind: 'index', call, times: 1, effect: { type, error } }])
          let failed = false
          await rewrite(overStorage(original, storage), { removePacks: doomed }).catch(() => {
            failed = true
          })
          const repository = overStorage(original, inner)
          await repository.loadIndex()
          for (const id of kept) await repository.loadBlob('data', id)
          const listed = await listedPacks(repository)
          expect(before).toEqual(expect.arrayContaining(listed))
          await rewrite(repository, { removePacks: doomed })
          expect(await listedPacks(repository)).toEqual(before.filter((id) => !doomed.has(id)))
          expect(await repository.list('index')).toHaveLength(1)
          if (!failed) break
          failures++
        }
    expect(failures).toBeGreaterThan(15)
  })
})
