import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { toHex, utf8 } from '../../../lib/bytes.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import { randomBytes } from '../../../lib/random.ts'
import { type NamedFile, namedFile } from '../contract-support.ts'
import { listFiles } from '../list-files.ts'
import { openMemoryStorage } from '../memory/memory-storage.ts'
import { errorFrom, steppedClock } from '../testing.ts'
import { listCacheFolders, removeCacheFolder } from './cache-directory.ts'
import { type CachedStorage, withCache } from './with-cache.ts'
import { type Fault, type FaultyStorage, withFaults } from './with-faults.ts'

const repositoryId = toHex(randomBytes(32))
const folders = { data: 'data', index: 'index', snapshot: 'snapshots' } as const

let cacheDirectory: string
beforeEach(() => {
  cacheDirectory = mkdtempSync(join(tmpdir(), 'holdfast-cache-'))
})
afterEach(() => rmSync(cacheDirectory, { recursive: true }))

function open(faults: readonly Fault[] = []): {
  store: FaultyStorage
  cached: CachedStorage
  problems: HoldfastError[]
} {
  const store = withFaults(openMemoryStorage(), faults)
  const problems: HoldfastError[] = []
  const cached = withCache(store, { cacheDirectory, repositoryId, onProblem: (problem) => problems.push(problem) })
  return { store, cached, problems }
}

const pathOf = ({ kind, name }: NamedFile): string =>
  join(cacheDirectory, repositoryId, folders[kind as keyof typeof folders], name.slice(0, 2), name)
const readsOf = (store: FaultyStorage): number => store.calls.filter((call) => call.startsWith('get')).length
const some = (kind: NamedFile['kind'], size = 1000): [NamedFile, Uint8Array] => {
  const content = randomBytes(size)
  return [namedFile(kind, content), content]
}

describe('what is kept', () => {
  test.each(['index', 'snapshot'] as const)(
    'a file of kind %s is fetched once, by one process or the next',
    async (kind) => {
      const { store, cached } = open()
      const [file, content] = some(kind)
      await store.put(file, content)
      expect(await cached.get(file)).toEqual(content)
      expect(await cached.get(file)).toEqual(content)
      expect(await cached.get(file, { offset: 10, length: 20 })).toEqual(content.slice(10, 30))
      const next = withCache(store, { cacheDirectory, repositoryId })
      expect(await next.get(file)).toEqual(content)
      expect(readsOf(store)).toBe(1)
    },
  )

  test('what is written is kept at once', async () => {
    const { store, cached } = open()
    const [index, indexContent] = some('index')
    const [trees, treesContent] = some('data')
    await cached.put(index, indexContent)
    await cached.put(trees, treesContent, { cacheable: true })
    expect(await cached.get(index)).toEqual(indexContent)
    expect(await cached.get(trees, { offset: 5, length: 5 }, { cacheable: true })).toEqual(treesContent.slice(5, 10))
    expect(readsOf(store)).toBe(0)
  })

  test('a pack of trees is fetched whole at its first range; other packs, keys, locks and config never', async () => {
    const { store, cached } = open()
    const [trees, treesContent] = some('data')
    await store.put(trees, treesContent)
    for (const offset of [0, 100, 900]) {
      const range = { offset, length: 100 }
      expect(await cached.get(trees, range, { cacheable: true })).toEqual(treesContent.slice(offset, offset + 100))
    }
    expect(readsOf(store)).toBe(1)
    for (const kind of ['data', 'key', 'lock'] as const) {
      const [file, content] = some(kind)
      await cached.put(file, content)
      await cached.get(file)
      await cached.get(file)
    }
    await cached.put({ kind: 'config' }, utf8('config'))
    await cached.get({ kind: 'config' })
    expect(readsOf(store)).toBe(8)
    expect(readdirSync(join(cacheDirectory, repositoryId))).toEqual(['data'])
  })

  test('a file asked for by many at the same time is fetched once', async () => {
    const { store, cached } = open([{ operation: 'get', effect: { type: 'delay', milliseconds: 20 } }])
    const [file, content] = some('index')
    await store.put(file, content)
    const results = await Promise.all(Array.from({ length: 10 }, () => cached.get(file)))
    expect(results.every((result) => Buffer.compare(result, content) === 0)).toBe(true)
    expect(readsOf(store)).toBe(1)
  })

  test('whoever gives up does not fail those who wait for the same file', async () => {
    const { store, cached } = open([{ operation: 'get', effect: { type: 'delay', milliseconds: 40 } }])
    const [file, content] = some('index')
    await store.put(file, content)
    const first = errorFrom(() => cached.get(file, undefined, { signal: AbortSignal.timeout(10) }))
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(await cached.get(file)).toEqual(content)
    expect((await first).code).toBe('HF_INTERRUPTED')
  })
})

describe('damage', () => {
  test('what arrives with another hash than its name is handed out but not kept', async () => {
    const { store, cached } = open([{ operation: 'get', times: 1, effect: { type: 'flip', bit: 77 } }])
    const [file, content] = some('snapshot')
    await store.put(file, content)
    expect(await cached.get(file)).not.toEqual(content)
    expect(existsSync(pathOf(file))).toBe(false)
    expect(await cached.get(file)).toEqual(content)
  })

  test('forget drops a damaged copy, so that reading again heals, but only once', async () => {
    const { cached } = open()
    const [file, content] = some('index')
    await cached.put(file, content)
    writeFileSync(pathOf(file), randomBytes(content.length))
    expect(await cached.get(file)).not.toEqual(content)
    expect(await cached.copies.forget(file)).toBe(true)
    expect(await cached.get(file)).toEqual(content)
    expect(await cached.copies.forget(file)).toBe(false)
    expect(existsSync(pathOf(file))).toBe(true)
  })

  test('forget of what was never kept says so', async () => {
    const { cached } = open()
    expect(await cached.copies.forget(some('index')[0])).toBe(false)
    expect(await cached.copies.forget({ kind: 'config' })).toBe(false)
  })

  test('a copy that is too short is fetched again', async () => {
    const { cached } = open()
    const [trees, content] = some('data')
    await cached.put(trees, content, { cacheable: true })
    writeFileSync(pathOf(trees), content.slice(0, 500))
    const range = { offset: 400, length: 200 }
    expect(await cached.get(trees, range, { cacheable: true })).toEqual(content.slice(400, 600))
    expect(readFileSync(pathOf(trees)).equals(content)).toBe(true)
  })

  test('a range past the end of the stored file stays an error', async () => {
    const { cached } = open()
    const [file, content] = some('index')
    await cached.put(file, content)
    expect((await errorFrom(() => cached.get(file, { offset: 900, length: 101 }))).code).toBe('HF_STORAGE_SHORT')
  })
})

describe('tidiness', () => {
  test('a complete listing removes copies of what is gone, an incomplete one does not', async () => {
    const { store, cached } = open([
      {
        operation: 'list',
        times: 1,
        effect: { type: 'fail-after', error: new HoldfastError('HF_STORAGE_IO', 'planned') },
      },
    ])
    const files = [some('index'), some('index'), some('index')]
    for (const [file, content] of files) await cached.put(file, content)
    const [snapshot, content] = some('snapshot')
    await cached.put(snapshot, content)
    await store.delete(files[0]![0])
    const present = (): boolean[] => files.map(([file]) => existsSync(pathOf(file)))

    await errorFrom(() => listFiles(cached, 'index'))
    for await (const _ of cached.list('index')) break
    expect(present()).toEqual([true, true, true])
    await listFiles(cached, 'index')
    expect(present()).toEqual([false, true, true])
    expect(existsSync(pathOf(snapshot))).toBe(true)
  })

  test('what is deleted or turns out to be absent is dropped', async () => {
    const { store, cached } = open()
    const files = [some('index'), some('index'), some('index')]
    for (const [file, content] of files) await cached.put(file, content)
    const [deleted, deletedElsewhere, alsoElsewhere] = files.map(([file]) => file) as [NamedFile, NamedFile, NamedFile]
    await cached.delete(deleted)
    await store.delete(deletedElsewhere)
    await store.delete(alsoElsewhere)
    expect((await errorFrom(() => cached.stat(deletedElsewhere))).code).toBe('HF_STORAGE_NOT_FOUND')
    expect((await errorFrom(() => cached.delete(alsoElsewhere))).code).toBe('HF_STORAGE_NOT_FOUND')
    expect(files.map(([file]) => existsSync(pathOf(file)))).toEqual([false, false, false])
  })

  test('folders are for the owner alone, marked as a cache, and say when they were used', async () => {
    const umask = process.umask(0)
    try {
      rmSync(cacheDirectory, { recursive: true })
      const [file, content] = some('snapshot')
      await open().cached.put(file, content)
      for (const path of [cacheDirectory, join(cacheDirectory, repositoryId), join(pathOf(file), '..')]) {
        expect([path, (statSync(path).mode & 0o777).toString(8)]).toEqual([path, '700'])
      }
      expect((statSync(pathOf(file)).mode & 0o777).toString(8)).toBe('600')
      const tag = readFileSync(join(cacheDirectory, 'CACHEDIR.TAG'), 'utf8')
      expect(tag).toMatch(/^Signature: 8a477f597d28d172789f06886806bc55\n/)

      const clock = steppedClock()
      await withCache(openMemoryStorage(), { cacheDirectory, repositoryId, clock }).get(file)
      const [folder] = await listCacheFolders(cacheDirectory)
      expect(folder).toMatchObject({ repositoryId, sizeBytes: 1000 })
      expect(Number(folder!.lastUsed - clock.now()) / 1e9).toBeCloseTo(0, 1)
    } finally {
      process.umask(umask)
    }
  })

  test('folders are listed from the least recently used one on and can be removed', async () => {
    const ids = [repositoryId, toHex(randomBytes(32)), toHex(randomBytes(32))]
    for (const [age, id] of ids.entries()) {
      mkdirSync(join(cacheDirectory, id, 'index'), { recursive: true })
      utimesSync(join(cacheDirectory, id), 1000 - age, 1000 - age)
    }
    mkdirSync(join(cacheDirectory, 'something else'))
    const listed = async (): Promise<string[]> =>
      (await listCacheFolders(cacheDirectory)).map(({ repositoryId }) => repositoryId)
    expect(await listed()).toEqual(ids.toReversed())
    await removeCacheFolder(cacheDirectory, ids[1]!)
    await removeCacheFolder(cacheDirectory, ids[1]!)
    expect(await listed()).toEqual([ids[2], ids[0]])
    expect((await errorFrom(() => removeCacheFolder(cacheDirectory, '..'))).code).toBe('HF_INTERNAL')
    expect(await listCacheFolders(join(cacheDirectory, 'nowhere'))).toEqual([])
  })

  test('unfinished copies of writers that died are removed after an hour', async () => {
    const { cached } = open()
    const [file, content] = some('index')
    await cached.put(file, content)
    const old = `${pathOf(file)}-tmp-00112233`
    const young = `${pathOf(file)}-tmp-44556677`
    for (const path of [old, young]) writeFileSync(path, 'half')
    const twoHoursAgo = statSync(young).mtimeMs / 1000 - 7200
    utimesSync(old, twoHoursAgo, twoHoursAgo)
    await listFiles(cached, 'index')
    expect([existsSync(old), existsSync(young)]).toEqual([false, true])
  })
})

test('everything works on when nothing can be kept, and that is said once', async () => {
  writeFileSync(join(cacheDirectory, repositoryId), 'a file in the place of the folder')
  const { cached, problems } = open()
  for (const [file, content] of [some('index'), some('index'), some('snapshot')]) {
    await cached.put(file, content)
    expect(await cached.get(file)).toEqual(content)
    await listFiles(cached, 'index')
  }
  expect(problems).toHaveLength(1)
  expect(problems[0]).toMatchObject({ code: 'HF_STORAGE_IO', hint: expect.stringContaining('--no-cache') })
})
