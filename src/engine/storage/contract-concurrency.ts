import {
  check,
  expectBytes,
  expectCode,
  expectContent,
  expectEqual,
  fail,
  newFile,
  putAfterCancelled,
  type StorageCheck,
} from './contract-support.ts'
import { listFiles } from './list-files.ts'

/** What happens when several calls meet, or one is given up in the middle. */
export const concurrencyChecks: readonly StorageCheck[] = [
  check('writers of one large file at the same time leave it whole', async (storage, { largeFileBytes }) => {
    const { file, content } = newFile('data', largeFileBytes)
    const outcomes = await Promise.allSettled(Array.from({ length: 4 }, () => storage.put(file, content)))
    for (const outcome of outcomes)
      if (outcome.status === 'rejected') expectCode(outcome.reason, 'HF_STORAGE_EXISTS', 'the put of a loser')
    // Under a layer that retries there may be several winners: who meets his own content has succeeded.
    if (outcomes.every(({ status }) => status === 'rejected')) fail('nobody won')
    await expectContent(storage, file, content)
    expectEqual((await listFiles(storage, 'data')).length, 1, 'number of files of several writers')
  }),

  check('parts of a large file can be read at the same time', async (storage, { largeFileBytes }) => {
    const { file, content } = newFile('data', largeFileBytes)
    await storage.put(file, content)
    const length = Math.ceil(largeFileBytes / 24)
    const offsets = Array.from({ length: 24 }, (_, number) => Math.min(number * length, largeFileBytes - length))
    const parts = await Promise.all(offsets.map((offset) => storage.get(file, { offset, length })))
    for (const [number, part] of parts.entries()) {
      const offset = offsets[number]!
      expectBytes(part, content.subarray(offset, offset + length), `${length} bytes at ${offset}`)
    }
  }),

  check('a listing has what is there all the time, whatever comes and goes', async (storage) => {
    const staying = Array.from({ length: 30 }, () => newFile('snapshot', 60))
    for (const { file, content } of staying) await storage.put(file, content)
    let isListing = true
    const churn = (async () => {
      while (isListing) {
        const { file, content } = newFile('snapshot', 70)
        await storage.put(file, content)
        await storage.delete(file)
        // A store in memory would never let anybody else have a turn.
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
    })()
    try {
      for (let round = 0; round < 3; round++) {
        const names = (await listFiles(storage, 'snapshot')).map(({ name }) => name)
        if (new Set(names).size !== names.length) fail('a file is listed twice')
        for (const { file } of staying) if (!names.includes(file.name)) fail('a listing lacks a file that is there')
      }
    } finally {
      isListing = false
      await churn
    }
  }),

  check('a name whose put was cancelled can be written', async (storage, { largeFileBytes }) => {
    for (const delayMs of [1, 5, 20]) {
      const { file, content } = newFile('data', largeFileBytes)
      await storage.put(file, content, { signal: AbortSignal.timeout(delayMs) }).catch((error: unknown) => {
        expectCode(error, 'HF_INTERRUPTED', 'a put cancelled on its way')
      })
      await putAfterCancelled(storage, file, content)
    }
    expectEqual((await listFiles(storage, 'data')).length, 3, 'number of files after cancelled puts')
  }),
]
