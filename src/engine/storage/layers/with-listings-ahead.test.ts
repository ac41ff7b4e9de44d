import { expect, test } from 'vitest'
import { HoldfastError } from '../../../lib/errors.ts'
import { newFile } from '../contract-support.ts'
import { listFiles } from '../list-files.ts'
import { openMemoryStorage } from '../memory/memory-storage.ts'
import { withFaults } from './with-faults.ts'
import { withListingsAhead } from './with-listings-ahead.ts'

const config = { kind: 'config' } as const

test('listings begin with the reading of config, in their order, and are used once', async () => {
  const store = withFaults(openMemoryStorage(), [])
  await store.put(config, new Uint8Array(1))
  const snapshot = newFile('snapshot', 10)
  await store.put(snapshot.file, snapshot.content)
  const storage = withListingsAhead(store, ['snapshot', 'index'])
  await storage.get(config)
  expect((await listFiles(storage, 'index')).length).toBe(0)
  const lists = () => store.calls.filter((call) => call.startsWith('list'))
  expect(lists()).toEqual(['list snapshot', 'list index'])
  expect((await listFiles(storage, 'snapshot')).map(({ name }) => name)).toEqual([snapshot.file.name])
  expect(lists()).toHaveLength(2)
  const later = newFile('snapshot', 20)
  await store.put(later.file, later.content)
  expect(await listFiles(storage, 'snapshot')).toHaveLength(2)
  await listFiles(storage, 'key')
  expect(lists()).toEqual(['list snapshot', 'list index', 'list snapshot', 'list key'])
})

test('a listing that failed ahead is made again', async () => {
  const error = new HoldfastError('HF_STORAGE_IO', 'the cable is loose')
  const store = withFaults(openMemoryStorage(), [{ operation: 'list', times: 1, effect: { type: 'fail', error } }])
  await store.put(config, new Uint8Array(1))
  const storage = withListingsAhead(store, ['snapshot', 'index'])
  await storage.get(config)
  expect(await listFiles(storage, 'index')).toEqual([])
  expect(await listFiles(storage, 'snapshot')).toEqual([])
})

test('without a look at config nothing is listed ahead', async () => {
  const store = withFaults(openMemoryStorage(), [])
  const storage = withListingsAhead(store, ['snapshot'])
  await listFiles(storage, 'snapshot')
  expect(store.calls).toEqual(['list snapshot'])
})

test('that there was no lock is believed, a lock is looked for again', async () => {
  for (const isLocked of [false, true]) {
    const store = withFaults(openMemoryStorage(), [])
    await store.put(config, new Uint8Array(1))
    const lock = newFile('lock', 10)
    if (isLocked) await store.put(lock.file, lock.content)
    const storage = withListingsAhead(store, ['lock'])
    await storage.get(config)
    if (isLocked) await store.delete(lock.file)
    expect(await listFiles(storage, 'lock')).toEqual([])
    expect(store.calls.filter((call) => call === 'list lock')).toHaveLength(isLocked ? 2 : 1)
    await store.put(lock.file, lock.content)
    expect(await listFiles(storage, 'lock')).toHaveLength(1)
  }
})
