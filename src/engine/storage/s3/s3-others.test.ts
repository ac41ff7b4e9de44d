import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { startCeph } from '../../../../test/support/servers/ceph.ts'
import { startMoto } from '../../../../test/support/servers/moto.ts'
import type { S3Server } from '../../../../test/support/servers/s3-server.ts'
import { type CheckSizes, storageChecks } from '../contract.ts'
import { newFile } from '../contract-support.ts'
import type { Storage } from '../storage.ts'
import { type OpenOptions, openS3 } from './testing.ts'

/** Files above 1 MiB go up in parts. */
const inParts: OpenOptions = { wholeBytes: 1 << 20, partBytes: 5 << 20 }
const DAY_MS = 24 * 60 * 60 * 1000

/** What moto does not keep: it closes the buffer of an object that is replaced while another request reads it, and answers that one with 500. */
const REPLACING = 'config is replaced when that is asked for, and is never missing where that is promised'

interface Other {
  readonly name: string
  readonly isMissing: boolean
  readonly start: () => Promise<Pick<S3Server, 'url' | 'environment' | 'stop'>>
  readonly sizes: CheckSizes
  readonly notKept: readonly string[]
}

/** Stores that others wrote, as second opinions; where one takes long, it is asked for less. */
const servers: readonly Other[] = [
  {
    name: 'Ceph',
    isMissing: lacks('ceph'),
    start: startCeph,
    sizes: { listedFiles: 1100, largeFileBytes: 12 << 20 },
    notKept: [],
  },
  {
    name: 'moto',
    isMissing: lacks('moto'),
    start: startMoto,
    sizes: { listedFiles: 30, largeFileBytes: 6 << 20 },
    notKept: [REPLACING],
  },
]

for (const { name, isMissing, start, sizes, notKept } of servers)
  describe.skipIf(isMissing)(`${name}`, () => {
    let server: Pick<S3Server, 'url' | 'environment' | 'stop'>
    let storage: Storage
    beforeAll(async () => {
      server = await start()
      storage = openS3(`${server.url}/bucket/prefix`, { environment: server.environment, ...inParts })
      await storage.create()
    })
    afterAll(async () => {
      await storage?.close()
      await server?.stop()
    })

    const checks = storageChecks.filter((check) => !notKept.includes(check.name))
    test.each(checks)('keeps the contract: $name', ({ run }) => run(storage, sizes), 60_000)
    test.each(notKept)('is not asked for what it does not keep: %s', (left) => {
      expect(storageChecks.map((check) => check.name)).toContain(left)
    })

    test('retains what is to be retained, in one piece or in parts, and says until when', async () => {
      const lock = { mode: 'governance', forMs: DAY_MS } as const
      const locked = openS3(`${server.url}/locked`, { environment: server.environment, settings: { lock }, ...inParts })
      await locked.create()
      for (const size of [1000, 6 << 20]) {
        const { file, content } = newFile('data', size)
        const before = Date.now()
        await locked.put(file, content)
        const retention = await locked.features.retention!.get(file)
        expect(retention).toMatchObject({ mode: 'governance', isHeld: false })
        expect(retention!.untilMs).toBeGreaterThanOrEqual(before + DAY_MS)
        await expect(locked.delete(file)).rejects.toMatchObject({ code: 'HF_STORAGE_RETAINED' })
        expect(await locked.get(file)).toEqual(content)
      }
      await locked.close()
    })
  })
