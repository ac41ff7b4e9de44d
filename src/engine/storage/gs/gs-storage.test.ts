import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { type FakeGcs, startFakeGcs } from '../../../../test/support/servers/gcs.ts'
import { type Clock, systemClock } from '../../../lib/clock.ts'
import { type CheckSizes, storageChecks } from '../contract.ts'
import { listFiles } from '../list-files.ts'
import { defaultNetwork } from '../network.ts'
import type { Storage } from '../storage.ts'
import { accountOf } from './gs-account.ts'
import { openGsStorage } from './gs-storage.ts'

const few: CheckSizes = { listedFiles: 150, largeFileBytes: 5 << 20 }

describe.skipIf(lacks('fake-gcs-server'))('a bucket of fake-gcs-server', () => {
  let server: FakeGcs
  beforeAll(async () => {
    server = await startFakeGcs()
  }, 60_000)
  afterAll(() => server?.stop())

  const open = (bucket: string, prefix: string, options = {}): Storage =>
    openGsStorage({
      account: accountOf(server.environment),
      place: { bucket, prefix },
      connections: 5,
      region: 'us',
      network: defaultNetwork,
      clock: systemClock,
      ...options,
    })

  describe.each([
    ['as it is', 'plain', '', {}, undefined],
    ['with versions, listed in pages', 'versions', 'deep/down', { pageSize: 40 }, { versioning: { enabled: true } }],
  ])('%s', (_, bucket, prefix, options, description) => {
    let storage: Storage
    beforeAll(async () => {
      if (description !== undefined) await server.makeBucket({ name: bucket, ...description })
      storage = open(bucket, prefix, options)
      await storage.create()
    })

    test.each(storageChecks.map((check) => [check.name, check] as const))(
      '%s',
      { timeout: 10 * 60_000 },
      async (_name, check) => {
        await check.run(storage, few)
        for (const kind of ['data', 'index', 'key', 'lock', 'snapshot'] as const)
          expect(await listFiles(storage, kind)).toEqual([])
      },
    )
  })

  test('a clock that is wrong is found', async () => {
    const state = async (clock: Clock): Promise<string | undefined> => {
      const storage = open('clocks', '', { clock })
      await storage.create()
      const findings = await storage.features.examine!()
      return findings.find(({ what }) => what === 'clock')?.state
    }
    expect(await state(systemClock)).toBe('good')
    expect(await state({ ...systemClock, now: () => systemClock.now() + 1_200_000_000_000n })).toBe('bad')
  })
})
