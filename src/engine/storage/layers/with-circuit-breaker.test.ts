import { describe, expect, test } from 'vitest'
import { HoldfastError } from '../../../lib/errors.ts'
import { newFile } from '../contract-support.ts'
import { listFiles } from '../list-files.ts'
import { openMemoryStorage } from '../memory/memory-storage.ts'
import type { Storage } from '../storage.ts'
import { errorFrom, steppedClock } from '../testing.ts'
import { withCircuitBreaker } from './with-circuit-breaker.ts'
import { withRetry } from './with-retry.ts'

const { file, content } = newFile('index', 100)

/** A store that can be switched off, and counts what it is asked. */
function switchable(): Storage & { isOff: boolean; asked: number; error: HoldfastError } {
  const inner = openMemoryStorage('far away')
  const ask = (): void => {
    storage.asked += 1
    if (storage.isOff) throw storage.error
  }
  const storage = {
    ...inner,
    location: inner.location,
    properties: inner.properties,
    features: {
      freeBytes: async () => {
        ask()
        return 1
      },
    },
    isOff: false,
    asked: 0,
    error: new HoldfastError('HF_STORAGE_UNREACHABLE', 'the line is cut'),
    create: () => inner.create(),
    put: async (...args: Parameters<Storage['put']>) => {
      ask()
      await inner.put(...args)
    },
    get: async (...args: Parameters<Storage['get']>) => {
      ask()
      return inner.get(...args)
    },
    stat: (...args: Parameters<Storage['stat']>) => inner.stat(...args),
    list: async function* (...args: Parameters<Storage['list']>) {
      ask()
      yield* inner.list(...args)
    },
    delete: (...args: Parameters<Storage['delete']>) => inner.delete(...args),
    close: () => inner.close(),
  }
  return storage
}

describe('circuit breaker', () => {
  test('a store that keeps failing is left alone for a while, then tried by one call', async () => {
    const clock = steppedClock()
    const inner = switchable()
    const storage = withCircuitBreaker(inner, { clock, failures: 3, restMs: 60_000 })
    await storage.put(file, content)
    inner.isOff = true
    for (let number = 0; number < 3; number++)
      expect((await errorFrom(() => storage.get(file))).message).toBe('the line is cut')
    inner.asked = 0
    for (const call of [
      () => storage.get(file),
      () => listFiles(storage, 'index'),
      () => storage.features.freeBytes!(),
    ]) {
      const error = await errorFrom(call)
      expect(error).toMatchObject({ code: 'HF_STORAGE_UNREACHABLE', retry: 'later' })
      expect(error.message).toContain('the line is cut')
    }
    expect(inner.asked).toBe(0)
    await clock.sleep(60_000)
    const together = await Promise.allSettled([storage.get(file), storage.get(file), storage.get(file)])
    expect(together.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
    expect(inner.asked).toBe(1)
    inner.isOff = false
    await errorFrom(() => storage.get(file))
    await clock.sleep(60_000)
    expect(await storage.get(file)).toEqual(content)
    expect(await listFiles(storage, 'index')).toHaveLength(1)
  })

  test('answers that do not please are answers', async () => {
    const inner = switchable()
    const storage = withCircuitBreaker(inner, { failures: 2 })
    inner.isOff = true
    inner.error = new HoldfastError('HF_STORAGE_DENIED', 'no')
    for (let number = 0; number < 5; number++) await errorFrom(() => storage.get(file))
    inner.error = new HoldfastError('HF_STORAGE_UNREACHABLE', 'the line is cut')
    await errorFrom(() => storage.get(file))
    inner.isOff = false
    expect((await errorFrom(() => storage.get(file))).code).toBe('HF_STORAGE_NOT_FOUND')
    inner.isOff = true
    await errorFrom(() => storage.get(file))
    inner.isOff = false
    await storage.put(file, content)
    expect(await storage.get(file)).toEqual(content)
  })

  test('an outage of 30 seconds, which retries live through, goes unnoticed', async () => {
    const clock = steppedClock()
    const inner = switchable()
    const start = clock.now()
    const storage = withCircuitBreaker(withRetry(inner, { clock }), { clock })
    await storage.put(file, content)
    inner.isOff = true
    Object.defineProperty(inner, 'isOff', { get: () => clock.now() - start < 30_000_000_000n })
    for (let number = 0; number < 20; number++) expect(await storage.get(file)).toEqual(content)
    expect(clock.now() - start).toBeGreaterThan(30_000_000_000n)
  })
})

describe('retries', () => {
  test('a store that asks for fewer calls waits for longer, and as long as it says', async () => {
    const clock = steppedClock()
    const inner = switchable()
    const storage = withRetry(inner, { clock, maxElapsedMs: 60_000 })
    inner.isOff = true
    inner.error = new HoldfastError('HF_STORAGE_THROTTLED', 'slow down')
    await errorFrom(() => storage.get(file))
    expect(clock.sleeps[0]).toBeGreaterThanOrEqual(2500)
    clock.sleeps.length = 0
    inner.error = new HoldfastError('HF_STORAGE_THROTTLED', 'slow down', { context: { retryAfterMs: 20_000 } })
    await errorFrom(() => storage.get(file))
    expect(clock.sleeps[0]).toBeGreaterThanOrEqual(20_000)
    clock.sleeps.length = 0
    inner.error = new HoldfastError('HF_STORAGE_THROTTLED', 'slow down', { context: { retryAfterMs: 1e12 } })
    await errorFrom(() => storage.get(file))
    expect(clock.sleeps[0]).toBeLessThanOrEqual(5 * 60_000)
  })

  test('features are repeated, too', async () => {
    const clock = steppedClock()
    let calls = 0
    const broken = new HoldfastError('HF_STORAGE_IO', 'hiccup')
    const flaky = async (): Promise<void> => {
      calls += 1
      if (calls % 2 === 1) throw broken
    }
    const inner: Storage = {
      ...switchable(),
      features: {
        freeBytes: async () => {
          await flaky()
          return 5
        },
        retention: {
          written: undefined,
          get: async () => {
            await flaky()
            return undefined
          },
          extend: flaky,
          setLegalHold: flaky,
        },
        versions: {
          listDeleted: async function* () {
            await flaky()
            yield { name: 'x', sizeBytes: 1, deletedMs: 2 }
          },
          undelete: flaky,
        },
      },
    }
    const { features } = withRetry(inner, { clock })
    expect(await features.freeBytes!()).toBe(5)
    await features.retention!.extend(file, 1)
    await features.retention!.setLegalHold(file, true)
    expect(await features.retention!.get(file)).toBeUndefined()
    await features.versions!.undelete(file)
    const deleted = []
    for await (const one of features.versions!.listDeleted('data')) deleted.push(one.name)
    expect(deleted).toEqual(['x'])
    expect(calls).toBe(12)
    expect(features.classes).toBeUndefined()
  })
})
