import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { toHex, utf8 } from '../../lib/bytes.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { randomBytes } from '../../lib/random.ts'
import { type CheckResult, type CheckSizes, storageChecks, verifyStorage } from './contract.ts'
import { namedFile } from './contract-support.ts'
import { withBandwidthLimit } from './layers/with-bandwidth-limit.ts'
import { withCache } from './layers/with-cache.ts'
import { withConnectionLimit } from './layers/with-connection-limit.ts'
import { withDryRun } from './layers/with-dry-run.ts'
import { type Fault, withFaults } from './layers/with-faults.ts'
import { withRetry } from './layers/with-retry.ts'
import { listFiles } from './list-files.ts'
import { openLocalStorage } from './local/local-storage.ts'
import { openStorage } from './locations.ts'
import { openMemoryStorage } from './memory/memory-storage.ts'
import type { Storage } from './storage.ts'
import { errorFrom, steppedClock } from './testing.ts'

const scratch = mkdtempSync(join(tmpdir(), 'holdfast-contract-'))
afterAll(() => rmSync(scratch, { recursive: true }))
const newFolder = (): string => mkdtempSync(join(scratch, 'storage-'))

const few: CheckSizes = { listedFiles: 150, largeFileBytes: 2 << 20 }
const repositoryId = toHex(randomBytes(32))

const passing: Fault['effect'] = {
  type: 'fail',
  error: new HoldfastError('HF_STORAGE_IO', 'the network hiccups', { retry: 'later' }),
}
const lost: Fault['effect'] = { type: 'fail-after', error: passing.error }

const storages: readonly (readonly [
  name: string,
  open: () => Storage | Promise<Storage>,
  sizes: CheckSizes | undefined,
])[] = [
  ['memory', openMemoryStorage, undefined],
  ['local', () => openLocalStorage(newFolder()), undefined],
  ['retry over a store whose every other call fails', () => withRetry(flaky(), { clock: steppedClock() }), few],
  ['connection limit', () => withConnectionLimit(openMemoryStorage(), 2), few],
  [
    'bandwidth limit',
    () => withBandwidthLimit(openMemoryStorage(), { uploadBytesPerSecond: 1e12, downloadBytesPerSecond: 1e12 }),
    few,
  ],
  ['cache', () => withCache(openMemoryStorage(), { cacheDirectory: newFolder(), repositoryId }), few],
  ['dry run', () => withDryRun(openMemoryStorage()), few],
  ['faults that never come', () => withFaults(openMemoryStorage(), []), few],
  [
    'a location with limits',
    () => openStorage(newFolder(), { uploadBytesPerSecond: 1e12, downloadBytesPerSecond: 1e12 }),
    few,
  ],
  [
    'all layers over local',
    () => {
      const limited = withConnectionLimit(openLocalStorage(newFolder()), 3)
      return withDryRun(withCache(withRetry(limited), { cacheDirectory: newFolder(), repositoryId }))
    },
    few,
  ],
]

/** Fails before or after doing its work, again and again; not in `delete`, where a retry cannot tell who removed an absent file. */
function flaky(): Storage {
  const operations = ['create', 'put', 'get', 'stat', 'list'] as const
  const faults = operations.flatMap((operation) =>
    Array.from({ length: 600 }, (_, number): Fault => {
      return { operation, call: 1 + 3 * number, times: 1, effect: number % 2 === 0 ? passing : lost }
    }),
  )
  return withFaults(openMemoryStorage(), faults)
}

describe.each(storages)('%s', (_, open, sizes) => {
  let storage: Storage
  beforeAll(async () => {
    storage = await open()
    await storage.create()
  })
  afterAll(() => storage.close())

  test.each(storageChecks.map((check) => [check.name, check] as const))('%s', async (_name, check) => {
    await check.run(storage, sizes)
    for (const kind of ['data', 'index', 'key', 'lock', 'snapshot'] as const) {
      expect(await listFiles(storage, kind)).toEqual([])
    }
  })
})

/** A storage that breaks a promise, and the check that must notice. */
const broken: Readonly<Record<string, readonly [notices: string, (inner: Storage) => Partial<Storage>]>> = {
  'forgets what is there when it is created': [
    'create can be repeated',
    (inner) => ({ create: () => inner.delete({ kind: 'config' }).catch(() => undefined) }),
  ],
  'replaces an existing file silently': [
    'a name that exists is refused',
    (inner) => ({ put: (file, content, options) => inner.put(file, content, { ...options, replace: true }) }),
  ],
  'lets several writers win': [
    'of writers of one name',
    (inner) => ({ put: (file, content, options) => inner.put(file, content, { ...options, replace: true }) }),
  ],
  'shows half a file while it writes': [
    'a reader sees all',
    (inner) => ({
      put: async (file, content, options) => {
        await inner.put(file, content.subarray(0, content.length / 2), options)
        await new Promise((resolve) => setTimeout(resolve, 5))
        await inner.put(file, content, { ...options, replace: true })
      },
    }),
  ],
  'deletes config before it replaces it': [
    'config is replaced',
    (inner) => ({
      put: async (file, content, options) => {
        if (options?.replace) await inner.delete(file).catch(() => undefined)
        await new Promise((resolve) => setTimeout(resolve, 5))
        await inner.put(file, content, options)
      },
    }),
  ],
  'loses the last byte': [
    'files of all kinds',
    (inner) => ({ put: (file, content, options) => inner.put(file, content.slice(0, -1), options) }),
  ],
  'stores another byte': [
    'files of all kinds',
    (inner) => ({
      put: (file, content, options) =>
        inner.put(file, content.length > 5000 ? content.with(5000, 7) : content, options),
    }),
  ],
  'returns what there is of a range past the end': [
    'a range past the end',
    (inner) => ({
      get: async (file, range, options) => {
        const all = await inner.get(file, undefined, options)
        return range ? all.slice(range.offset, range.offset + range.length) : all
      },
    }),
  ],
  'takes a length of zero for everything': [
    'exactly the bytes of a range',
    (inner) => ({ get: (file, range, options) => inner.get(file, range?.length ? range : undefined, options) }),
  ],
  'deletes what is not there': [
    'files that are not there',
    (inner) => ({ delete: (file, options) => inner.delete(file, options).catch(() => undefined) }),
  ],
  'throws errors of its own': [
    'files that are not there',
    (inner) => ({
      get: async (file, range, options) => {
        try {
          return await inner.get(file, range, options)
        } catch {
          throw new Error('no such key')
        }
      },
    }),
  ],
  'mixes up kinds': ['kinds are kept apart', (inner) => ({ list: (_, options) => inner.list('data', options) })],
  'lists a page too few': [
    'a listing has every file',
    (inner) => ({
      async *list(kind, options) {
        let count = 0
        for await (const file of inner.list(kind, options)) if (++count <= 100) yield file
      },
    }),
  ],
  'lists a file twice': [
    'a listing has every file',
    (inner) => ({
      async *list(kind, options) {
        let isFirst = true
        for await (const file of inner.list(kind, options)) {
          yield file
          if (isFirst) yield file
          isFirst = false
        }
      },
    }),
  ],
  'keeps deleted files': ['a deleted file is gone', () => ({ delete: async () => undefined })],
  'ends a listing at the first change': [
    'files may be removed',
    (inner) => {
      let changes = 0
      return {
        delete: (file, options) => {
          changes += 1
          return inner.delete(file, options)
        },
        async *list(kind, options) {
          const before = changes
          for await (const file of inner.list(kind, options)) {
            if (changes > before) return
            yield file
          }
        },
      }
    },
  ],
  'ignores signals': [
    'cancelled calls do nothing',
    (inner) => ({ put: (file, content, options) => inner.put(file, content, { replace: options?.replace ?? false }) }),
  ],
  'keeps half of what was cancelled': [
    'a put cancelled on its way',
    (inner) => ({
      put: async (file, content, options) => {
        await new Promise((resolve) => setTimeout(resolve, 8))
        await inner.put(file, options?.signal?.aborted ? content.slice(0, 100) : content)
        if (options?.signal?.aborted) throw new HoldfastError('HF_INTERRUPTED', 'cancelled')
      },
    }),
  ],
  'hands out its own memory': [
    'bytes belong to whoever',
    (inner) => {
      const handedOut = new Map<string, Promise<Uint8Array>>()
      return {
        get: (file, range, options) => {
          const key = JSON.stringify([file, range])
          if (!handedOut.has(key)) handedOut.set(key, inner.get(file, range, options))
          return handedOut.get(key)!
        },
      }
    },
  ],
  'cannot take shared memory': [
    'content in shared memory',
    (inner) => ({
      put: (file, content, options) =>
        inner.put(file, content.buffer instanceof ArrayBuffer ? content : new Uint8Array(content.length), options),
    }),
  ],
  'mixes the blocks of several writers': [
    'writers of one large file',
    (inner) => {
      let writers = 0
      return {
        put: async (file, content, options) => {
          writers += 1
          await new Promise((resolve) => setTimeout(resolve, 5))
          const mixed = writers > 1 ? content.with(content.length >> 1, 7) : content
          writers -= 1
          await inner.put(file, mixed, options)
        },
      }
    },
  ],
  'gives all readers the part of one': [
    'parts of a large file',
    (inner) => {
      let current: Promise<Uint8Array> | undefined
      return {
        get: (file, range, options) => {
          current ??= inner.get(file, range, options).finally(() => {
            current = undefined
          })
          return current
        },
      }
    },
  ],
  'loses its place in a listing when something is written': [
    'a listing has what is there all the time',
    (inner) => {
      let changes = 0
      return {
        put: (file, content, options) => {
          changes += 1
          return inner.put(file, content, options)
        },
        async *list(kind, options) {
          const before = changes
          for await (const file of inner.list(kind, options)) {
            await new Promise((resolve) => setTimeout(resolve, 1))
            if (changes === before) yield file
          }
        },
      }
    },
  ],
  'keeps the name of a cancelled put': [
    'a name whose put was cancelled',
    (inner) => {
      const taken = new Set<string>()
      return {
        put: async (file, content, options) => {
          if (file.kind === 'config') return inner.put(file, content, options)
          if (taken.has(file.name)) throw new HoldfastError('HF_STORAGE_EXISTS', 'an upload is under way')
          taken.add(file.name)
          if (options?.signal) await new Promise((resolve) => setTimeout(resolve, 30))
          await inner.put(file, content, options)
          taken.delete(file.name)
        },
      }
    },
  ],
  'goes wherever a name leads': [
    'names that no file can have',
    (inner) => ({
      stat: (file, options) =>
        file.kind !== 'config' && file.name.includes('/')
          ? Promise.resolve({ sizeBytes: 5 })
          : inner.stat(file, options),
    }),
  ],
  'lists nothing by class': [
    'files have a storage class',
    (inner) => ({
      features: {
        classes: {
          async *list() {},
          state: async (file) => {
            await inner.stat(file)
            return 'readable'
          },
          requestRestore: async () => undefined,
        },
      },
    }),
  ],
  'has less than no space': ['free space', () => ({ features: { freeBytes: async () => -1 } })],
  'takes what is there for deleted': [
    'what is there has not been deleted',
    (inner) => ({
      features: {
        versions: {
          async *listDeleted(kind) {
            for await (const file of inner.list(kind)) yield { ...file, deletedMs: undefined }
          },
          undelete: async () => undefined,
        },
      },
    }),
  ],
  'mixes up calls at the same time': [
    'many calls at the same time',
    (inner) => {
      let current: Uint8Array
      return {
        put: async (file, content, options) => {
          current = content
          await new Promise((resolve) => setTimeout(resolve, 1))
          await inner.put(file, current, options)
        },
      }
    },
  ],
}

describe('each check notices a storage that', () => {
  test.each(Object.entries(broken))('%s', async (_, [name, breakIt]) => {
    const inner = openMemoryStorage()
    const storage: Storage = {
      location: inner.location,
      properties: inner.properties,
      features: inner.features,
      create: (options) => inner.create(options),
      put: (file, content, options) => inner.put(file, content, options),
      get: (file, range, options) => inner.get(file, range, options),
      stat: (file, options) => inner.stat(file, options),
      list: (kind, options) => inner.list(kind, options),
      delete: (file, options) => inner.delete(file, options),
      close: () => inner.close(),
      ...breakIt(inner),
    }
    const check = storageChecks.find((candidate) => candidate.name.startsWith(name))
    expect((await errorFrom(() => check!.run(storage, few))).code).toMatch(/^HF_STORAGE_(CONTRACT|NOT_FOUND)$/)
  })

  test('and every check is tried', () => {
    const tried = Object.values(broken).map(([name]) => name)
    expect(
      storageChecks.map(({ name }) => name).filter((name) => !tried.some((start) => name.startsWith(start))),
    ).toEqual([])
  })
})

describe('verifying a storage', () => {
  const collect = async (results: AsyncIterable<CheckResult>): Promise<CheckResult[]> => {
    const all: CheckResult[] = []
    for await (const result of results) all.push(result)
    return all
  }

  test('reports each check', async () => {
    const results = await collect(verifyStorage(openLocalStorage(newFolder()), few))
    expect(results.map(({ name }) => name)).toEqual(storageChecks.map(({ name }) => name))
    expect(results.filter(({ error }) => error !== undefined)).toEqual([])
  })

  test('goes on after a broken promise', async () => {
    const flipping = withFaults(openMemoryStorage(), [{ operation: 'get', effect: { type: 'flip', bit: 3 } }])
    const results = await collect(verifyStorage(flipping, few))
    expect(results).toHaveLength(storageChecks.length)
    const failed = results.filter(({ error }) => error !== undefined)
    expect(failed.length).toBeGreaterThan(5)
    expect(failed.length).toBeLessThan(storageChecks.length)
  })

  test('touches no repository', async () => {
    for (const kind of ['snapshot', 'config'] as const) {
      const storage = openMemoryStorage()
      const content = utf8('precious')
      const file = kind === 'config' ? ({ kind } as const) : namedFile(kind, content)
      await storage.put(file, content)
      expect((await errorFrom(() => collect(verifyStorage(storage, few)))).code).toBe('HF_REPO_EXISTS')
      expect(await storage.get(file)).toEqual(content)
    }
  })
})
