import { equalBytes, utf8 } from '../../lib/bytes.ts'
import { monotonicMilliseconds } from '../../lib/clock.ts'
import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import { forEachParallel } from '../../lib/parallel.ts'
import { randomBytes } from '../../lib/random.ts'
import { concurrencyChecks } from './contract-concurrency.ts'
import { featureChecks } from './contract-features.ts'
import { nameChecks } from './contract-names.ts'
import {
  type CheckSizes,
  check,
  config,
  expectBytes,
  expectCode,
  expectContent,
  expectEqual,
  expectError,
  FULL_SIZES,
  fail,
  KINDS,
  namedFile,
  newFile,
  putAfterCancelled,
  putNew,
  type StorageCheck,
} from './contract-support.ts'
import { listFiles } from './list-files.ts'
import { describeFile, type FileRef, type Storage } from './storage.ts'

export type { CheckSizes, StorageCheck } from './contract-support.ts'

/** Every promise that can be tested from outside; what a power cut does is for the tests of each backend. */
export const storageChecks: readonly StorageCheck[] = [
  check('create can be repeated and keeps what is there', async (storage) => {
    const content = await putNew(storage, config, 100)
    await storage.create()
    await expectContent(storage, config, content)
  }),

  check('files of all kinds and sizes come back as they were', async (storage, { largeFileBytes }) => {
    for (const kind of KINDS) {
      for (const size of [0, 1, 4095, 65_537]) {
        const { file, content } = newFile(kind, size)
        await storage.put(file, content)
        await expectContent(storage, file, content)
        expectEqual((await storage.stat(file)).sizeBytes, size, `size of ${describeFile(file)}`)
        await storage.delete(file)
      }
    }
    const { file, content } = newFile('data', largeFileBytes)
    await storage.put(file, content)
    await expectContent(storage, file, content)
    const tail = await storage.get(file, { offset: largeFileBytes - 10, length: 10 })
    expectBytes(tail, content.subarray(-10), 'the end of a large file')
  }),

  check('a name that exists is refused and its file stays', async (storage) => {
    const { file, content } = newFile('snapshot', 1000)
    await storage.put(file, content)
    await expectError('HF_STORAGE_EXISTS', 'a second put of a snapshot', () => storage.put(file, content))
    await expectContent(storage, file, content)
    const first = await putNew(storage, config, 200)
    await expectError('HF_STORAGE_EXISTS', 'a second put of config', () => storage.put(config, randomBytes(50)))
    await expectContent(storage, config, first)
  }),

  check('of writers of one name at the same time one wins, whole', async (storage) => {
    const contents = Array.from({ length: 6 }, () => randomBytes(300_000))
    const outcomes = await Promise.allSettled(contents.map((content) => storage.put(config, content)))
    const winners = contents.filter((_, index) => outcomes[index]?.status === 'fulfilled')
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expectCode(outcome.reason, 'HF_STORAGE_EXISTS', 'the put of a loser')
    }
    if (storage.properties.createOnly) expectEqual(winners.length, 1, 'number of winners')
    const stored = await storage.get(config)
    if (!winners.some((content) => equalBytes(content, stored))) fail('what is stored is not what a winner wrote')
  }),

  check('a reader sees all of a file or none of it', async (storage) => {
    const { file, content } = newFile('data', 4 << 20)
    let isWriting = true
    const written = storage.put(file, content).finally(() => {
      isWriting = false
    })
    const watching = (async () => {
      while (isWriting) {
        for (const listed of await listFiles(storage, 'data')) {
          expectEqual(listed.sizeBytes, content.length, 'size of a file that is being written')
        }
        const seen = await storage.get(file).catch((error: unknown) => {
          expectCode(error, 'HF_STORAGE_NOT_FOUND', 'reading a file that is being written')
        })
        if (seen !== undefined) expectBytes(seen, content, 'a file that is being written')
      }
    })()
    await Promise.all([written, watching])
  }),

  check('config is replaced when that is asked for, and is never missing where that is promised', async (storage) => {
    const contents = Array.from({ length: 10 }, () => randomBytes(100_000))
    await storage.put(config, contents[0]!, { replace: true })
    let isReplacing = true
    const replacing = (async () => {
      for (const content of contents.slice(1)) await storage.put(config, content, { replace: true })
    })().finally(() => {
      isReplacing = false
    })
    const watching = (async () => {
      while (isReplacing && storage.properties.atomicReplace) {
        const seen = await storage.get(config)
        if (!contents.some((content) => equalBytes(content, seen))) fail('a config was seen that nobody wrote')
      }
    })()
    await Promise.all([replacing, watching])
    await expectContent(storage, config, contents.at(-1)!)
  }),

  check('exactly the bytes of a range come back', async (storage) => {
    const { file, content } = newFile('data', 10_000)
    await storage.put(file, content)
    for (const [offset, length] of [
      [0, 1],
      [0, 10_000],
      [1, 9998],
      [4096, 4096],
      [9999, 1],
      [0, 0],
      [5000, 0],
      [10_000, 0],
    ] as const) {
      const part = await storage.get(file, { offset, length })
      expectBytes(part, content.subarray(offset, offset + length), `${length} bytes at ${offset}`)
    }
  }),

  check('a range past the end is an error', async (storage) => {
    for (const size of [0, 10_000]) {
      const { file, content } = newFile('data', size)
      await storage.put(file, content)
      for (const [offset, length] of [
        [size, 1],
        [size + 1, 0],
        [size + 5000, 5000],
        [0, size + 1],
        [Math.floor(size / 2), size],
      ] as const) {
        if (offset + length <= size) continue
        const what = `reading ${length} bytes at ${offset} of ${size}`
        await expectError('HF_STORAGE_SHORT', what, () => storage.get(file, { offset, length }))
      }
    }
  }),

  check('files that are not there are not found', async (storage) => {
    for (const file of [config, ...KINDS.map((kind) => newFile(kind, 10).file)]) {
      const calls = {
        get: () => storage.get(file),
        'get of a range': () => storage.get(file, { offset: 0, length: 0 }),
        stat: () => storage.stat(file),
        delete: () => storage.delete(file),
      }
      for (const [call, run] of Object.entries(calls)) {
        await expectError('HF_STORAGE_NOT_FOUND', `${call} of an absent ${file.kind}`, run)
      }
    }
  }),

  check('kinds are kept apart', async (storage) => {
    const content = randomBytes(100)
    for (const kind of KINDS) await storage.put(namedFile(kind, content), content)
    await storage.delete(namedFile('lock', content))
    for (const kind of KINDS) {
      expectEqual((await listFiles(storage, kind)).length, kind === 'lock' ? 0 : 1, `number of files of kind ${kind}`)
    }
    await expectContent(storage, namedFile('key', content), content)
  }),

  check('a listing has every file once, with its size', async (storage, { listedFiles }) => {
    const sizes = new Map<string, number>()
    const contents = Array.from({ length: listedFiles }, (_, number) => utf8(`${number} `.repeat(1 + (number % 7))))
    await forEachParallel(contents, storage.properties.connections, async (content) => {
      const file = namedFile('data', content)
      sizes.set(file.name, content.length)
      await storage.put(file, content)
    })
    for (const { name, sizeBytes } of await listFiles(storage, 'data')) {
      expectEqual(sizeBytes, sizes.get(name), `listed size of ${name}`)
      sizes.delete(name)
    }
    expectEqual(sizes.size, 0, 'number of files missing from the listing')
    for (const kind of KINDS) {
      if (kind !== 'data') expectEqual((await listFiles(storage, kind)).length, 0, `files of kind ${kind}`)
    }
  }),

  check('files may be removed and the listing left while it runs', async (storage) => {
    await forEachParallel(Array(20).keys(), storage.properties.connections, async () => {
      const { file, content } = newFile('index', 50)
      await storage.put(file, content)
    })
    for await (const _ of storage.list('index')) break
    for await (const { name } of storage.list('index')) await storage.delete({ kind: 'index', name })
    expectEqual((await listFiles(storage, 'index')).length, 0, 'number of files left')
  }),

  check('a deleted file is gone and its name free', async (storage) => {
    const { file, content } = newFile('snapshot', 100)
    for (const _ of [1, 2]) {
      await storage.put(file, content)
      await storage.delete(file)
      await expectError('HF_STORAGE_NOT_FOUND', 'reading a deleted file', () => storage.get(file))
      await expectError('HF_STORAGE_NOT_FOUND', 'stat of a deleted file', () => storage.stat(file))
      expectEqual((await listFiles(storage, 'snapshot')).length, 0, 'number of files after a delete')
    }
  }),

  check('cancelled calls do nothing', async (storage) => {
    const { file, content } = newFile('index', 100)
    await storage.put(file, content)
    const other = newFile('index', 100)
    const options = { signal: AbortSignal.abort() }
    const calls = {
      create: () => storage.create(options),
      put: () => storage.put(other.file, other.content, options),
      get: () => storage.get(file, undefined, options),
      stat: () => storage.stat(file, options),
      delete: () => storage.delete(file, options),
      list: () => listFiles(storage, 'index', options),
    }
    for (const [call, run] of Object.entries(calls)) await expectError('HF_INTERRUPTED', `a cancelled ${call}`, run)
    await expectContent(storage, file, content)
    await expectError('HF_STORAGE_NOT_FOUND', 'reading what a cancelled put wrote', () => storage.get(other.file))
  }),

  check('a put cancelled on its way has happened whole or not at all', async (storage) => {
    for (const delayMs of [0, 1, 4, 16]) {
      const { file, content } = newFile('data', 8 << 20)
      const outcome = await storage.put(file, content, { signal: AbortSignal.timeout(delayMs) }).then(
        () => 'stored' as const,
        (error: unknown) => expectCode(error, 'HF_INTERRUPTED', 'a put cancelled on its way'),
      )
      const listed = (await listFiles(storage, 'data')).filter(({ name }) => name === file.name)
      if (outcome === 'stored' || listed.length > 0) await expectContent(storage, file, content)
      await putAfterCancelled(storage, file, content)
      await storage.delete(file)
    }
  }),

  check('bytes belong to whoever holds them', async (storage) => {
    const { file, content } = newFile('key', 1000)
    const given = content.slice()
    await storage.put(file, given)
    given.fill(0)
    const result = await storage.get(file)
    expectBytes(result, content, 'a file whose source has been overwritten')
    result.fill(0)
    ;(await storage.get(file, { offset: 0, length: 500 })).fill(0)
    await expectContent(storage, file, content)
  }),

  check('content in shared memory is stored like any other', async (storage) => {
    const { file, content } = newFile('data', 100_000)
    const shared = new Uint8Array(new SharedArrayBuffer(content.length + 100)).subarray(50, 50 + content.length)
    shared.set(content)
    await storage.put(file, shared)
    await expectContent(storage, file, content)
  }),

  check('many calls at the same time do not disturb each other', async (storage) => {
    const files = Array.from({ length: 40 }, (_, number) => newFile(KINDS[number % KINDS.length]!, 5000 + number))
    await Promise.all(files.map(({ file, content }) => storage.put(file, content)))
    await Promise.all(files.map(({ file, content }) => expectContent(storage, file, content)))
    await Promise.all(files.filter((_, number) => number % 2 === 0).map(({ file }) => storage.delete(file)))
    let left = 0
    for (const kind of KINDS) left += (await listFiles(storage, kind)).length
    expectEqual(left, 20, 'number of files left of 40')
  }),
  ...concurrencyChecks,
  ...nameChecks,
  ...featureChecks,
]

export interface CheckResult {
  readonly name: string
  readonly durationMs: number
  /** Absent when the promise is kept. */
  readonly error?: unknown
}

/**
 * Runs all checks on a storage that must be empty, creates its layout and leaves it empty; yields each result as it comes.
 * HF_REPO_EXISTS when anything is in the storage.
 */
export async function* verifyStorage(storage: Storage, sizes: CheckSizes = FULL_SIZES): AsyncIterable<CheckResult> {
  await assertEmpty(storage)
  await storage.create()
  for (const { name, run } of storageChecks) {
    const start = monotonicMilliseconds()
    const failure = await run(storage, sizes).then(
      () => ({}),
      (error: unknown) => ({ error }),
    )
    yield { name, durationMs: monotonicMilliseconds() - start, ...failure }
  }
}

async function assertEmpty(storage: Storage): Promise<void> {
  const present: FileRef[] = []
  for (const kind of KINDS) for (const { name } of await listFiles(storage, kind)) present.push({ kind, name })
  const hasConfig = await storage.stat(config).then(
    () => true,
    (error: unknown) => {
      if (isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) return false
      throw error
    },
  )
  if (hasConfig) present.push(config)
  if (present.length === 0) return
  throw new HoldfastError('HF_REPO_EXISTS', `${storage.location} is not empty: it has ${describeFile(present[0]!)}`, {
    hint: 'Verify a storage at an empty location of its own, beside the repository.',
  })
}
