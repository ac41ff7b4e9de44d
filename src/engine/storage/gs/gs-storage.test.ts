import { afterAll, beforeAll, describe } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { type FakeGcs, startFakeGcs } from '../../../../test/support/servers/gcs.ts'
import { testClockIsFound, testContract } from '../../../../test/support/storage-contract.ts'
import { systemClock } from '../../../lib/clock.ts'
import type { CheckSizes } from '../contract.ts'
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
    const openNew = async (): Promise<Storage> => {
      if (description !== undefined) await server.makeBucket({ name: bucket, ...description })
      return open(bucket, prefix, options)
    }
    testContract(openNew, few)
  })

  testClockIsFound((clock) => open('clocks', '', { clock }))
})
