import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { type KmsServer, startKms } from '../../../../test/support/servers/kms.ts'
import { freePort } from '../../../../test/support/servers/server-folder.ts'
import { monotonicMilliseconds } from '../../../lib/clock.ts'
import { errorFrom } from '../../storage/testing.ts'
import type { PasswordKey } from '../password-key.ts'
import { kmsKey } from './kms-key.ts'

const repository = 'a'.repeat(64)
const other = 'b'.repeat(64)
const unused = 'arn:aws:kms:eu-central-1:123456789012:key/12345678-1234-1234-1234-123456789012'

describe.skipIf(lacks('moto'))('a key of KMS', () => {
  let server: KmsServer
  let arn: string
  beforeAll(async () => {
    server = await startKms()
    arn = await server.createKey()
  })
  afterAll(() => server.stop())
  beforeEach(() => server.faults.clear())

  const key = (name = arn, environment: Readonly<Record<string, string>> = {}, timeoutMs?: number): PasswordKey =>
    kmsKey({ arn: name, environment: { ...server.environment, ...environment }, timeoutMs })

  test('opens what it sealed, for the same repository only', async () => {
    const sealed = await key().seal('a password', { repository })
    expect(sealed).toMatchObject({ type: 'kms', key: arn })
    expect(Buffer.from(sealed.ciphertext).includes('a password')).toBe(false)
    expect(await key().open(sealed, { repository })).toBe('a password')
    expect(await errorFrom(() => key().open(sealed, { repository: other }))).toMatchObject({
      code: 'HF_KEY_MISMATCH',
      message: expect.stringContaining('it is of another repository, or damaged'),
    })
    const damaged = { ...sealed, ciphertext: sealed.ciphertext.map((byte, i) => (i === 60 ? byte ^ 1 : byte)) }
    expect(await errorFrom(() => key().open(damaged, { repository }))).toMatchObject({ code: 'HF_KEY_MISMATCH' })
  })

  test('is not that of somebody else, although both can be used', async () => {
    const foreign = key(await server.createKey())
    const sealed = await foreign.seal('a password', { repository })
    expect(key().matches(sealed)).toBe(false)
    expect(foreign.matches(sealed)).toBe(true)
    // moto says AccessDeniedException, KMS itself IncorrectKeyException.
    const { code } = await errorFrom(() => key().open(sealed, { repository }))
    expect(['HF_KEY_MISMATCH', 'HF_KEY_UNAVAILABLE']).toContain(code)
    server.faults.fail({ error: 'IncorrectKeyException' })
    expect(await errorFrom(() => key().open(sealed, { repository }))).toMatchObject({ code: 'HF_KEY_MISMATCH' })
  })

  test('may be named by an alias, which may come to stand for another', async () => {
    const alias = key(await server.createAlias(`t${monotonicMilliseconds() | 0}`, arn))
    const sealed = await alias.seal('a password', { repository })
    expect(sealed.key).toBe(arn)
    expect(alias.matches(sealed)).toBe(true)
    expect(await key().open(sealed, { repository })).toBe('a password')
  })

  test('seals anew what another has sealed, without the password being seen', async () => {
    const before = await key().seal('a password', { repository })
    const next = key(await server.createKey())
    const asked = server.faults.calls.length
    const after = await next.reseal!(before, { repository })
    expect(server.faults.calls.slice(asked)).toEqual(['ReEncrypt'])
    expect(await next.open(after!, { repository })).toBe('a password')
    expect(await errorFrom(() => next.reseal!(before, { repository: other }))).toMatchObject({
      code: 'HF_KEY_MISMATCH',
    })
    const elsewhere = { ...before, key: before.key.replace('eu-central-1', 'us-east-1') }
    expect(await next.reseal!(elsewhere, { repository })).toBeUndefined()
  })

  test.each([
    ['AccessDeniedException', 400, 'denied', 'denies the use of the key'],
    ['DisabledException', 400, 'disabled', 'the key is disabled'],
    ['KMSInvalidStateException', 400, 'disabled', 'about to be deleted'],
    ['NotFoundException', 400, 'missing', 'there is no such key'],
    ['ExpiredTokenException', 400, 'credentials', 'credentials have expired'],
    ['UnrecognizedClientException', 400, 'credentials', 'does not know the credentials'],
    ['ServiceUnavailableException', 503, 'unreachable', 'cannot be reached (HTTP 503)'],
    ['SomethingNew', 403, 'denied', 'denies the use of the key'],
  ])('%s: says why it cannot be used, in seconds', async (error, status, reason, message) => {
    const sealed = await key().seal('a password', { repository })
    server.faults.fail({ error, status })
    const started = monotonicMilliseconds()
    for (const call of [() => key().open(sealed, { repository }), () => key().seal('a password', { repository })]) {
      const failure = await errorFrom(call)
      expect(failure).toMatchObject({ code: 'HF_KEY_UNAVAILABLE', context: { reason, key: `kms ${arn}` } })
      expect(failure.message).toContain(message)
      expect(failure.message).not.toContain('a password')
    }
    expect(monotonicMilliseconds() - started).toBeLessThan(10_000)
  })

  test('is unreachable when nobody listens, hangs up or answers', async () => {
    const sealed = await key().seal('a password', { repository })
    const closed = key(arn, { AWS_ENDPOINT_URL_KMS: `http://127.0.0.1:${await freePort()}` })
    expect(await errorFrom(() => closed.open(sealed, { repository }))).toMatchObject({
      code: 'HF_KEY_UNAVAILABLE',
      retry: 'later',
      message: expect.stringContaining('cannot be reached (ECONNREFUSED)'),
    })
    server.faults.fail('reset')
    expect((await errorFrom(() => key().open(sealed, { repository }))).message).toContain('cannot be reached')
    server.faults.clear()
    server.faults.fail('stall')
    const started = monotonicMilliseconds()
    const failure = await errorFrom(() => key(arn, {}, 500).open(sealed, { repository }))
    expect(failure.message).toContain('no answer within 0.5 s')
    expect(monotonicMilliseconds() - started).toBeLessThan(5000)
    const stop = new AbortController()
    setTimeout(() => stop.abort(), 100)
    const stopped = await errorFrom(() => key().open(sealed, { repository, signal: stop.signal }))
    expect(stopped.code).toBe('HF_INTERRUPTED')
  })
})

test('a password is never sent to a key service in clear beyond this machine', async () => {
  const key = kmsKey({
    arn: unused,
    environment: { AWS_ENDPOINT_URL_KMS: 'http://kms.example.com', AWS_ACCESS_KEY_ID: 'A', AWS_SECRET_ACCESS_KEY: 'B' },
  })
  expect(await errorFrom(() => key.seal('a password', { repository }))).toMatchObject({
    code: 'HF_KEY_UNAVAILABLE',
    message: 'the endpoint of the key service is not encrypted: kms.example.com',
  })
})
