import { describe, expect, test } from 'vitest'
import { utf8 } from '../../../lib/bytes.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import { namedFile } from '../contract-support.ts'
import { listFiles } from '../list-files.ts'
import { openMemoryStorage } from '../memory/memory-storage.ts'
import { errorFrom, steppedClock } from '../testing.ts'
import { type Effect, withFaults } from './with-faults.ts'

const content = utf8('some content')
const file = namedFile('data', content)
const error = new HoldfastError('HF_STORAGE_IO', 'planned')

async function faulty(operation: 'put' | 'get', effect: Effect): Promise<Uint8Array> {
  const storage = withFaults(openMemoryStorage(), [{ operation, effect }])
  await storage.put(file, content)
  return storage.get(file)
}

describe('faults', () => {
  test('hit the calls of their operation, kind, number and count', async () => {
    const storage = withFaults(openMemoryStorage(), [
      { operation: 'get', kind: 'data', call: 2, times: 2, effect: { type: 'fail', error } },
    ])
    const index = namedFile('index', content)
    await storage.put(file, content)
    await storage.put(index, content)
    const outcomes: string[] = []
    for (const asked of [file, index, file, index, file, file]) {
      outcomes.push(
        await storage.get(asked).then(
          () => 'ok',
          () => 'failed',
        ),
      )
    }
    expect(outcomes).toEqual(['ok', 'ok', 'failed', 'ok', 'failed', 'ok'])
    expect(storage.calls).toHaveLength(8)
    expect(storage.calls.slice(0, 3)).toEqual([
      `put data/${file.name.slice(0, 8)}`,
      `put index/${file.name.slice(0, 8)}`,
      `get data/${file.name.slice(0, 8)}`,
    ])
  })

  test('fail does nothing, fail-after does the work', async () => {
    for (const [type, stored] of [
      ['fail', 0],
      ['fail-after', 1],
    ] as const) {
      const storage = withFaults(openMemoryStorage(), [{ operation: 'put', effect: { type, error } }])
      expect(await errorFrom(() => storage.put(file, content))).toBe(error)
      expect(await listFiles(storage, 'data')).toHaveLength(stored)
    }
  })

  test.each(['put', 'get'] as const)(
    'cut and flip spoil what %s carries, and nobody else’s bytes',
    async (operation) => {
      expect(await faulty(operation, { type: 'cut', bytes: 4 })).toEqual(utf8('some'))
      const flipped = await faulty(operation, { type: 'flip', bit: 8 * content.length + 9 })
      expect(flipped).toEqual(content.with(1, content[1]! ^ 2))
      expect(content).toEqual(utf8('some content'))
    },
  )

  test('full lets so many bytes through and then no more', async () => {
    const storage = withFaults(openMemoryStorage(), [{ operation: 'put', effect: { type: 'full', capacityBytes: 25 } }])
    const put = (text: string): Promise<void> => storage.put(namedFile('data', utf8(text)), utf8(text))
    await put('ten bytes.')
    await put('TEN BYTES.')
    expect((await errorFrom(() => put('six..!'))).code).toBe('HF_STORAGE_FULL')
    await put('five.')
    expect(await listFiles(storage, 'data')).toHaveLength(3)
  })

  test('delay waits on the given clock; a listing fails in its middle', async () => {
    const clock = steppedClock()
    const storage = withFaults(
      openMemoryStorage(),
      [
        { operation: 'put', effect: { type: 'delay', milliseconds: 700 } },
        { operation: 'list', effect: { type: 'fail-after', error } },
      ],
      clock,
    )
    await storage.put(file, content)
    await storage.put(namedFile('data', utf8('b')), utf8('b'))
    expect(clock.sleeps).toEqual([700, 700])
    const seen: string[] = []
    const failure = await errorFrom(async () => {
      for await (const { name } of storage.list('data')) seen.push(name)
    })
    expect(failure).toBe(error)
    expect(seen).toHaveLength(1)
  })
})
