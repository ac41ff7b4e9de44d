import { expect, test } from 'vitest'
import { utf8 } from '../../../lib/bytes.ts'
import { namedFile } from '../contract-support.ts'
import { listFiles } from '../list-files.ts'
import { openMemoryStorage } from '../memory/memory-storage.ts'
import type { Storage } from '../storage.ts'
import { errorFrom } from '../testing.ts'
import { withDryRun } from './with-dry-run.ts'
import { withFaults } from './with-faults.ts'

const config = { kind: 'config' } as const
const content = utf8('snapshot')
const snapshot = namedFile('snapshot', content)

test('nothing is written to the store or deleted from it, and yet seen', async () => {
  const store = withFaults(openMemoryStorage(), [])
  await store.put(config, utf8('config'))
  await store.put(snapshot, content)
  const before = store.calls.length
  const dry = withDryRun(store)

  await dry.create()
  const index = namedFile('index', utf8('index'))
  await dry.put(index, utf8('index'))
  await dry.put(config, utf8('new config'), { replace: true })
  await dry.delete(snapshot)

  expect(await dry.get(index)).toEqual(utf8('index'))
  expect(await dry.get(config)).toEqual(utf8('new config'))
  expect(await listFiles(dry, 'index')).toEqual([{ name: index.name, sizeBytes: 5 }])
  expect(await listFiles(dry, 'snapshot')).toEqual([])
  expect((await errorFrom(() => dry.get(snapshot))).message).toContain('removed in this dry run')

  const reached = store.calls.slice(before).map((call) => call.split(' ')[0])
  expect(reached.filter((call) => call === 'put' || call === 'delete' || call === 'create')).toEqual([])
  expect(await store.get(config)).toEqual(utf8('config'))
  expect(await store.get(snapshot)).toEqual(content)
})

test('a name taken in the store or in the dry run is refused', async () => {
  const store = openMemoryStorage()
  await store.put(snapshot, content)
  const dry = withDryRun(store)
  expect((await errorFrom(() => dry.put(snapshot, content))).code).toBe('HF_STORAGE_EXISTS')
  await dry.delete(snapshot)
  await dry.put(snapshot, content)
  expect((await errorFrom(() => dry.put(snapshot, content))).code).toBe('HF_STORAGE_EXISTS')
})

test('packs beyond the given memory are known but not kept', async () => {
  const dry = withDryRun(openMemoryStorage(), { packMemoryBytes: 1500 })
  const packs = [1, 2].map((fill) => new Uint8Array(1000).fill(fill))
  const files = packs.map((bytes) => namedFile('data', bytes))
  for (const [index, bytes] of packs.entries()) await dry.put(files[index]!, bytes)
  expect(await dry.get(files[0]!)).toEqual(packs[0])
  expect(await dry.stat(files[1]!)).toEqual({ sizeBytes: 1000 })
  expect(await listFiles(dry, 'data')).toHaveLength(2)
  const error = await errorFrom(() => dry.get(files[1]!))
  expect(error.code).toBe('HF_STORAGE_NOT_FOUND')
  expect(error.message).toContain('dry run')
})

test('features may look, and change nothing', async () => {
  const done: string[] = []
  const did = (what: string) => async (): Promise<void> => {
    done.push(what)
  }
  const retention = { mode: 'governance', untilMs: 1, isHeld: false } as const
  const inner: Storage = {
    ...openMemoryStorage(),
    features: {
      freeBytes: async () => 7,
      retention: { written: undefined, get: async () => retention, extend: did('extend'), setLegalHold: did('hold') },
      versions: {
        listDeleted: async function* () {
          yield { name: 'x', sizeBytes: 1, deletedMs: 1 }
        },
        undelete: did('undelete'),
      },
    },
  }
  const { features } = withDryRun(inner)
  const file = { kind: 'config' } as const
  expect(await features.freeBytes!()).toBe(7)
  expect(await features.retention!.get(file)).toEqual(retention)
  await features.retention!.extend(file, 2)
  await features.retention!.setLegalHold(file, true)
  await features.versions!.undelete(file)
  expect(done).toEqual([])
})
