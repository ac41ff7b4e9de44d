import { describe, expect, test } from 'vitest'
import { utf8 } from '../../../lib/bytes.ts'
import { namedFile } from '../contract-support.ts'
import { listFiles } from '../list-files.ts'
import { openMemoryStorage } from '../memory/memory-storage.ts'
import type { FileRef, Storage } from '../storage.ts'
import { errorFrom, steppedClock } from '../testing.ts'
import { withBandwidthLimit } from './with-bandwidth-limit.ts'
import { withConnectionLimit } from './with-connection-limit.ts'
import { withFaults } from './with-faults.ts'

/** A storage whose reads wait until they are let go; `running` has them in the order they arrived. */
function gated(): { storage: Storage; running: { file: FileRef; finish: () => void }[] } {
  const memory = openMemoryStorage()
  const running: { file: FileRef; finish: () => void }[] = []
  const storage: Storage = {
    location: memory.location,
    properties: memory.properties,
    features: memory.features,
    create: (options) => memory.create(options),
    put: (file, content, options) => memory.put(file, content, options),
    get: (file) => new Promise((resolve) => running.push({ file, finish: () => resolve(new Uint8Array()) })),
    stat: (file, options) => memory.stat(file, options),
    list: (kind, options) => memory.list(kind, options),
    delete: (file, options) => memory.delete(file, options),
    close: () => memory.close(),
  }
  return { storage, running }
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const pack = (number: number): FileRef => namedFile('data', utf8(`${number}`))

describe('connection limit', () => {
  test('lets the others wait and serves them in the order they came', async () => {
    const { storage, running } = gated()
    const limited = withConnectionLimit(storage, 2)
    const calls = [0, 1, 2, 3, 4].map((number) => limited.get(pack(number)))
    await settle()
    expect(running.map(({ file }) => file)).toEqual([pack(0), pack(1)])
    for (const [done, next] of [
      [1, 2],
      [0, 3],
      [2, 4],
    ] as const) {
      running.find(({ file }) => file === running[done]?.file)?.finish()
      await settle()
      expect(running.at(-1)?.file).toEqual(pack(next))
    }
    for (const { finish } of running) finish()
    await Promise.all(calls)
    expect(limited.properties.connections).toBe(2)
  })

  test('lock files do not wait', async () => {
    const { storage, running } = gated()
    const limited = withConnectionLimit(storage, 1)
    const blocked = limited.get(pack(0))
    const lock = namedFile('lock', utf8('lock'))
    await limited.put(lock, utf8('lock'))
    await limited.stat(lock)
    expect(await listFiles(limited, 'lock')).toHaveLength(1)
    await limited.delete(lock)
    running[0]?.finish()
    await blocked
  })

  test('whoever gives up waiting does not hold up the queue', async () => {
    const { storage, running } = gated()
    const limited = withConnectionLimit(storage, 1)
    const cancel = new AbortController()
    const first = limited.get(pack(0))
    const second = errorFrom(() => limited.get(pack(1), undefined, { signal: cancel.signal }))
    const third = limited.get(pack(2))
    cancel.abort()
    expect((await second).code).toBe('HF_INTERRUPTED')
    running[0]?.finish()
    await settle()
    expect(running.map(({ file }) => file)).toEqual([pack(0), pack(2)])
    running[1]?.finish()
    await Promise.all([first, third])
  })

  test('a call that fails gives its place back', async () => {
    const limited = withConnectionLimit(openMemoryStorage(), 1)
    for (let number = 0; number < 3; number += 1) await errorFrom(() => limited.get(pack(number)))
    expect(await listFiles(limited, 'data')).toEqual([])
  })

  test('calls may be made while a listing is read', async () => {
    const limited = withConnectionLimit(openMemoryStorage(), 1)
    for (let number = 0; number < 3; number += 1) await limited.put(pack(number), utf8(`${number}`))
    let read = 0
    for await (const { name } of limited.list('data')) read += (await limited.get({ kind: 'data', name })).length
    expect(read).toBe(3)
  })
})

describe('bandwidth limit', () => {
  const content = (size: number): [FileRef, Uint8Array] => {
    const bytes = new Uint8Array(size)
    return [namedFile('data', bytes), bytes]
  }
  const seconds = (clock: { now(): bigint }, start: bigint): number => Number(clock.now() - start) / 1e9

  test('uploads cross at the given mean rate after one second in advance', async () => {
    const clock = steppedClock()
    const start = clock.now()
    const limited = withBandwidthLimit(openMemoryStorage(), { uploadBytesPerSecond: 1000, clock })
    for (let number = 1; number <= 20; number += 1) await limited.put(...content(500 + number))
    expect(seconds(clock, start)).toBeCloseTo((20 * 500 + 210 - 1000) / 1000, 1)
  })

  test('downloads are counted by what was read, in whole files and ranges', async () => {
    const clock = steppedClock()
    const limited = withBandwidthLimit(openMemoryStorage(), { downloadBytesPerSecond: 1000, clock })
    const [file, bytes] = content(3000)
    await limited.put(file, bytes)
    const start = clock.now()
    expect(await limited.get(file)).toEqual(bytes)
    expect(seconds(clock, start)).toBeCloseTo(2, 1)
    await limited.get(file, { offset: 0, length: 1500 })
    expect(seconds(clock, start)).toBeCloseTo(3.5, 1)
  })

  test('calls at the same time share the rate', async () => {
    const clock = { ...steppedClock(), now: () => 0n }
    const limited = withBandwidthLimit(openMemoryStorage(), { uploadBytesPerSecond: 1000, clock })
    await Promise.all([1000, 1001, 1002].map((size) => limited.put(...content(size))))
    expect(clock.sleeps.map((delay) => Math.round(delay / 100) / 10)).toEqual([1, 2])
  })

  test('unused time is kept for one second only', async () => {
    const clock = steppedClock()
    const limited = withBandwidthLimit(openMemoryStorage(), { uploadBytesPerSecond: 1000, clock })
    await clock.sleep(3_600_000)
    const start = clock.now()
    await limited.put(...content(5000))
    expect(seconds(clock, start)).toBeCloseTo(4, 1)
  })

  test('lock files cross at once, and the other direction too', async () => {
    const clock = steppedClock()
    const limited = withBandwidthLimit(openMemoryStorage(), { uploadBytesPerSecond: 1, clock })
    const lock = namedFile('lock', utf8('a lock of some bytes'))
    await limited.put(lock, utf8('a lock of some bytes'))
    await limited.get(lock)
    expect(clock.sleeps).toEqual([])
  })

  test('a wait can be cancelled and is then not paid for', async () => {
    const limited = withBandwidthLimit(openMemoryStorage(), { uploadBytesPerSecond: 100_000 })
    const signal = AbortSignal.timeout(5)
    const [file, bytes] = content(50_000_000)
    expect((await errorFrom(() => limited.put(file, bytes, { signal }))).code).toBe('HF_INTERRUPTED')
    await limited.put(...content(1000))
  })
})

test('layers that must see every call hide the directory', () => {
  const memory = openMemoryStorage()
  const directory = { path: '/srv/repository', fileMode: 0o600, directoryMode: 0o700 }
  const local = { ...memory, properties: { ...memory.properties, directory } }
  for (const storage of [withConnectionLimit(local, 2), withBandwidthLimit(local, {}), withFaults(local, [])]) {
    expect(storage.properties.directory).toBeUndefined()
    expect(storage.properties.createOnly).toBe(true)
  }
})
