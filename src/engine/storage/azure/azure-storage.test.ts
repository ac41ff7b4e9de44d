import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { type Azurite, startAzurite } from '../../../../test/support/servers/azurite.ts'
import { type Clock, systemClock } from '../../../lib/clock.ts'
import { type CheckSizes, storageChecks } from '../contract.ts'
import { listFiles } from '../list-files.ts'
import { defaultNetwork } from '../network.ts'
import type { Storage } from '../storage.ts'
import { accountOf } from './azure-account.ts'
import { openAzureStorage } from './azure-storage.ts'

const few: CheckSizes = { listedFiles: 150, largeFileBytes: 5 << 20 }

describe.skipIf(lacks('azurite'))('a container of azurite', () => {
  let server: Azurite
  beforeAll(async () => {
    server = await startAzurite()
  }, 60_000)
  afterAll(() => server?.stop())

  const open = (bucket: string, prefix: string, options = {}): Storage =>
    openAzureStorage({
      account: accountOf(server.environment),
      place: { bucket, prefix },
      connections: 5,
      network: defaultNetwork,
      clock: systemClock,
      ...options,
    })

  describe.each([
    ['in one piece', 'whole', '', {}],
    ['in blocks, listed in pages', 'blocks', 'deep/down', { blockBytes: 1 << 20, pageSize: 40 }],
  ])('%s', (_, bucket, prefix, options) => {
    let storage: Storage
    beforeAll(async () => {
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
