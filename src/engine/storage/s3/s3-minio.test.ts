import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { startFaultProxy } from '../../../../test/support/servers/fault-proxy.ts'
import { type MinioServer, startMinio } from '../../../../test/support/servers/minio.ts'
import { randomBytes } from '../../../lib/random.ts'
import { type CheckSizes, storageChecks } from '../contract.ts'
import { defaultNetwork } from '../network.ts'
import type { Storage } from '../storage.ts'
import { errorFrom, steppedClock } from '../testing.ts'
import { type OpenOptions, openS3 } from './testing.ts'

const few: CheckSizes = { listedFiles: 1100, largeFileBytes: 12 << 20 }

describe.skipIf(lacks('minio'))('MinIO', () => {
  let server: MinioServer
  beforeAll(async () => {
    server = await startMinio()
  })
  afterAll(() => server?.stop())
  const open = (path: string, options: OpenOptions = {}): Storage =>
    openS3(`${server.url}/${path}`, { environment: server.environment, ...options })

  describe.each([
    ['a bucket', () => open('plain/prefix')],
    ['uploads in parts', () => open('parts', { wholeBytes: 1 << 20, partBytes: 5 << 20 })],
    ['a region that nobody named', () => open('named', { options: { connections: '3' } })],
  ])('%s keeps the contract:', (_, openOne) => {
    let storage: Storage
    beforeAll(async () => {
      storage = openOne()
      await storage.create()
    })
    afterAll(() => storage.close())
    test.each(storageChecks)('$name', ({ run }) => run(storage, few), 60_000)
  })

  test('of writers at the same time one wins, also of uploads in parts', async () => {
    for (const parts of [{}, { wholeBytes: 1 << 20, partBytes: 5 << 20 }]) {
      const storage = open('winners', parts)
      await storage.create()
      await storage.list('key')[Symbol.asyncIterator]().next()
      const contents = Array.from({ length: 8 }, () => randomBytes(7 << 20))
      const outcomes = await Promise.allSettled(contents.map((content) => storage.put({ kind: 'config' }, content)))
      const winners = contents.filter((_, number) => outcomes[number]!.status === 'fulfilled')
      expect(winners).toHaveLength(1)
      expect(Buffer.compare(await storage.get({ kind: 'config' }), winners[0]!)).toBe(0)
      await storage.delete({ kind: 'config' })
      await storage.close()
    }
  })

  test('of an upload in parts that is cut only the part that was cut is sent again', async () => {
    const proxy = await startFaultProxy({ port: server.port })
    const clock = steppedClock()
    try {
      const environment = server.environment
      const parts = { wholeBytes: 1 << 20, partBytes: 5 << 20 }
      const storage = openS3(`${proxy.url}/parts/resumed`, { environment, clock, ...parts })
      await storage.create()
      proxy.setFaults([
        {
          when: ({ path }) => path.includes('partNumber=2'),
          times: 3,
          effect: { type: 'cut-upload', bytes: 1 << 20 },
        },
        { when: ({ path }) => path.includes('partNumber=3'), times: 1, effect: { type: 'lose-answer' } },
      ])
      const content = randomBytes(18 << 20)
      const before = proxy.requests.length
      await storage.put({ kind: 'config' }, content)
      const sent = proxy.requests.slice(before).flatMap(({ path }) => /partNumber=(\d)/.exec(path)?.[1] ?? [])
      expect(sent.sort()).toEqual(['1', '2', '2', '2', '2', '3', '3', '4'])
      expect(clock.sleeps).toHaveLength(4)
      expect(Buffer.compare(await storage.get({ kind: 'config' }), content)).toBe(0)
      await storage.close()
    } finally {
      await proxy.stop()
    }
  })

  test('content that does not have the hash that its name says is refused', async () => {
    const storage = open('hashes')
    await storage.create()
    const error = await errorFrom(() => storage.put({ kind: 'data', name: 'ab'.repeat(32) }, randomBytes(1000)))
    expect(error.message).toContain('what arrived is not what its name says')
    await storage.close()
  })
})

describe.skipIf(lacks('minio'))('MinIO with TLS, in a region', () => {
  let server: MinioServer
  beforeAll(async () => {
    server = await startMinio({ tls: true, region: 'eu-test-1' })
  })
  afterAll(() => server?.stop())

  test('its certificate has to be trusted', async () => {
    const { environment, url, certificate } = server
    const distrusting = openS3(`${url}/bucket`, { environment })
    const error = await errorFrom(() => distrusting.create())
    expect(error).toMatchObject({ code: 'HF_STORAGE_UNREACHABLE', retry: 'after-fix' })
    expect(error.message).toMatch(/certificate is not to be trusted: [A-Z_]+$/)
    for (const trusting of [
      { environment: { ...environment, AWS_CA_BUNDLE: certificate! } },
      { environment, network: { ...defaultNetwork, caFiles: [certificate!] } },
      { environment, network: { ...defaultNetwork, isInsecure: true } },
    ]) {
      const storage = openS3(`${url}/bucket`, trusting)
      await storage.create()
      const content = randomBytes(300_000)
      await storage.put({ kind: 'config' }, content, { replace: true })
      expect(Buffer.compare(await storage.get({ kind: 'config' }), content)).toBe(0)
      await storage.close()
    }
    const plain = openS3(`${url.replace('https', 'http')}/bucket`, { environment })
    expect((await errorFrom(() => plain.stat({ kind: 'config' }))).retry).not.toBe(undefined)
    await distrusting.close()
    await plain.close()
  })

  test('a region that is named wrongly is refused with the right one, one that is not named is found', async () => {
    const { environment, url, certificate } = server
    const network = { ...defaultNetwork, caFiles: [certificate!] }
    const wrong = openS3(`${url}/bucket`, { environment, network, settings: { region: 'us-west-2' } })
    for (const call of [
      () => wrong.create(),
      () => wrong.stat({ kind: 'config' }),
      () => wrong.get({ kind: 'config' }),
      () => wrong.put({ kind: 'config' }, randomBytes(10)),
    ]) {
      const error = await errorFrom(call)
      expect(error).toMatchObject({ code: 'HF_STORAGE_LOCATION', retry: 'after-fix' })
      expect(error.message).toContain('is of another region: eu-test-1')
    }
    const found = openS3(`${url}/bucket`, { environment, network })
    await found.create()
    await found.put({ kind: 'config' }, randomBytes(10), { replace: true })
    await found.close()
    // As when a repository is opened: the first calls are made at the same time.
    const opening = openS3(`${url}/bucket`, { environment, network })
    const asked = [
      opening.stat({ kind: 'config' }),
      opening.get({ kind: 'config' }),
      Array.fromAsync(opening.list('key')),
    ]
    expect((await Promise.allSettled(asked)).map(({ status }) => status)).toEqual(asked.map(() => 'fulfilled'))
    await opening.close()
    await wrong.close()
  })
})
