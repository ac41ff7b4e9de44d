import { existsSync, mkdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { newRepository, reopen, scratchFolder } from '../../../test/support/test-repository.ts'
import { steppedClock } from '../storage/testing.ts'
import { listCaches, removeOldCaches, useCache } from './cache-directory.ts'
import { BlobWriter } from './write/blob-writer.ts'

const ids = ['a', 'b', 'c'].map((digit) => digit.repeat(64)) as [string, string, string]

/** Three caches, unused for 40, 31 and 2 days. */
async function makeCaches(directory: string): Promise<void> {
  for (const [i, days] of [2, 40, 31].entries()) {
    const path = (await useCache(directory, ids[i]!, clock))!
    writeFileSync(`${path}/file`, 'x'.repeat(1000 * (i + 1)))
    const seconds = Number(clock.now() / 1_000_000_000n) - days * 86_400
    utimesSync(path, seconds, seconds)
  }
}

const clock = steppedClock()

describe('caches', () => {
  test('are listed with age and size, the least recently used first', async () => {
    using scratch = scratchFolder()
    const directory = scratch.join('cache')
    expect(await listCaches(directory, { clock })).toEqual([])
    await makeCaches(directory)
    mkdirSync(`${directory}/something else`)
    expect(await listCaches(directory, { clock })).toMatchObject([
      { repositoryId: ids[1], ageDays: 40, isOld: true, sizeBytes: 2000 },
      { repositoryId: ids[2], ageDays: 31, isOld: true, sizeBytes: 3000 },
      { repositoryId: ids[0], ageDays: 2, isOld: false, sizeBytes: 1000 },
    ])
  })

  test('that are old are removed, nothing else is', async () => {
    using scratch = scratchFolder()
    const directory = scratch.join('cache')
    await makeCaches(directory)
    mkdirSync(`${directory}/something else`)
    expect((await removeOldCaches(directory, { clock, maxAgeDays: 35 })).map((cache) => cache.repositoryId)).toEqual([
      ids[1],
    ])
    expect((await removeOldCaches(directory, { clock })).map((cache) => cache.repositoryId)).toEqual([ids[2]])
    expect((await listCaches(directory, { clock })).map((cache) => cache.repositoryId)).toEqual([ids[0]])
    expect(existsSync(`${directory}/something else`)).toBe(true)
  })

  test('are marked and private, and used by opening a repository, which works without one too', async () => {
    using scratch = scratchFolder()
    const directory = scratch.join('cache')
    const path = scratch.join('repository')
    const made = await newRepository(path)
    const writer = new BlobWriter(made)
    await writer.save('data', new Uint8Array(100))
    await writer.flush()
    const repository = await reopen(path, { cacheDirectory: directory })
    expect(readFileSync(`${directory}/CACHEDIR.TAG`, 'latin1')).toMatch(
      /^Signature: 8a477f597d28d172789f06886806bc55\n/,
    )
    const folder = `${directory}/${repository.config.id}`
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    expect(existsSync(`${folder}/decoded-index/${[...repository.loadedIndexes][0]}`)).toBe(true)
    utimesSync(folder, 1000, 1000)
    expect((await reopen(path, { cacheDirectory: directory })).index.count).toBe(1)
    expect((await listCaches(directory))[0]).toMatchObject({ ageDays: 0, isOld: false })
    writeFileSync(scratch.join('file'), '')
    expect((await reopen(path, { cacheDirectory: scratch.join('file') })).index.count).toBe(1)
  })
})
