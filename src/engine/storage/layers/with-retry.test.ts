import { describe, expect, test } from 'vitest'
import { utf8 } from '../../../lib/bytes.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import { namedFile } from '../contract-support.ts'
import { listFiles } from '../list-files.ts'
import { openMemoryStorage } from '../memory/memory-storage.ts'
import { errorFrom, steppedClock } from '../testing.ts'
import { type Fault, withFaults } from './with-faults.ts'
import { type RetryEvent, withRetry } from './with-retry.ts'

const content = utf8('content')
const file = namedFile('index', content)
const hiccup = new HoldfastError('HF_STORAGE_IO', 'the network hiccups')
const denied = new HoldfastError('HF_STORAGE_DENIED', 'no')

function setUp(faults: readonly Fault[], options: { maxElapsedMs?: number } = {}) {
  const clock = steppedClock()
  const events: RetryEvent[] = []
  const below = withFaults(openMemoryStorage(), faults)
  const storage = withRetry(below, { clock, onRetry: (event) => events.push(event), ...options })
  return { storage, below, clock, events }
}

const failing = (operation: Fault['operation'], times: number, error = hiccup): Fault => ({
  operation,
  times,
  effect: { type: 'fail', error },
})

describe('retry', () => {
  test('waits about 1, 2, 4, 8 seconds and reports each wait', async () => {
    const { storage, clock, events } = setUp([failing('put', 4)])
    await storage.put(file, content)
    expect(clock.sleeps).toHaveLength(4)
    for (const [index, planned] of [1000, 2000, 4000, 8000].entries()) {
      expect(clock.sleeps[index]).toBeGreaterThanOrEqual(planned / 2)
      expect(clock.sleeps[index]).toBeLessThanOrEqual(planned * 1.5)
    }
    expect(events.map(({ failures }) => failures)).toEqual([1, 2, 3, 4])
    expect(events[0]).toMatchObject({
      call: `put index/${file.name.slice(0, 8)}`,
      error: hiccup,
      delayMs: clock.sleeps[0],
    })
  })

  test('gives up after 15 minutes with the last error, and no wait is longer than a minute and a half', async () => {
    const { storage, clock } = setUp([failing('stat', Number.POSITIVE_INFINITY)])
    expect(await errorFrom(() => storage.stat(file))).toBe(hiccup)
    const total = clock.sleeps.reduce((sum, delay) => sum + delay, 0)
    expect(total).toBeLessThanOrEqual(15 * 60_000)
    expect(total).toBeGreaterThan(13 * 60_000)
    expect(Math.max(...clock.sleeps)).toBeLessThanOrEqual(90_000)
  })

  test('a store that has never answered is given up within 20 seconds, whatever is asked of it at the same time', async () => {
    const away = new HoldfastError('HF_STORAGE_UNREACHABLE', 'nothing listens there')
    for (const operation of ['get', 'list'] as const) {
      const { storage, clock, events } = setUp([failing(operation, Number.POSITIVE_INFINITY, away)])
      const ask = () => (operation === 'get' ? storage.get(file) : listFiles(storage, 'index'))
      expect(await errorFrom(ask as () => Promise<unknown>)).toBe(away)
      expect(events.length).toBeGreaterThan(1)
      expect(clock.sleeps.reduce((sum, delay) => sum + delay, 0)).toBeLessThanOrEqual(20_000)
    }
  })

  test.each([
    ['a success', undefined],
    ['a refusal', denied],
    ['a hiccup', hiccup],
  ])('a store that has answered once, with %s, is waited for however long it is away', async (_, answer) => {
    const away = new HoldfastError('HF_STORAGE_UNREACHABLE', 'nothing listens there')
    const { storage, clock } = setUp([
      ...(answer === undefined ? [] : [failing('put', 1, answer)]),
      failing('get', Number.POSITIVE_INFINITY, away),
    ])
    await storage.put(file, content).catch(() => undefined)
    expect(await errorFrom(() => storage.get(file))).toBe(away)
    expect(clock.sleeps.reduce((sum, delay) => sum + delay, 0)).toBeGreaterThan(13 * 60_000)
  })

  test('makes a second attempt however long the first one took', async () => {
    const { storage, below } = setUp([failing('stat', Number.POSITIVE_INFINITY)], { maxElapsedMs: 0 })
    await errorFrom(() => storage.stat(file))
    expect(below.calls).toHaveLength(2)
  })

  test('does not repeat what a retry cannot heal', async () => {
    const { storage, below } = setUp([failing('put', 9, denied)])
    expect(await errorFrom(() => storage.put(file, content))).toBe(denied)
    await errorFrom(() => storage.get(file))
    expect(below.calls).toHaveLength(2)
  })

  test('stops waiting when the call is cancelled', async () => {
    const below = withFaults(openMemoryStorage(), [failing('get', 9)])
    const cancel = new AbortController()
    const storage = withRetry(below, { onRetry: () => setTimeout(() => cancel.abort(), 5) })
    expect((await errorFrom(() => storage.get(file, undefined, { signal: cancel.signal }))).code).toBe('HF_INTERRUPTED')
    expect(below.calls).toHaveLength(1)
  })

  test('a put whose answer was lost has succeeded', async () => {
    const { storage, below } = setUp([{ operation: 'put', times: 1, effect: { type: 'fail-after', error: hiccup } }])
    await storage.put(file, content)
    expect(below.calls.filter((call) => call.startsWith('put'))).toHaveLength(2)
  })

  test('a name taken by another content is still refused after a lost answer', async () => {
    const { storage, below } = setUp([{ ...failing('put', 1), call: 2 }])
    const config = { kind: 'config' } as const
    await below.put(config, utf8('theirs'))
    expect((await errorFrom(() => storage.put(config, utf8('ours')))).code).toBe('HF_STORAGE_EXISTS')
    expect(await storage.get(config)).toEqual(utf8('theirs'))
  })

  test('a first put that meets the same content is refused all the same', async () => {
    const { storage } = setUp([])
    await storage.put(file, content)
    expect((await errorFrom(() => storage.put(file, content))).code).toBe('HF_STORAGE_EXISTS')
  })

  test('a delete whose answer was lost has succeeded; deleting an absent file has not', async () => {
    const { storage } = setUp([
      { operation: 'delete', call: 2, times: 1, effect: { type: 'fail-after', error: hiccup } },
    ])
    expect((await errorFrom(() => storage.delete(file))).code).toBe('HF_STORAGE_NOT_FOUND')
    await storage.put(file, content)
    await storage.delete(file)
    expect((await errorFrom(() => storage.stat(file))).code).toBe('HF_STORAGE_NOT_FOUND')
  })

  test('a listing that breaks off goes on without repeating a file', async () => {
    const { storage, below } = setUp([{ operation: 'list', times: 3, effect: { type: 'fail-after', error: hiccup } }])
    const names = []
    for (let number = 0; number < 10; number += 1) {
      const { name } = namedFile('data', utf8(`${number}`))
      names.push(name)
      await storage.put({ kind: 'data', name }, utf8(`${number}`))
    }
    const listed = await listFiles(storage, 'data')
    expect(listed.map(({ name }) => name).sort()).toEqual(names.sort())
    expect(below.calls.filter((call) => call === 'list data')).toHaveLength(4)
  })

  test('keeps the directory in which threads work by themselves', () => {
    const directory = { path: '/srv/repository', fileMode: 0o600, directoryMode: 0o700 }
    const below = openMemoryStorage()
    const local = { ...below, properties: { ...below.properties, directory } }
    expect(withRetry(local).properties.directory).toEqual(directory)
    expect(withFaults(local, []).properties.directory).toBeUndefined()
  })
})
