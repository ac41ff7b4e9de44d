import { afterAll, beforeAll, describe } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { type Azurite, startAzurite } from '../../../../test/support/servers/azurite.ts'
import { testClockIsFound, testContract } from '../../../../test/support/storage-contract.ts'
import { systemClock } from '../../../lib/clock.ts'
import type { CheckSizes } from '../contract.ts'
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
    testContract(() => open(bucket, prefix, options), few)
  })

  testClockIsFound((clock) => open('clocks', '', { clock }))
})
