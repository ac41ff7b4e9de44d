import { generateKeyPairSync, verify } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { type FaultProxy, startFaultProxy } from '../../../../test/support/servers/fault-proxy.ts'
import { type FakeGcs, startFakeGcs } from '../../../../test/support/servers/gcs.ts'
import { scratchFolder } from '../../../../test/support/test-repository.ts'
import { systemClock } from '../../../lib/clock.ts'
import { newFile } from '../contract-support.ts'
import { openStorage } from '../locations.ts'
import { defaultNetwork } from '../network.ts'
import type { Storage } from '../storage.ts'
import { errorFrom } from '../testing.ts'
import { gsBackend } from './gs-backend.ts'
import { openGsStorage } from './gs-storage.ts'

const config = { kind: 'config' } as const

/** Without retries. */
const openDirect = (environment: Record<string, string>, place = 'backups:/shop'): Storage =>
  gsBackend.open!({
    place,
    options: new Map(),
    environment,
    settings: {},
    network: defaultNetwork,
    clock: systemClock,
    onNotice: () => undefined,
  })

const answerOf = (status: number, reason: string, date = new Date().toUTCString()) => ({
  type: 'answer' as const,
  status,
  headers: { date, 'content-type': 'application/json' },
  body: JSON.stringify({ error: { code: status, message: 'token ya29.secret', errors: [{ reason, message: 'no' }] } }),
})

describe.skipIf(lacks('fake-gcs-server'))('what goes wrong with Google Cloud Storage', () => {
  let server: FakeGcs
  let proxy: FaultProxy
  beforeAll(async () => {
    server = await startFakeGcs()
    proxy = await startFaultProxy({ port: server.port })
    await openDirect(server.environment).create()
  })
  afterAll(async () => {
    await proxy?.stop()
    await server?.stop()
  })
  afterEach(() => proxy.setFaults([]))
  const through = (): Record<string, string> => ({
    STORAGE_EMULATOR_HOST: proxy.url,
    GOOGLE_ACCESS_TOKEN: 'ya29.secret',
  })

  test('a bucket that is missing is named', async () => {
    const elsewhere = await errorFrom(() => openDirect({ GOOGLE_APPLICATION_CREDENTIALS: '/dev/null' }).get(config))
    expect(elsewhere.code).toBe('HF_STORAGE_DENIED')
    const missing = await errorFrom(() => openDirect(server.environment, 'nothing-here:/').get(config))
    expect(missing).toMatchObject({ code: 'HF_STORAGE_NOT_FOUND', hint: expect.stringContaining('"nothing-here"') })
    const { file, content } = newFile('data', 10)
    const refused = await errorFrom(() => openDirect(server.environment, 'nothing-here:/').put(file, content))
    expect(refused).toMatchObject({ code: 'HF_REPO_NOT_FOUND', retry: 'after-fix' })
  })

  test('classes are written for packs alone, and listed', async () => {
    const storage = await openStorage('gs:backups:/classes', {
      environment: server.environment,
      settings: { storageClass: 'nearline' },
    })
    for (const kind of ['data', 'snapshot'] as const) {
      const { file, content } = newFile(kind, 100)
      await storage.put(file, content)
    }
    const found = new Map<string, string>()
    for await (const { kind, storageClass } of storage.features.classes!.list()) found.set(kind, storageClass)
    expect([...found]).toEqual([
      ['data', 'NEARLINE'],
      ['snapshot', 'STANDARD'],
    ])
  })

  // No server here says these; the answers are those that the documentation of the service gives.
  test.each([
    ['throttling', 429, 'rateLimitExceeded', 'HF_STORAGE_THROTTLED', 'later'],
    ['throttling of a project', 403, 'userRateLimitExceeded', 'HF_STORAGE_THROTTLED', 'later'],
    ['a quota that is used up', 403, 'quotaExceeded', 'HF_STORAGE_FULL', 'after-fix'],
    ['a fault of the service', 503, 'backendError', 'HF_STORAGE_THROTTLED', 'later'],
    ['an internal error', 500, 'internalError', 'HF_STORAGE_IO', 'later'],
    ['a missing permission', 403, 'forbidden', 'HF_STORAGE_DENIED', 'after-fix'],
    ['billing that was stopped', 403, 'accountDisabled', 'HF_STORAGE_DENIED', 'after-fix'],
    ['an expired token', 401, 'authError', 'HF_STORAGE_DENIED', 'after-fix'],
    ['retention', 403, 'retentionPolicyNotMet', 'HF_STORAGE_RETAINED', 'never'],
    ['a hold', 403, 'objectUnderActiveHold', 'HF_STORAGE_RETAINED', 'never'],
  ])('%s', async (_, status, reason, code, retry) => {
    proxy.setFaults([{ effect: answerOf(status, reason) }])
    const before = proxy.requests.length
    const error = await errorFrom(() => openDirect(through()).stat(newFile('data', 10).file))
    expect(error).toMatchObject({ code, retry, context: { googleReason: reason } })
    expect(proxy.requests.length - before).toBe(1)
    expect(proxy.requests.at(-1)!.headers.authorization).toBe('Bearer ya29.secret')
    expect(JSON.stringify([error.message, error.hint, error.context, String(error.cause)])).not.toContain('secret')
  })

  test('the permission is named', async () => {
    proxy.setFaults([{ effect: answerOf(403, 'forbidden') }])
    const { file, content } = newFile('data', 10)
    expect((await errorFrom(() => openDirect(through()).put(file, content))).hint).toContain('storage.objects.create')
    expect((await errorFrom(() => openDirect(through()).stat(file))).hint).toContain('storage.objects.get')
  })

  test('a clock that is wrong is told', async () => {
    proxy.setFaults([{ effect: answerOf(401, 'authError', 'Wed, 01 Jan 2020 00:00:00 GMT') }])
    const error = await errorFrom(() => openDirect(through()).stat(config))
    expect(error.message).toMatch(/the clock of this machine is \d+ minutes fast/)
  })

  test('connections that are cut can be tried again', async () => {
    const storage = openDirect(through())
    const { file, content } = newFile('data', 200_000)
    await storage.put(file, content)
    for (const effect of [{ type: 'reset' }, { type: 'truncate', bytes: 1000 }] as const) {
      proxy.setFaults([{ effect, times: 1 }])
      const error = await errorFrom(() => storage.get(file))
      expect(error).toMatchObject({ retry: 'later' })
      expect(Buffer.from(await storage.get(file))).toEqual(Buffer.from(content))
    }
  })

  test('an upload that was cut leaves nothing', async () => {
    const storage = openDirect(through())
    const { file, content } = newFile('data', 3 << 20)
    proxy.setFaults([{ methods: ['POST'], effect: { type: 'cut-upload', bytes: 1 << 20 } }])
    expect((await errorFrom(() => storage.put(file, content))).retry).toBe('later')
    proxy.setFaults([])
    expect((await errorFrom(() => storage.stat(file))).code).toBe('HF_STORAGE_NOT_FOUND')
    await storage.put(file, content)
  })
})

describe('credentials', () => {
  test('a key file that cannot be used is named, and never shown', async () => {
    using scratch = scratchFolder()
    const path = scratch.join('key.json')
    writeFileSync(path, JSON.stringify({ type: 'service_account', client_email: 'x@y', private_key: 'not a key' }))
    const error = await errorFrom(() => openDirect({ GOOGLE_APPLICATION_CREDENTIALS: path }).get(config))
    expect(error).toMatchObject({ code: 'HF_STORAGE_DENIED', retry: 'after-fix', hint: expect.stringContaining(path) })
    expect(JSON.stringify([error.message, error.hint])).not.toContain('not a key')
    const elsewhere = await errorFrom(() => openDirect({ GOOGLE_APPLICATION_CREDENTIALS: '/dev/null' }).get(config))
    expect(elsewhere.code).toBe('HF_STORAGE_DENIED')
    const missing = await errorFrom(() =>
      openDirect({ GOOGLE_APPLICATION_CREDENTIALS: scratch.join('none') }).get(config),
    )
    expect(missing.code).toBe('HF_STORAGE_DENIED')
  })
})

describe.skipIf(lacks('fake-gcs-server'))('a service account', () => {
  test('gets a token for its key, keeps it, and is told when the key is refused', async () => {
    using scratch = scratchFolder()
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const statements: string[] = []
    let status = 200
    await using tokens = await startTokenServer((form) => {
      statements.push(form.get('assertion')!)
      return { status, body: { access_token: 'ya29.token', expires_in: 3600 } }
    })
    const path = scratch.join('key.json')
    const key = { type: 'service_account', client_email: 'backup@project', private_key_id: '7', token_uri: tokens.url }
    writeFileSync(path, JSON.stringify({ ...key, private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }) }))
    await using server = await startFakeGcs()
    const proxy = await startFaultProxy({ port: server.port })
    try {
      const open = (): Storage =>
        openGsStorage({
          account: { endpoint: proxy.url, credential: { kind: 'key file', path }, project: 'project' },
          place: { bucket: 'account', prefix: '' },
          connections: 5,
          region: 'eu',
          network: defaultNetwork,
          clock: systemClock,
        })
      const storage = open()
      await storage.create()
      const files = Array.from({ length: 8 }, () => newFile('data', 100))
      await Promise.all(files.map(({ file, content }) => storage.put(file, content)))
      expect(statements).toHaveLength(1)
      expect(proxy.requests.every(({ headers }) => headers.authorization === 'Bearer ya29.token')).toBe(true)
      const [head, claims, signature] = statements[0]!.split('.') as [string, string, string]
      expect(
        verify('RSA-SHA256', Buffer.from(`${head}.${claims}`), publicKey, Buffer.from(signature, 'base64url')),
      ).toBe(true)
      expect(JSON.parse(Buffer.from(claims, 'base64url').toString())).toMatchObject({
        iss: 'backup@project',
        aud: tokens.url,
      })
      status = 400
      expect(await errorFrom(() => open().get(config))).toMatchObject({ code: 'HF_STORAGE_DENIED', retry: 'after-fix' })
    } finally {
      await proxy.stop()
    }
  })
})

async function startTokenServer(
  answer: (form: URLSearchParams) => { status: number; body: object },
): Promise<AsyncDisposable & { readonly url: string }> {
  const server = createServer(async (request, response) => {
    const pieces: Buffer[] = []
    for await (const piece of request) pieces.push(piece)
    const { status, body } = answer(new URLSearchParams(Buffer.concat(pieces).toString()))
    response.writeHead(status).end(JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/token`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

test.each(['gs:backups', 'gs::/x', 'gs:'])('%s is no location', async (location) => {
  expect((await errorFrom(() => openStorage(location))).code).toBe('HF_STORAGE_LOCATION')
})
