import { mkdirSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { backUp, memoryRepository, overStorage, scratchFolder } from '../../../../test/support/test-repository.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import { noProgress } from '../../../lib/progress.ts'
import { randomBytes } from '../../../lib/random.ts'
import { checkRepository } from '../../repository/check/check.ts'
import type { Storage } from '../../storage/storage.ts'
import { errorFrom } from '../../storage/testing.ts'

const PACK_BYTES = 4 << 20

/** A storage whose packs take some time to be stored, and how many were on their way at the same time. */
function slowStorage(inner: Storage, failAt = Number.POSITIVE_INFINITY): { storage: Storage; most: () => number } {
  let onTheirWay = 0
  let most = 0
  let puts = 0
  const storage: Storage = {
    location: inner.location,
    properties: inner.properties,
    features: inner.features,
    create: (options) => inner.create(options),
    put: async (file, content, options) => {
      if (file.kind !== 'data') return inner.put(file, content, options)
      onTheirWay += 1
      puts += 1
      most = Math.max(most, onTheirWay)
      const fails = puts >= failAt
      await new Promise((resolve) => setTimeout(resolve, 300))
      onTheirWay -= 1
      if (fails) throw new HoldfastError('HF_STORAGE_FULL', 'no space is left')
      await inner.put(file, content, options)
    },
    get: (file, range, options) => inner.get(file, range, options),
    stat: (file, options) => inner.stat(file, options),
    list: (kind, options) => inner.list(kind, options),
    delete: (file, options) => inner.delete(file, options),
    close: () => inner.close(),
  }
  return { storage, most: () => most }
}

test('a thread makes packs while others are on their way, and never more than a few', async () => {
  using scratch = scratchFolder()
  const folder = scratch.join('files')
  mkdirSync(folder)
  for (let file = 0; file < 20; file++) writeFileSync(`${folder}/${file}`, randomBytes(2 << 20))
  const original = await memoryRepository()
  const { storage, most } = slowStorage(original.storage)
  const repository = overStorage(original, storage, { packBytes: PACK_BYTES })
  await repository.loadIndex()
  await backUp(repository, folder, { threads: 1 })
  expect(most()).toBe(3)
  const { findings } = await checkRepository(repository, { read: { kind: 'all' }, threads: 0, progress: noProgress })
  expect(findings).toEqual([])
})

test('a pack that cannot be stored ends the backup with its reason, and no snapshot is written', async () => {
  using scratch = scratchFolder()
  const folder = scratch.join('files')
  mkdirSync(folder)
  for (let file = 0; file < 12; file++) writeFileSync(`${folder}/${file}`, randomBytes(2 << 20))
  for (const failAt of [1, 3, 5]) {
    const original = await memoryRepository()
    const { storage } = slowStorage(original.storage, failAt)
    const repository = overStorage(original, storage, { packBytes: PACK_BYTES })
    await repository.loadIndex()
    const error = await errorFrom(() => backUp(repository, folder, { threads: 1 }))
    expect(error.code).toBe('HF_STORAGE_FULL')
    expect(await repository.list('snapshot')).toEqual([])
  }
})
