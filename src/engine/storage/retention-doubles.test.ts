import { describe, expect, test } from 'vitest'
import { startAzureDouble } from '../../../test/support/doubles/azure-double.ts'
import { startGcsDouble } from '../../../test/support/doubles/gcs-double.ts'
import { newFile } from './contract-support.ts'
import type { Retention } from './features.ts'
import { openStorage } from './locations.ts'
import { errorFrom } from './testing.ts'

/**
 * Retention and versions on doubles written from the documentation of the services: no server that can be had here keeps either (azurite,
 * fake-gcs-server). These tests show what we ask for and how we take the answers, not what the services do.
 */
const DAY_MS = 86_400_000

const doubles = {
  Azure: async () => {
    const double = await startAzureDouble()
    const connection = `AccountName=double;AccountKey=eA==;BlobEndpoint=${double.url}/double`
    return { double, location: 'azure:locked:/', environment: { AZURE_STORAGE_CONNECTION_STRING: connection } }
  },
  Google: async () => {
    const double = await startGcsDouble()
    return { double, location: 'gs:locked:/', environment: { STORAGE_EMULATOR_HOST: double.url } }
  },
}

describe.each(Object.entries(doubles))('a double of %s', (_, start) => {
  test.each(['governance', 'compliance'] as const)(
    'files are written with %s retention, locks without',
    async (mode) => {
      const { double, location, environment } = await start()
      await using _ = double
      const storage = await openStorage(location, { environment, settings: { lock: { mode, forMs: 35 * DAY_MS } } })
      const { retention } = storage.features
      const pack = newFile('data', 100)
      const lock = newFile('lock', 100)
      const before = Date.now()
      await storage.put(pack.file, pack.content)
      await storage.put(lock.file, lock.content)
      const found = (await retention!.get(pack.file)) as Retention
      expect(found).toMatchObject({ mode, isHeld: false })
      expect(Math.abs(found.untilMs - before - 35 * DAY_MS)).toBeLessThan(60_000)
      expect((await retention!.get(lock.file))?.untilMs ?? 0).toBe(0)
      await storage.delete(lock.file)
      expect(double.store.versions).toHaveLength(1)

      expect((await errorFrom(() => storage.delete(pack.file))).code).toBe('HF_STORAGE_RETAINED')
      expect(double.store.versions.map(({ content }) => content)).toEqual([Buffer.from(pack.content)])

      await retention!.extend(pack.file, before + 90 * DAY_MS).catch(() => undefined)
      await storage.close()
    },
  )

  test('retention is extended and never shortened; a legal hold is put on and taken off', async () => {
    const { double, location, environment } = await start()
    await using _ = double
    const storage = await openStorage(location, {
      environment,
      settings: { lock: { mode: 'compliance', forMs: DAY_MS } },
    })
    const { retention } = storage.features
    const { file, content } = newFile('snapshot', 100)
    await storage.put(file, content)
    const later = Math.floor(Date.now() / 1000) * 1000 + 90 * DAY_MS
    await retention!.extend(file, later)
    expect(await retention!.get(file)).toEqual({ mode: 'compliance', untilMs: later, isHeld: false })
    await retention!.extend(file, later - 30 * DAY_MS)
    expect((await retention!.get(file))!.untilMs).toBe(later)
    await retention!.setLegalHold(file, true)
    expect((await retention!.get(file))!.isHeld).toBe(true)
    await retention!.setLegalHold(file, false)
    expect((await retention!.get(file))!.isHeld).toBe(false)
    await storage.close()
  })

  test('a plain delete hides a file, and undelete takes it back; delete removes all versions', async () => {
    const { double, location, environment } = await start()
    await using _ = double
    const storage = await openStorage(location, { environment })
    const { versions, classes } = storage.features
    const { file, content } = newFile('index', 100)
    await storage.put(file, content)
    for (const name of double.store.list('').map(({ name }) => name)) double.store.hide(name)
    expect((await errorFrom(() => storage.get(file))).code).toBe('HF_STORAGE_NOT_FOUND')
    const deleted: string[] = []
    for await (const { name } of versions!.listDeleted('index')) deleted.push(name)
    expect(deleted).toEqual([file.name])
    const hidden: boolean[] = []
    for await (const { isHidden } of classes!.list()) hidden.push(isHidden)
    expect(hidden).toEqual([true])

    await versions!.undelete(file)
    expect(Buffer.from(await storage.get(file))).toEqual(Buffer.from(content))
    expect((await errorFrom(() => versions!.undelete(file))).code).toBe('HF_STORAGE_NOT_FOUND')
    await storage.delete(file)
    expect(double.store.versions).toEqual([])
    await storage.close()
  })
})
