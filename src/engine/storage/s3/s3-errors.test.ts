import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type FaultProxy, type ProxyEffect, startFaultProxy } from '../../../../test/support/servers/fault-proxy.ts'
import { type S3Double, s3ErrorBody, startS3Double } from '../../../../test/support/servers/s3-double.ts'
import { freePort } from '../../../../test/support/servers/server-folder.ts'
import type { HoldfastError } from '../../../lib/errors.ts'
import { randomBytes } from '../../../lib/random.ts'
import { newFile } from '../contract-support.ts'
import { withRetry } from '../layers/with-retry.ts'
import { listFiles } from '../list-files.ts'
import { defaultNetwork } from '../network.ts'
import type { Storage } from '../storage.ts'
import { errorFrom, steppedClock } from '../testing.ts'
import { type OpenOptions, openS3 } from './testing.ts'

let double: S3Double
let proxy: FaultProxy
beforeAll(async () => {
  double = await startS3Double({ serverName: 'MinIO' })
  proxy = await startFaultProxy({ port: double.port })
})
afterAll(async () => {
  await proxy.stop()
  await double.stop()
})
beforeEach(() => proxy.setFaults([]))

const open = (path = 'bucket/prefix', options: OpenOptions = {}): Storage =>
  openS3(`${proxy.url}/${path}`, { environment: double.environment, ...options })

const answer = (status: number, code: string, message?: string): ProxyEffect => ({
  type: 'answer',
  status,
  headers: { 'content-type': 'application/xml' },
  body: s3ErrorBody(code, message),
})

/** Each call of a storage that meets the store. */
const callsOf = (storage: Storage): Record<string, () => Promise<unknown>> => {
  const { file, content } = newFile('data', 100)
  return {
    put: () => storage.put(file, content),
    get: () => storage.get(file),
    'get of a range': () => storage.get(file, { offset: 0, length: 10 }),
    stat: () => storage.stat(file),
    list: () => listFiles(storage, 'data'),
    delete: () => storage.delete(file),
    create: () => storage.create(),
  }
}

function expectNoSecret(error: HoldfastError, ...secrets: readonly string[]): void {
  const all = `${error.message} ${error.hint} ${JSON.stringify(error.context)} ${error.cause} ${(error.cause as Error)?.stack}`
  for (const secret of [...secrets, double.environment.AWS_SECRET_ACCESS_KEY!]) expect(all).not.toContain(secret)
}

describe('wrong access fails at once, by its name, in every call:', () => {
  const cases: Readonly<Record<string, readonly [environment: Record<string, string>, words: string]>> = {
    'an unknown key': [{ AWS_ACCESS_KEY_ID: 'UNKNOWNKEY' }, 'the store does not know the access key'],
    'a wrong secret': [{ AWS_SECRET_ACCESS_KEY: 'wrong/secret' }, 'the secret key does not belong to the access key'],
  }
  test.each(Object.entries(cases))('%s', async (_, [environment, words]) => {
    const storage = withRetry(open('bucket', { environment: { ...double.environment, ...environment } }))
    for (const [call, run] of Object.entries(callsOf(storage))) {
      const asked = proxy.requests.length
      const error = await errorFrom(run)
      expect([call, error.code, error.retry]).toEqual([call, 'HF_STORAGE_DENIED', 'after-fix'])
      expect(error.message).toContain(words)
      expect(proxy.requests.length - asked).toBeLessThanOrEqual(3)
      expectNoSecret(error, 'wrong/secret')
    }
    await storage.close()
  })

  test('half a key', async () => {
    const storage = open('bucket', { environment: { AWS_ACCESS_KEY_ID: 'SOMEKEY' } })
    const error = await errorFrom(() => storage.stat({ kind: 'config' }))
    expect(error.message).toContain('AWS_SECRET_ACCESS_KEY is not set')
    await storage.close()
  })

  test('a region that somebody named wrongly; the right one is found when nobody did', async () => {
    const server = await startS3Double({ region: 'eu-test-1' })
    try {
      const { environment } = server
      const wrong = openS3(`${server.url}/bucket`, { environment, options: { region: 'us-west-2' } })
      for (const run of Object.values(callsOf(wrong))) {
        const error = await errorFrom(run)
        expect(error).toMatchObject({ code: 'HF_STORAGE_LOCATION', retry: 'after-fix' })
        expect(error.message).toContain('is of another region: eu-test-1')
      }
      const found = openS3(`${server.url}/bucket`, { environment })
      await found.create()
      expect(await listFiles(found, 'data')).toEqual([])
      await Promise.all([wrong.close(), found.close()])
    } finally {
      await server.stop()
    }
  })

  test('a bucket that is not there', async () => {
    const storage = open('no-such-bucket')
    const { get, put, stat, delete: remove } = callsOf(storage)
    for (const run of [get!, put!, stat!, remove!]) {
      const error = await errorFrom(run)
      expect(error.code).toBe('HF_STORAGE_NOT_FOUND')
      if (run === get || run === put) expect(error.message).toContain('the bucket "no-such-bucket" does not exist')
    }
    expect(await listFiles(storage, 'data')).toEqual([])
    await storage.close()
  })

  test.each([
    [403, 'AccessDenied', 'HF_STORAGE_DENIED', /access is denied; it takes the permission s3:[A-Z][A-Za-z]+$/],
    [400, 'ExpiredToken', 'HF_STORAGE_DENIED', /the session token has expired$/],
    [403, 'RequestTimeTooSkewed', 'HF_STORAGE_DENIED', /clock and that of the store differ too much$/],
    [403, 'QuotaExceeded', 'HF_STORAGE_FULL', /its quota is used up$/],
    [507, 'XMinioStorageFull', 'HF_STORAGE_FULL', /no room left/],
    [403, 'InvalidObjectState', 'HF_STORAGE_ARCHIVED', /lies in an archive$/],
  ] as const)('%i %s', async (status, code, expected, words) => {
    const storage = withRetry(open())
    proxy.setFaults([{ effect: answer(status, code) }])
    for (const [call, run] of Object.entries(callsOf(storage))) {
      // Who may use a bucket need not be allowed to look at it.
      if (call === 'create' && code === 'AccessDenied') continue
      const error = await errorFrom(run)
      expect([call, error.code]).toEqual([call, expected])
      expect(error.retry).not.toBe('later')
      expect(error.message).toMatch(words)
    }
    await storage.close()
  })

  test('a file that the store retains', async () => {
    const storage = open()
    await storage.create()
    const { file, content } = newFile('data', 100)
    await storage.put(file, content)
    proxy.setFaults([
      {
        methods: ['DELETE'],
        effect: answer(403, 'AccessDenied', 'Access Denied because object protected by object lock.'),
      },
    ])
    expect((await errorFrom(() => storage.delete(file))).code).toBe('HF_STORAGE_RETAINED')
    await storage.close()
  })
})

describe('what passes is marked so:', () => {
  test.each<readonly [string, ProxyEffect, string]>([
    ['SlowDown', answer(503, 'SlowDown'), 'HF_STORAGE_THROTTLED'],
    ['a busy gateway', { type: 'answer', status: 503, body: '<html>busy</html>' }, 'HF_STORAGE_THROTTLED'],
    ['a broken gateway', { type: 'answer', status: 502, body: '<html>broken</html>' }, 'HF_STORAGE_IO'],
    ['an internal error', answer(500, 'InternalError'), 'HF_STORAGE_IO'],
    ['a reset', { type: 'reset' }, 'HF_STORAGE_IO'],
    ['a lost answer', { type: 'lose-answer' }, 'HF_STORAGE_IO'],
  ])('%s', async (_, effect, code) => {
    const storage = open()
    proxy.setFaults([{ effect }])
    for (const [call, run] of Object.entries(callsOf(storage))) {
      const error = await errorFrom(run)
      expect([call, error.code, error.retry]).toEqual([call, code, 'later'])
      expectNoSecret(error)
    }
    await storage.close()
  })

  test('nobody who answers, a host that stalls, and one that does not exist', async () => {
    const gone = openS3(`http://127.0.0.1:${await freePort()}/bucket`, { environment: double.environment })
    const unknown = openS3('http://no-such-host.invalid/bucket', { environment: double.environment })
    const stalling = open('bucket', { network: { ...defaultNetwork, stuckRequestTimeoutMs: 200 } })
    proxy.setFaults([{ effect: { type: 'stall' } }])
    for (const storage of [gone, stalling, unknown]) {
      const error = await errorFrom(() => storage.get({ kind: 'config' }))
      expect(error.code).toBe('HF_STORAGE_UNREACHABLE')
      await storage.close()
    }
  })

  test('a range that is cut in the middle is read again into the same memory, and nothing is copied', async () => {
    const { file, content } = newFile('data', 3 << 20)
    const store = open()
    await store.create()
    await store.put(file, content)
    proxy.setFaults([{ methods: ['GET'], times: 2, effect: { type: 'truncate', bytes: 1 << 20 } }])
    const storage = withRetry(store, { clock: steppedClock() })
    const target = new Uint8Array(new SharedArrayBuffer(2 << 20))
    const range = { offset: 500_000, length: target.length }
    const asked = proxy.requests.length
    expect(await storage.get(file, range, { into: target })).toBe(target)
    expect(proxy.requests.length - asked).toBe(3)
    expect(Buffer.compare(target, content.subarray(range.offset, range.offset + range.length))).toBe(0)
    await storage.close()
  })

  test('an answer that is cut off, and one that stalls on its way', async () => {
    const patient = open('bucket')
    await patient.create()
    const { file, content } = newFile('data', 300_000)
    await patient.put(file, content)
    await patient.close()
    const storage = open('bucket', { network: { ...defaultNetwork, stuckRequestTimeoutMs: 1000 } })
    proxy.setFaults([{ methods: ['GET'], effect: { type: 'truncate', bytes: 100_000 } }])
    for (const range of [undefined, { offset: 10, length: 200_000 }]) {
      const error = await errorFrom(() => storage.get(file, range))
      expect(error.code).toMatch(/^HF_STORAGE_(IO|SHORT)$/)
      expect(error.retry).toBe('later')
    }
    proxy.setFaults([{ methods: ['GET'], effect: { type: 'drip', bytes: 50_000, pauseMs: 5000 } }])
    expect((await errorFrom(() => storage.get(file))).retry).toBe('later')
    await storage.close()
  })

  test('an answer that drips is taken, and one that is no longer wanted is left', async () => {
    const storage = open()
    await storage.create()
    const { file, content } = newFile('data', 300_000)
    await storage.put(file, content)
    proxy.setFaults([{ methods: ['GET'], effect: { type: 'drip', bytes: 100_000, pauseMs: 20 } }])
    expect(Buffer.compare(await storage.get(file), content)).toBe(0)
    proxy.setFaults([{ methods: ['GET'], effect: { type: 'drip', bytes: 1000, pauseMs: 100 } }])
    const error = await errorFrom(() => storage.get(file, undefined, { signal: AbortSignal.timeout(150) }))
    expect(error.code).toBe('HF_INTERRUPTED')
    await storage.close()
  })
})

test('with one call in five failing in some way, everything is written and read', async () => {
  const clock = steppedClock()
  const storage = withRetry(open('bucket/storm'), { clock })
  await storage.create()
  const effects: readonly ProxyEffect[] = [
    { type: 'reset' },
    answer(503, 'SlowDown'),
    { type: 'lose-answer' },
    { type: 'truncate', bytes: 100 },
    { type: 'cut-upload', bytes: 500 },
  ]
  proxy.setFaults(effects.map((effect, number) => ({ call: number + 1, every: 25, effect })))
  const files = Array.from({ length: 60 }, () => newFile('data', 5000))
  for (const { file, content } of files) await storage.put(file, content)
  for (const { file, content } of files) expect(Buffer.compare(await storage.get(file), content)).toBe(0)
  expect(await listFiles(storage, 'data')).toHaveLength(60)
  for (const { file } of files) await storage.delete(file)
  proxy.setFaults([])
  expect(await listFiles(storage, 'data')).toEqual([])
  expect(clock.sleeps.length).toBeGreaterThan(20)
  await storage.close()
})

test('connections are used again', async () => {
  const before = proxy.connections
  const storage = open('bucket/again')
  await storage.create()
  for (let count = 0; count < 30; count++) await storage.put({ kind: 'config' }, randomBytes(100), { replace: true })
  expect(proxy.connections - before).toBe(1)
  await storage.close()
})

test('a lock of our own is deleted with one request; others, and what is deleted again, are looked at before', async () => {
  const storage = open('bucket/locks')
  await storage.create()
  const [own, other] = [newFile('lock', 100), newFile('data', 100)]
  for (const { file, content } of [own, other]) await storage.put(file, content)
  const methodsOf = async (run: () => Promise<unknown>): Promise<string[]> => {
    const before = proxy.requests.length
    await run()
    return proxy.requests.slice(before).map(({ method }) => method)
  }
  expect(await methodsOf(() => storage.delete(own.file))).toEqual(['DELETE'])
  expect(await listFiles(storage, 'lock')).toEqual([])
  expect((await errorFrom(() => storage.delete(own.file))).code).toBe('HF_STORAGE_NOT_FOUND')
  expect(await methodsOf(() => storage.delete(other.file))).toEqual(['HEAD', 'DELETE'])
  await storage.put(own.file, own.content)
  const stranger = open('bucket/locks')
  expect(await methodsOf(() => stranger.delete(own.file))).toEqual(['HEAD', 'DELETE'])
  await Promise.all([storage.close(), stranger.close()])
})

test('strangers are let in where the store lets them, and asked for nothing', async () => {
  const storage = open('bucket', { environment: {}, options: { 'unsafe-anonymous-auth': 'true' } })
  const error = await errorFrom(() => storage.get({ kind: 'config' }))
  expect(error.code).toBe('HF_STORAGE_DENIED')
  expect(proxy.requests.at(-1)!.headers.authorization).toBeUndefined()
  await storage.close()
})

test('an archived file is brought back when that is asked for', async () => {
  const clock = steppedClock()
  const notices: string[] = []
  const options = { 'enable-restore': 'true', 'restore-timeout': '10m', 'restore-tier': 'Bulk' }
  const storage = open('bucket/archive', { clock, options, onNotice: (text) => notices.push(text) })
  await storage.create()
  const { file, content } = newFile('data', 100)
  await storage.put(file, content)
  const archived = { 'x-amz-storage-class': 'GLACIER' }
  const onWay = { ...archived, 'x-amz-restore': 'ongoing-request="true"' }
  const back = { ...archived, 'x-amz-restore': 'ongoing-request="false", expiry-date="Fri, 21 Dec 2035 00:00:00 GMT"' }
  proxy.setFaults([
    { methods: ['GET'], times: 1, effect: answer(403, 'InvalidObjectState') },
    { methods: ['POST'], effect: { type: 'answer', status: 202 } },
    { methods: ['HEAD'], times: 2, effect: { type: 'answer', status: 200, headers: onWay } },
    { methods: ['HEAD'], call: 3, effect: { type: 'answer', status: 200, headers: back } },
  ])
  expect(Buffer.compare(await storage.get(file), content)).toBe(0)
  expect(clock.sleeps).toHaveLength(2)
  expect(notices).toHaveLength(1)
  expect(notices[0]).toContain('lies in the archive GLACIER: it was asked for (Bulk, which takes 5 to 12 hours)')
  proxy.setFaults([
    { methods: ['GET'], effect: answer(403, 'InvalidObjectState') },
    { methods: ['POST'], effect: answer(409, 'RestoreAlreadyInProgress') },
    { methods: ['HEAD'], effect: { type: 'answer', status: 200, headers: onWay } },
  ])
  const error = await errorFrom(() => storage.get(file))
  expect(error.code).toBe('HF_STORAGE_ARCHIVED')
  expect(error.message).toContain('has not come back from its archive in time')
  expect(notices).toHaveLength(1)
  const plain = open('bucket/archive')
  proxy.setFaults([{ methods: ['GET'], effect: answer(403, 'InvalidObjectState') }])
  const archivedError = await errorFrom(() => plain.get(file))
  expect(archivedError).toMatchObject({ code: 'HF_STORAGE_ARCHIVED', retry: 'after-fix' })
  expect(archivedError.hint).toContain('-o s3.enable-restore=true')
  await plain.close()
  await storage.close()
})
